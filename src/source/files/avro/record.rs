//! Avro records as the schema in the file's header describes them: all fields are passed over but the
//! one that holds a message.
//!
//! Every length is held against the bytes that are left and every value takes some bytes or ends the
//! record, so whatever the bytes are, reading ends. That is why it is not left to `arrow-avro`, which goes
//! round for ever in a block that holds more records than it claims.

use std::collections::HashMap;

use serde_json::Value;

use super::{Trouble, long};

/// How deep types may stand in each other.
const DEPTH: usize = 64;

/// What a value is, as far as its length goes.
#[derive(Debug)]
enum Type {
    /// No bytes at all.
    Null,
    /// `int`, `long` and `enum`.
    Number,
    /// So many bytes.
    Fixed(usize),
    /// A length and so many bytes.
    Bytes,
    /// Blocks of values; of keys and values in a map.
    Items {
        of: Box<Type>,
        keyed: bool,
    },
    Union(Vec<Type>),
    Record(Vec<Type>),
    /// A type that has its description elsewhere.
    Named(String),
}

/// Records of one schema.
#[derive(Debug, Default)]
pub struct Schema {
    fields: Vec<Type>,
    named: HashMap<String, Type>,
    /// Names of the fields.
    pub names: Vec<String>,
    /// Which field holds a message: the first of the name given that may be bytes.
    pub body: Option<usize>,
}

impl Schema {
    /// Reads a schema; `None` where it does not describe records.
    pub fn parse(json: &[u8], body: &str) -> Option<Self> {
        let schema: Value = serde_json::from_slice(json).ok()?;
        let fields = schema.get("fields")?.as_array()?;
        let name = |field: &Value| field.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let names: Vec<String> = fields.iter().map(name).collect();
        let mut named = HashMap::new();
        let types = fields.iter().map(|field| parse(field.get("type")?, &mut named, 0));
        let types: Vec<Type> = types.collect::<Option<_>>()?;
        let may_be_bytes = |of: &Type| match of {
            Type::Bytes => true,
            Type::Union(kinds) => kinds.iter().any(|kind| matches!(kind, Type::Bytes)),
            _ => false,
        };
        let found = names.iter().zip(&types).position(|(name, of)| name == body && may_be_bytes(of));
        Some(Self { fields: types, named, names, body: found })
    }

    /// Passes over one record; gives its message, if it has one.
    pub fn next<'a>(&self, bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>, &'static str> {
        let before = bytes.len();
        let mut message = None;
        for (index, field) in self.fields.iter().enumerate() {
            let value = self.value(field, bytes, 0)?;
            if Some(index) == self.body {
                message = value;
            }
        }
        if bytes.len() == before { Err("records of no bytes") } else { Ok(message) }
    }

    /// Passes over a value; gives its bytes, if that is what it is.
    fn value<'a>(
        &self,
        of: &Type,
        bytes: &mut &'a [u8],
        depth: usize,
    ) -> Result<Option<&'a [u8]>, &'static str> {
        if depth > DEPTH {
            return Err("values nested too deep");
        }
        match of {
            Type::Null => {}
            Type::Number => {
                number(bytes)?;
            }
            Type::Fixed(size) => {
                take(bytes, *size)?;
            }
            Type::Bytes => return sized(bytes).map(Some),
            Type::Items { of, keyed } => self.items(of, *keyed, bytes, depth)?,
            Type::Union(kinds) => {
                let kind = usize::try_from(number(bytes)?).ok().and_then(|index| kinds.get(index));
                return self.value(kind.ok_or("a kind of value its schema does not name")?, bytes, depth + 1);
            }
            Type::Record(fields) => {
                for field in fields {
                    self.value(field, bytes, depth + 1)?;
                }
            }
            Type::Named(name) => {
                let of = self.named.get(name).ok_or("a type its schema does not describe")?;
                return self.value(of, bytes, depth + 1);
            }
        }
        Ok(None)
    }

    fn items(&self, of: &Type, keyed: bool, bytes: &mut &[u8], depth: usize) -> Result<(), &'static str> {
        loop {
            let count = number(bytes)?;
            if count == 0 {
                return Ok(());
            }
            if count < 0 {
                // It comes with its size.
                sized(bytes)?;
                continue;
            }
            for _ in 0..count {
                let before = bytes.len();
                if keyed {
                    sized(bytes)?;
                }
                self.value(of, bytes, depth + 1)?;
                if bytes.len() == before {
                    // So are all others.
                    break;
                }
            }
        }
    }
}

fn number(bytes: &mut &[u8]) -> Result<i64, &'static str> {
    long(bytes).map_err(|trouble| match trouble {
        Trouble::More => "it ends inside a record",
        Trouble::Bad(reason) => reason,
    })
}

fn take<'a>(bytes: &mut &'a [u8], size: usize) -> Result<&'a [u8], &'static str> {
    let (taken, rest) = bytes.split_at_checked(size).ok_or("it ends inside a record")?;
    *bytes = rest;
    Ok(taken)
}

fn sized<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], &'static str> {
    let size = usize::try_from(number(bytes)?).map_err(|_| "a value of less than no bytes")?;
    take(bytes, size)
}

/// The type a schema describes; types with names are put into `named`.
fn parse(schema: &Value, named: &mut HashMap<String, Type>, depth: usize) -> Option<Type> {
    if depth > DEPTH {
        return None;
    }
    let name = match schema {
        Value::Array(kinds) => {
            return kinds
                .iter()
                .map(|kind| parse(kind, named, depth + 1))
                .collect::<Option<_>>()
                .map(Type::Union);
        }
        Value::Object(object) => object.get("type")?,
        other => other,
    };
    let Some(kind) = name.as_str() else { return parse(name, named, depth + 1) };
    let inner = |member: &str, named: &mut HashMap<String, Type>| {
        parse(schema.get(member)?, named, depth + 1).map(Box::new)
    };
    let own = match kind {
        "null" => return Some(Type::Null),
        "boolean" => return Some(Type::Fixed(1)),
        "int" | "long" => return Some(Type::Number),
        "float" => return Some(Type::Fixed(4)),
        "double" => return Some(Type::Fixed(8)),
        "bytes" | "string" => return Some(Type::Bytes),
        "array" => return Some(Type::Items { of: inner("items", named)?, keyed: false }),
        "map" => return Some(Type::Items { of: inner("values", named)?, keyed: true }),
        "enum" => Type::Number,
        "fixed" => Type::Fixed(usize::try_from(schema.get("size")?.as_u64()?).ok()?),
        "record" => {
            let fields = schema.get("fields")?.as_array()?.iter();
            let fields = fields.map(|field| parse(field.get("type")?, named, depth + 1));
            Type::Record(fields.collect::<Option<_>>()?)
        }
        other => return Some(Type::Named(short(other))),
    };
    let name = short(schema.get("name")?.as_str()?);
    named.insert(name.clone(), own);
    Some(Type::Named(name))
}

/// A name without its namespace; Capture's types have names of their own.
fn short(name: &str) -> String {
    name.rsplit('.').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_type_are_passed_over() {
        let schema = br#"{"type":"record","name":"R","fields":[
            {"name":"n","type":"null"},{"name":"b","type":"boolean"},{"name":"l","type":"long"},
            {"name":"f","type":"float"},{"name":"d","type":{"type":"double"}},{"name":"s","type":"string"},
            {"name":"e","type":{"type":"enum","name":"x.E","symbols":["a","b"]}},
            {"name":"e2","type":"x.E"},{"name":"x","type":{"type":"fixed","name":"F","size":3}},
            {"name":"a","type":{"type":"array","items":"int"}},
            {"name":"m","type":{"type":"map","values":{"type":"array","items":"null"}}},
            {"name":"r","type":["null",{"type":"record","name":"List","fields":[
                {"name":"next","type":["null","List"]}]}]},
            {"name":"Body","type":["null","bytes"]}]}"#;
        let schema = Schema::parse(schema, "Body").expect("a schema of a record");
        assert_eq!(schema.body, Some(12));
        let mut record = vec![1, 0x80, 0x01];
        record.extend([0; 4 + 8]);
        record.extend([4, b'h', b'i', 2, 0, 9, 9, 9]);
        // Two numbers, then one in a block with its size.
        record.extend([4, 2, 4, 1, 2, 7, 0]);
        // A key whose value is a billion nulls.
        record.extend([2, 2, b'k', 0x80, 0xa8, 0xd6, 0xb9, 0x07, 0, 0]);
        record.extend([2, 2, 0, 2, 6, b'a', b'b', b'c']);
        let twice = [record.clone(), record.clone()].concat();
        let mut rest = &twice[..];
        assert_eq!(schema.next(&mut rest), Ok(Some(&b"abc"[..])));
        assert_eq!(schema.next(&mut rest), Ok(Some(&b"abc"[..])));
        assert!(rest.is_empty());
        for cut in 0..record.len() {
            assert!(schema.next(&mut &record[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn schemas_that_lead_nowhere_end_all_the_same() {
        let parse = |json: &str| Schema::parse(json.as_bytes(), "Body");
        assert!(parse("{}").is_none());
        assert!(parse(r#"{"fields":[{"name":"Body","type":{"type":"fixed","name":"F"}}]}"#).is_none());
        let own = r#"{"fields":[{"name":"a","type":{"type":"record","name":"R","fields":[{"name":"r","type":"R"}]}}]}"#;
        let own = parse(own).expect("a record that holds itself");
        assert_eq!(own.next(&mut &[0; 99][..]), Err("values nested too deep"));
        let nothing = parse(r#"{"fields":[{"name":"a","type":"null"}]}"#).expect("a record of nothing");
        assert_eq!(nothing.next(&mut &[0; 9][..]), Err("records of no bytes"));
    }
}
