//! What a query is given by whoever runs it: typed, described, checked before it is bound.
//!
//! Text in, [`ParameterValue`] out; how a value enters a plan is decided in `hunt`.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use toml::de::{DeTable, DeValue};

use super::diagnostic::closest;
use super::header::{Header, Place, is_filled};
use super::{parse_duration, parse_time};

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterKind {
    String,
    Int,
    Bool,
    Time,
    Duration,
    Cidr,
    Strings,
}

/// A value to bind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParameterValue {
    /// An optional parameter that was not given.
    Null(ParameterKind),
    String(String),
    Int(i64),
    Bool(bool),
    /// Microseconds since the epoch.
    Time(i64),
    /// Microseconds.
    Duration(i64),
    /// An address with the length of its prefix.
    Cidr(String),
    Strings(Vec<String>),
}

/// One parameter of a query, written `$name` in its SQL.
#[derive(Debug, Clone)]
pub struct Parameter {
    pub name: String,
    pub kind: ParameterKind,
    pub description: String,
    /// Whether it must be given; one that need not be and has no default is null.
    pub required: bool,
    /// As text, in the form of the command line; several of them for a list.
    pub default: Option<Vec<String>>,
    /// Where it stands in the file.
    pub place: Place,
}

impl ParameterKind {
    pub const ALL: [Self; 7] =
        [Self::String, Self::Int, Self::Bool, Self::Time, Self::Duration, Self::Cidr, Self::Strings];

    /// The name in a header.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Int => "int",
            Self::Bool => "bool",
            Self::Time => "time",
            Self::Duration => "duration",
            Self::Cidr => "cidr",
            Self::Strings => "string[]",
        }
    }

    /// Reads a value. Several texts are items of a list, or the last one counts; a list may also be
    /// one text with commas, or JSON. The error says what is wrong with the value.
    pub fn parse(self, texts: &[String], now: DateTime<Utc>) -> Result<ParameterValue, String> {
        let text = texts.last().map_or("", String::as_str);
        let wrong = |wanted: &str| format!("\"{text}\" is no {wanted}");
        Ok(match self {
            Self::String => ParameterValue::String(text.to_string()),
            Self::Int => ParameterValue::Int(text.trim().parse().map_err(|_| wrong("whole number"))?),
            Self::Bool => match text.trim().to_lowercase().as_str() {
                "true" | "yes" => ParameterValue::Bool(true),
                "false" | "no" => ParameterValue::Bool(false),
                _ => return Err(wrong("truth value; write true or false")),
            },
            Self::Time => {
                let time = parse_time(text.trim(), now).map_err(|error| format!("\"{text}\" is {error}"))?;
                ParameterValue::Time(time)
            }
            Self::Duration => {
                let span = parse_duration(text.trim())?.num_microseconds();
                ParameterValue::Duration(span.ok_or_else(|| format!("\"{text}\" is too long"))?)
            }
            Self::Cidr => {
                // A single address is a range of one.
                let range =
                    text.trim().parse::<IpNet>().or_else(|_| text.trim().parse::<IpAddr>().map(IpNet::from));
                let range = range.map_err(|_| wrong("CIDR; write one such as 10.0.0.0/8"))?;
                ParameterValue::Cidr(range.to_string())
            }
            Self::Strings => {
                let mut items = Vec::new();
                for text in texts {
                    if text.trim_start().starts_with('[') {
                        let list: Result<Vec<String>, _> = serde_json::from_str(text);
                        items.extend(
                            list.map_err(|_| format!("\"{text}\" is no list; write a,b or [\"a\", \"b\"]"))?,
                        );
                    } else {
                        items.extend(text.split(',').map(|item| item.trim().to_string()));
                    }
                }
                items.retain(|item| !item.is_empty());
                ParameterValue::Strings(items)
            }
        })
    }
}

impl ParameterValue {
    pub fn kind(&self) -> ParameterKind {
        match self {
            Self::Null(kind) => *kind,
            Self::String(_) => ParameterKind::String,
            Self::Int(_) => ParameterKind::Int,
            Self::Bool(_) => ParameterKind::Bool,
            Self::Time(_) => ParameterKind::Time,
            Self::Duration(_) => ParameterKind::Duration,
            Self::Cidr(_) => ParameterKind::Cidr,
            Self::Strings(_) => ParameterKind::Strings,
        }
    }
}

impl Parameter {
    /// How it is given, for people: `identity (string, required)`.
    pub fn usage(&self) -> String {
        let default = match (&self.default, self.required) {
            (Some(texts), _) => format!("default {}", texts.join(",")),
            (None, true) => "required".to_string(),
            (None, false) => "optional".to_string(),
        };
        format!("{} ({}, {default})", self.name, self.kind.name())
    }

    /// The value that stands for it where none is given; `None` if one must be.
    pub fn fallback(&self, now: DateTime<Utc>) -> Option<ParameterValue> {
        match &self.default {
            // The header's check made sure that it can be read.
            Some(texts) => self.kind.parse(texts, now).ok(),
            None if self.required => None,
            None => Some(ParameterValue::Null(self.kind)),
        }
    }
}

const KEYS: [&str; 4] = ["type", "description", "default", "required"];
const EXAMPLE: &str = "identity = { type = \"string\", description = \"whose\", required = true }";

impl<'a> Header<'a> {
    /// The table `[params]`, in order of the file.
    pub(super) fn parameters(&mut self) -> Vec<Parameter> {
        let Some((value, place)) = self.get("params") else { return Vec::new() };
        let DeValue::Table(table) = value else {
            self.wrong_type("params", place, "a table");
            return Vec::new();
        };
        let mut parameters = Vec::new();
        for (name, value) in table {
            let place = self.place(name.span());
            let name = name.get_ref().as_ref();
            if !is_name(name) {
                let message = format!(
                    "\"{name}\" is no name of a parameter; use lower case letters, digits and underscores"
                );
                self.problem(place, message);
                continue;
            }
            let DeValue::Table(inner) = value.get_ref() else {
                self.problem(place, format!("parameter \"{name}\" must be a table, such as {EXAMPLE}"));
                continue;
            };
            parameters.extend(self.parameter(name, place, inner));
        }
        parameters.sort_by_key(|parameter| parameter.place);
        parameters
    }

    /// The table `example`: values for some of the parameters.
    pub(super) fn example(&mut self, params: &[Parameter]) -> Vec<(String, String)> {
        let Some((value, place)) = self.get("example") else { return Vec::new() };
        let DeValue::Table(table) = value else {
            self.wrong_type("example", place, "a table");
            return Vec::new();
        };
        let declared: Vec<&str> = match self.get("params") {
            Some((DeValue::Table(params), _)) => {
                params.iter().map(|(name, _)| name.get_ref().as_ref()).collect()
            }
            _ => Vec::new(),
        };
        let mut given = Vec::new();
        for (name, value) in table {
            let at = self.place(name.span());
            let name = name.get_ref().as_ref();
            let Some(parameter) = params.iter().find(|parameter| parameter.name == name) else {
                // One that is declared wrongly was spoken about already.
                if !declared.contains(&name) {
                    let message =
                        format!("example of \"{name}\", which is no parameter; declare it under params");
                    self.problem(at, message);
                }
                continue;
            };
            match texts(parameter.kind, value.get_ref()) {
                Ok(texts) => given.extend(texts.into_iter().map(|text| (name.to_string(), text))),
                Err(message) => self.problem(at, format!("example of parameter \"{name}\": {message}")),
            }
        }
        given.sort();
        given
    }

    fn parameter(&mut self, name: &str, place: Place, table: &'a DeTable<'a>) -> Option<Parameter> {
        for (key, _) in table {
            let unknown = key.get_ref().as_ref();
            if !KEYS.contains(&unknown) {
                let hint = match closest(unknown, KEYS) {
                    Some(meant) => format!("did you mean \"{meant}\"?"),
                    None => format!("there are {}", KEYS.join(", ")),
                };
                let at = self.place(key.span());
                self.problem(at, format!("unknown key \"{unknown}\" of parameter \"{name}\"; {hint}"));
            }
        }
        let text = |header: &mut Self, key: &str| {
            let Some(value) = table.get(key) else {
                header
                    .problem(place, format!("parameter \"{name}\" has no {key}; write it such as {EXAMPLE}"));
                return None;
            };
            let at = header.place(value.span());
            match value.get_ref().as_str().filter(|text| is_filled(text)) {
                Some(text) => Some((text.to_string(), at)),
                None => {
                    header.problem(at, format!("{key} of parameter \"{name}\" must be a text in quotes"));
                    None
                }
            }
        };
        let description = text(self, "description");
        let (kind, at) = text(self, "type")?;
        let Some(kind) = ParameterKind::ALL.into_iter().find(|known| known.name() == kind) else {
            let names = ParameterKind::ALL.map(ParameterKind::name);
            let hint = match closest(&kind, names) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => format!("there are {}", names.join(", ")),
            };
            self.problem(at, format!("unknown type \"{kind}\" of parameter \"{name}\"; {hint}"));
            return None;
        };
        let default = match table.get("default") {
            Some(value) => {
                let at = self.place(value.span());
                match texts(kind, value.get_ref()) {
                    Ok(texts) => Some(texts),
                    Err(message) => {
                        self.problem(at, format!("default of parameter \"{name}\": {message}"));
                        return None;
                    }
                }
            }
            None => None,
        };
        let required = match table.get("required") {
            None => default.is_none(),
            Some(value) => {
                let at = self.place(value.span());
                let Some(required) = value.get_ref().as_bool() else {
                    self.problem(at, format!("required of parameter \"{name}\" must be true or false"));
                    return None;
                };
                if required && default.is_some() {
                    let message =
                        format!("parameter \"{name}\" has a default and is required; remove one of them");
                    self.problem(at, message);
                }
                required
            }
        };
        let (description, _) = description?;
        Some(Parameter { name: name.to_string(), kind, description, required, default, place })
    }
}

/// A default or example in the form of the command line.
fn texts(kind: ParameterKind, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let wanted = || format!("it must be of type {}", kind.name());
    let texts = match (kind, value) {
        (ParameterKind::Int, DeValue::Integer(number)) => vec![number.to_string()],
        (ParameterKind::Bool, DeValue::Boolean(truth)) => vec![truth.to_string()],
        (ParameterKind::Int | ParameterKind::Bool, _) => return Err(wanted()),
        (ParameterKind::Strings, DeValue::Array(items)) => {
            let texts = items.iter().map(|item| item.get_ref().as_str().map(String::from));
            texts.collect::<Option<Vec<_>>>().ok_or_else(wanted)?
        }
        (ParameterKind::Strings, _) => return Err(format!("{}: [\"a\", \"b\"]", wanted())),
        (_, value) => vec![value.as_str().ok_or_else(wanted)?.to_string()],
    };
    // Any now will do: what depends on it is read again when the query runs.
    kind.parse(&texts, DateTime::UNIX_EPOCH + chrono::TimeDelta::days(20_000))?;
    Ok(texts)
}

/// Lower case, as SQL reads names without quotes.
fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_')
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(kind: ParameterKind, texts: &[&str]) -> Result<ParameterValue, String> {
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        kind.parse(&texts, DateTime::UNIX_EPOCH + chrono::TimeDelta::days(2))
    }

    #[test]
    fn values_of_each_type() {
        use ParameterValue as V;
        for (kind, texts, value) in [
            (ParameterKind::String, &["a,b"][..], V::String("a,b".into())),
            (ParameterKind::Int, &["1", "-2"], V::Int(-2)),
            (ParameterKind::Bool, &["Yes"], V::Bool(true)),
            (ParameterKind::Time, &["24h"], V::Time(86_400_000_000)),
            (ParameterKind::Time, &["1970-01-01T00:00:01Z"], V::Time(1_000_000)),
            (ParameterKind::Duration, &["10m"], V::Duration(600_000_000)),
            (ParameterKind::Cidr, &["10.0.0.0/8"], V::Cidr("10.0.0.0/8".into())),
            (ParameterKind::Cidr, &["2001:db8::1"], V::Cidr("2001:db8::1/128".into())),
            (ParameterKind::Strings, &["a, b", "c"], V::Strings(vec!["a".into(), "b".into(), "c".into()])),
            (ParameterKind::Strings, &["[\"a,b\"]"], V::Strings(vec!["a,b".into()])),
        ] {
            assert_eq!(parse(kind, texts), Ok(value.clone()), "{texts:?}");
            assert_eq!(value.kind(), kind);
        }
    }

    #[test]
    fn wrong_values_say_what_is_wrong() {
        for (kind, text, said) in [
            (ParameterKind::Int, "1.5", "\"1.5\" is no whole number"),
            (ParameterKind::Bool, "1", "write true or false"),
            (ParameterKind::Time, "yesterday", "\"yesterday\" is not a time; write"),
            (ParameterKind::Duration, "10", "\"10\" is no duration; write"),
            (ParameterKind::Cidr, "10.0.0.0/33", "is no CIDR; write"),
            (ParameterKind::Strings, "[a", "is no list; write"),
        ] {
            let message = parse(kind, &[text]).unwrap_err();
            assert!(message.contains(said), "{message}");
        }
    }
}
