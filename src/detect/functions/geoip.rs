//! Functions that ask the databases of addresses: country, owner, distance.
//!
//! They are there without a database too, and say NULL then. Equal addresses of a batch are looked up once.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::FunctionDoc;
use super::function::{Args, Parameter, check_types, coerced, text};
use crate::event::address;
use crate::rules::{Fact, Geoip, Place};

/// A function over addresses.
#[derive(Debug)]
pub(super) struct Definition {
    pub doc: FunctionDoc,
    /// What a database must hold for it to say anything.
    pub fact: Fact,
    parameters: &'static [Parameter],
    returns: fn() -> DataType,
    run: fn(&Geoip, &Args) -> Result<ArrayRef>,
}

pub(super) const FUNCTIONS: &[Definition] = &[
    Definition {
        doc: FunctionDoc {
            name: "country",
            signature: "country(address)",
            returns: "text",
            doc: "two-letter code of the country a public address is in, by the configured database; null without one, for other addresses and unknown ones",
        },
        fact: Fact::Country,
        parameters: &[Parameter::Text],
        returns: text,
        run: |geoip, args| {
            let found = lookup(args, 0, |address| geoip.country(address))?;
            args.texts(|row| found.get(args.text(0, row)?)?.as_deref().map(Into::into))
        },
    },
    Definition {
        doc: FunctionDoc {
            name: "asn",
            signature: "asn(address)",
            returns: "int",
            doc: "number of the autonomous system that announces a public address (8075 is Microsoft's), by the configured database; null as `country`",
        },
        fact: Fact::Owner,
        parameters: &[Parameter::Text],
        returns: || DataType::Int64,
        run: |geoip, args| {
            let found = lookup(args, 0, |address| geoip.owner(address))?;
            let number = |row: usize| Some(i64::from(found.get(args.text(0, row)?)?.as_ref()?.number));
            Ok(Arc::new((0..args.rows()).map(number).collect::<Int64Array>()))
        },
    },
    Definition {
        doc: FunctionDoc {
            name: "as_owner",
            signature: "as_owner(address)",
            returns: "text",
            doc: "whose autonomous system it is, as `asn`",
        },
        fact: Fact::Owner,
        parameters: &[Parameter::Text],
        returns: text,
        run: |geoip, args| {
            let found = lookup(args, 0, |address| geoip.owner(address))?;
            args.texts(|row| found.get(args.text(0, row)?)?.as_ref()?.organisation.as_deref().map(Into::into))
        },
    },
    Definition {
        doc: FunctionDoc {
            name: "distance_km",
            signature: "distance_km(address, address)",
            returns: "int",
            doc: "kilometres that two public addresses are apart at least: what the database says it may be wrong about each is taken off; null without a City database, as `country`",
        },
        fact: Fact::Place,
        parameters: &[Parameter::Text, Parameter::Text],
        returns: || DataType::Int64,
        run: |geoip, args| {
            let here = lookup(args, 0, |address| geoip.place(address))?;
            let there = lookup(args, 1, |address| geoip.place(address))?;
            let apart = |row: usize| {
                let (a, b) =
                    (here.get(args.text(0, row)?)?.as_ref()?, there.get(args.text(1, row)?)?.as_ref()?);
                Some(apart(a, b))
            };
            Ok(Arc::new((0..args.rows()).map(apart).collect::<Int64Array>()))
        },
    },
];

/// What is known of each different address of an argument.
fn lookup<T>(
    args: &Args,
    index: usize,
    find: impl Fn(std::net::IpAddr) -> std::result::Result<Option<T>, String>,
) -> Result<HashMap<&str, Option<T>>> {
    let mut known = HashMap::new();
    for row in 0..args.rows() {
        let Some(text) = args.text(index, row) else { continue };
        if known.contains_key(text) {
            continue;
        }
        let found = address::parse(text).map(&find).transpose().map_err(DataFusionError::Execution)?;
        known.insert(text, found.flatten());
    }
    Ok(known)
}

/// Kilometres between the nearest points that two places may stand for, on a sphere.
fn apart(a: &Place, b: &Place) -> i64 {
    const EARTH: f64 = 6371.0;
    let (from, to) = (a.latitude.to_radians(), b.latitude.to_radians());
    let (north, east) = ((to - from) / 2.0, (b.longitude - a.longitude).to_radians() / 2.0);
    let half = north.sin().powi(2) + from.cos() * to.cos() * east.sin().powi(2);
    let distance = 2.0 * EARTH * half.clamp(0.0, 1.0).sqrt().asin();
    (distance - a.radius - b.radius).max(0.0) as i64
}

/// A [`Definition`] over the databases of a session.
#[derive(Debug)]
struct Lookup {
    definition: &'static Definition,
    geoip: Arc<Geoip>,
    signature: Signature,
}

/// The functions over these databases.
pub(super) fn all(geoip: &Arc<Geoip>) -> impl Iterator<Item = ScalarUDF> {
    FUNCTIONS.iter().map(|definition| {
        let signature = Signature::user_defined(Volatility::Immutable);
        ScalarUDF::new_from_impl(Lookup { definition, geoip: geoip.clone(), signature })
    })
}

impl PartialEq for Lookup {
    fn eq(&self, other: &Self) -> bool {
        self.definition.doc.name == other.definition.doc.name && Arc::ptr_eq(&self.geoip, &other.geoip)
    }
}

impl Eq for Lookup {}

impl Hash for Lookup {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.definition.doc.name.hash(state);
        Arc::as_ptr(&self.geoip).hash(state);
    }
}

impl ScalarUDFImpl for Lookup {
    fn name(&self) -> &str {
        self.definition.doc.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(coerced(types, self.definition.parameters))
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok((self.definition.returns)())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        check_types(&self.definition.doc, &args, self.definition.parameters)?;
        Ok(Arc::new(Field::new(self.name(), (self.definition.returns)(), true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let args = Args::new(&args)?;
        args.finish((self.definition.run)(&self.geoip, &args)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        let place = |latitude, longitude, radius| Place { latitude, longitude, radius };
        let (amsterdam, sao_paulo) = (place(52.37, 4.90, 0.0), place(-23.55, -46.63, 0.0));
        assert!((9750..9850).contains(&apart(&amsterdam, &sao_paulo)), "{}", apart(&amsterdam, &sao_paulo));
        assert_eq!(apart(&amsterdam, &amsterdam), 0);
        // Over the date line, and with what the database is unsure of.
        assert!((220..225).contains(&apart(&place(0.0, 179.0, 0.0), &place(0.0, -179.0, 0.0))));
        assert!((120..125).contains(&apart(&place(0.0, 179.0, 60.0), &place(0.0, -179.0, 40.0))));
        assert_eq!(apart(&place(52.0, 4.0, 500.0), &place(50.0, 4.0, 1.0)), 0);
        assert!((20_000..20_020).contains(&apart(&place(90.0, 0.0, 0.0), &place(-90.0, 0.0, 0.0))));
    }
}
