//! Parameters as values of a plan: never as text of the SQL.
//!
//! Values that were given as text are read by the types that are declared, or, for SQL without a
//! header, by the types that the plan asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, IntervalMonthDayNano};
use chrono::{DateTime, Utc};
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::common::{ScalarValue, exec_err};
use datafusion::error::Result;
use datafusion::sql::sqlparser::ast::{self, ArrayElemTypeDef, TimezoneInfo};

use crate::detect::suggestion;
use crate::rules::{Parameter, ParameterKind, ParameterValue};

/// Parameters as they stand on a command line, in order; a name may come again.
pub type Given = Vec<(String, String)>;

/// Values by name.
pub type Values = BTreeMap<String, ParameterValue>;

/// Reads what was given for the declared parameters; the error names the parameter and lists all.
pub fn values(declared: &[Parameter], given: &Given, now: DateTime<Utc>) -> Result<Values, String> {
    let all = || match declared {
        [] => "the query has no parameters".to_string(),
        _ => format!("parameters: {}", declared.iter().map(Parameter::usage).collect::<Vec<_>>().join(", ")),
    };
    for (name, _) in given {
        if !declared.iter().any(|parameter| parameter.name == *name) {
            let hint = suggestion(name, declared.iter().map(|parameter| &parameter.name));
            return Err(format!("no parameter \"{name}\"{hint} ({})", all()));
        }
    }
    let mut values = Values::new();
    for parameter in declared {
        let name = &parameter.name;
        let texts = texts(given, name);
        let value = if texts.is_empty() {
            parameter.fallback(now).ok_or_else(|| {
                format!(
                    "parameter \"{name}\" is missing: {}; give it with -p {name}=… ({})",
                    parameter.description,
                    all()
                )
            })?
        } else {
            parameter
                .kind
                .parse(&texts, now)
                .map_err(|error| format!("parameter \"{name}\" ({}): {error}", parameter.kind.name()))?
        };
        values.insert(name.clone(), value);
    }
    Ok(values)
}

/// Reads what was given by the types the plan of the SQL asks for: text where it does not say.
pub(super) fn inferred(
    wanted: &BTreeMap<String, Option<DataType>>,
    given: &Given,
    now: DateTime<Utc>,
) -> Result<Values, String> {
    for (name, _) in given {
        if !wanted.contains_key(name) {
            let hint = match wanted.is_empty() {
                true => "; the SQL has no $name in it".to_string(),
                false => suggestion(name, wanted.keys()),
            };
            return Err(format!("no parameter \"{name}\"{hint}"));
        }
    }
    let mut values = Values::new();
    for (name, data_type) in wanted {
        let texts = texts(given, name);
        if texts.is_empty() {
            return Err(format!("parameter \"{name}\" is missing; give it with -p {name}=…"));
        }
        let kind = data_type.as_ref().map_or(ParameterKind::String, kind_of);
        let value = kind.parse(&texts, now);
        values
            .insert(name.clone(), value.map_err(|e| format!("parameter \"{name}\" ({}): {e}", kind.name()))?);
    }
    Ok(values)
}

fn texts(given: &Given, name: &str) -> Vec<String> {
    given.iter().filter(|(other, _)| other == name).map(|(_, text)| text.clone()).collect()
}

fn kind_of(data_type: &DataType) -> ParameterKind {
    match data_type {
        DataType::Boolean => ParameterKind::Bool,
        data_type if data_type.is_integer() => ParameterKind::Int,
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => ParameterKind::Time,
        DataType::Interval(_) | DataType::Duration(_) => ParameterKind::Duration,
        DataType::List(_) | DataType::LargeList(_) => ParameterKind::Strings,
        _ => ParameterKind::String,
    }
}

/// The type the planner is told before there is a value.
pub(super) fn sql_type(kind: ParameterKind) -> ast::DataType {
    match kind {
        ParameterKind::String | ParameterKind::Cidr => ast::DataType::Text,
        ParameterKind::Int => ast::DataType::BigInt(None),
        ParameterKind::Bool => ast::DataType::Boolean,
        ParameterKind::Time => ast::DataType::Timestamp(Some(6), TimezoneInfo::WithTimeZone),
        ParameterKind::Duration => ast::DataType::Interval { fields: None, precision: None },
        ParameterKind::Strings => {
            ast::DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(ast::DataType::Text), None))
        }
    }
}

/// The value in the type the planner made of [`sql_type`].
pub(super) fn scalar(value: &ParameterValue, data_type: &DataType) -> Result<ScalarValue> {
    let scalar = match value {
        ParameterValue::Null(_) => return ScalarValue::try_from(data_type),
        ParameterValue::String(text) | ParameterValue::Cidr(text) => ScalarValue::from(text.as_str()),
        ParameterValue::Int(number) => ScalarValue::from(*number),
        ParameterValue::Bool(truth) => ScalarValue::from(*truth),
        ParameterValue::Time(micros) => {
            ScalarValue::TimestampMicrosecond(Some(*micros), Some("+00:00".into()))
        }
        ParameterValue::Duration(micros) => {
            let nanos = micros.saturating_mul(1_000);
            ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(0, 0, nanos)))
        }
        ParameterValue::Strings(texts) => {
            let DataType::List(field) = data_type else {
                return exec_err!("a list is bound where {data_type} was planned");
            };
            let items: ArrayRef = Arc::new(StringViewArray::from_iter_values(texts));
            let items = cast(&items, field.data_type())?;
            return Ok(SingleRowListArrayBuilder::new(items).with_field(field).build_list_scalar());
        }
    };
    scalar.cast_to(data_type)
}

/// A value to plan with where there is none: what a query is checked with.
pub(super) fn sample(kind: ParameterKind) -> ParameterValue {
    match kind {
        ParameterKind::String => ParameterValue::String("x".into()),
        ParameterKind::Int => ParameterValue::Int(1),
        ParameterKind::Bool => ParameterValue::Bool(true),
        ParameterKind::Time => ParameterValue::Time(0),
        ParameterKind::Duration => ParameterValue::Duration(60_000_000),
        ParameterKind::Cidr => ParameterValue::Cidr("10.0.0.0/8".into()),
        ParameterKind::Strings => ParameterValue::Strings(vec!["x".into()]),
    }
}
