//! One field compared with its values, as the simplest SQL that means the same.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use regex_automata::meta::Regex;

use super::expr::Expr;
use super::field::{self, Field, Kind, quoted};
use super::modifier::{Modifiers, Operator};
use super::pattern::{Pattern, flags};
use super::problem::Reason;
use super::yaml::{Node, Place};
use crate::rules::closest;

/// Why a comparison has no meaning; without a place it is the field's.
#[derive(Debug)]
pub(super) struct Fault {
    pub reason: Reason,
    pub place: Option<Place>,
    pub message: String,
}

fn fault<T>(reason: Reason, place: Place, message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { reason, place: Some(place), message: message.into() })
}

/// One field with its values, all that `modifiers` ask for but the negation. `notes` gets what is likely
/// a mistake.
pub(super) fn compare(
    name: &str,
    field: &Field,
    modifiers: &Modifiers,
    values: &[Node],
    lists: &BTreeSet<String>,
    notes: &mut Vec<(Place, String)>,
) -> Result<Expr, Fault> {
    let comparison = Comparison { name, field, modifiers, lists };
    if field.kind == Kind::Time && modifiers.part.is_none() && modifiers.operator != Operator::Exists {
        let message = format!(
            "\"{name}\" is a time, and a rule names no time; hour or another part of it can be compared"
        );
        return Err(Fault { reason: Reason::Type, place: None, message });
    }
    if modifiers.part.is_some() && field.kind != Kind::Time {
        let message = format!("\"{name}\" is no time; requestReceivedTimestamp and stageTimestamp are");
        return Err(Fault { reason: Reason::Type, place: None, message });
    }
    if modifiers.operator == Operator::Equal && modifiers.part.is_none() {
        return comparison.equal(values, notes);
    }
    let tests = values.iter().map(|value| comparison.one(value)).collect::<Result<Vec<_>, _>>()?;
    Ok(if modifiers.all { Expr::all(tests) } else { Expr::any(tests) })
}

struct Comparison<'a> {
    name: &'a str,
    field: &'a Field,
    modifiers: &'a Modifiers,
    lists: &'a BTreeSet<String>,
}

impl Comparison<'_> {
    /// Texts and numbers, with wildcards or without, and null.
    fn equal(&self, values: &[Node], notes: &mut Vec<(Place, String)>) -> Result<Expr, Fault> {
        let (mut tests, mut exact) = (Vec::new(), Vec::new());
        for value in values {
            if value.is_null() {
                tests.push(self.null());
                continue;
            }
            let text = value.text().unwrap_or_default();
            let patterns = match self.modifiers.patterns(text) {
                Ok(patterns) => patterns,
                Err(message) => return fault(Reason::Value, value.place, message),
            };
            let mut any = Vec::new();
            for pattern in patterns {
                match pattern.plain() {
                    // Together with its like it is one test.
                    Some(text) if !self.modifiers.all => exact.push(self.value(value, text, notes)?),
                    Some(text) => any.push(self.exact(&[self.value(value, text, notes)?])),
                    None => any.push(self.wild(value, &pattern)?),
                }
            }
            if !any.is_empty() {
                tests.push(Expr::any(any));
            }
        }
        if !exact.is_empty() {
            tests.insert(0, self.exact(&exact));
        }
        Ok(if self.modifiers.all { Expr::all(tests) } else { Expr::any(tests) })
    }

    /// A value as the column has it.
    fn value(&self, node: &Node, text: String, notes: &mut Vec<(Place, String)>) -> Result<String, Fault> {
        match self.field.kind {
            Kind::Int => match text.trim().parse::<i64>() {
                Ok(number) => Ok(number.to_string()),
                Err(_) => fault(
                    Reason::Type,
                    node.place,
                    format!("\"{text}\" is no integer, and \"{}\" is a number such as 403", self.name),
                ),
            },
            Kind::Word(words) => match words.iter().find(|word| word.eq_ignore_ascii_case(&text)) {
                Some(word) if !self.modifiers.cased => Ok((*word).to_owned()),
                Some(word) if *word == text => Ok(text),
                _ => {
                    let message = format!(
                        "\"{text}\" never stands in {}, which is one of {}",
                        self.name,
                        words.join(", ")
                    );
                    notes.push((node.place, message));
                    Ok(text)
                }
            },
            _ => {
                if text.is_empty() && self.field.column == "api_group" {
                    notes.push((
                        node.place,
                        "the core group is absent in the log, not empty; null finds it".into(),
                    ));
                }
                Ok(text)
            }
        }
    }

    /// Equal to one of the values.
    fn exact(&self, values: &[String]) -> Expr {
        let sql = &self.field.sql;
        let mut values = values.to_vec();
        let cased = self.modifiers.cased;
        match self.field.kind {
            Kind::List | Kind::Body => {
                let mut texts: Vec<String> =
                    values.iter().map(|text| super::pattern::escaped(text)).collect();
                dedup(&mut texts);
                let alternatives = match texts.as_slice() {
                    [one] => one.clone(),
                    more => format!("({})", more.join("|")),
                };
                let expression = format!("{}^{alternatives}$", flags(cased, false));
                Expr::test(format!("any_match({sql}, {})", quoted(&expression)))
            }
            Kind::Int => {
                dedup(&mut values);
                Expr::test(one_of(sql, &values))
            }
            Kind::Text | Kind::Word(_) | Kind::Time => {
                let caseless = values.iter().all(|text| text.to_lowercase() == text.to_uppercase());
                let lower = !cased && !caseless && self.field.kind == Kind::Text;
                let left = if lower { format!("lower({sql})") } else { sql.clone() };
                let mut texts: Vec<String> = values
                    .iter()
                    .map(|text| quoted(&if lower { text.to_lowercase() } else { text.clone() }))
                    .collect();
                dedup(&mut texts);
                Expr::test(one_of(&left, &texts))
            }
        }
    }

    fn wild(&self, node: &Node, pattern: &Pattern) -> Result<Expr, Fault> {
        let (sql, cased) = (&self.field.sql, self.modifiers.cased);
        let like = if cased { "LIKE" } else { "ILIKE" };
        Ok(match self.field.kind {
            Kind::List | Kind::Body if pattern.is_anything() => Expr::test(format!("cardinality({sql}) > 0")),
            _ if pattern.is_anything() => Expr::sure(format!("{sql} IS NOT NULL")),
            Kind::List | Kind::Body => {
                Expr::test(format!("any_match({sql}, {})", quoted(&pattern.regex(cased))))
            }
            Kind::Int if !pattern.fits_a_number() => {
                let text = node.text().unwrap_or_default();
                let message =
                    format!("\"{text}\" can be no integer, and \"{}\" is a number such as 403", self.name);
                return fault(Reason::Type, node.place, message);
            }
            Kind::Int => Expr::test(format!("CAST({sql} AS text) LIKE {}", quoted(&pattern.like()))),
            Kind::Text | Kind::Word(_) | Kind::Time => {
                Expr::test(format!("{sql} {like} {}", quoted(&pattern.like())))
            }
        })
    }

    fn null(&self) -> Expr {
        let sql = &self.field.sql;
        match self.field.kind {
            Kind::List | Kind::Body => Expr::sure(format!("coalesce(cardinality({sql}), 0) = 0")),
            _ => Expr::sure(format!("{sql} IS NULL")),
        }
    }

    /// What is no equality: one value.
    fn one(&self, node: &Node) -> Result<Expr, Fault> {
        let text = node.text().unwrap_or_default();
        let sql = &self.field.sql;
        if node.is_null() {
            return fault(
                Reason::Value,
                node.place,
                "null goes with no modifier of comparison; write the field alone",
            );
        }
        let as_text =
            || if self.field.kind == Kind::Int { format!("CAST({sql} AS text)") } else { sql.clone() };
        match self.modifiers.operator {
            Operator::Regex => {
                let flags = &self.modifiers.flags;
                let flags = if flags.is_empty() { String::new() } else { format!("(?{flags})") };
                let expression = format!("{flags}{text}");
                if let Err(error) = Regex::new(&expression) {
                    return fault(Reason::Value, node.place, not_regular(text, &error));
                }
                let function = if self.many() { "any_match" } else { "regexp_like" };
                Ok(Expr::test(format!("{function}({}, {})", as_text(), quoted(&expression))))
            }
            Operator::Cidr => {
                let Some(range) = cidr(text) else {
                    let message = format!("\"{text}\" is no CIDR; write one such as 10.0.0.0/8");
                    return fault(Reason::Value, node.place, message);
                };
                let function = if self.many() { "any_cidr" } else { "cidr_match" };
                match self.field.kind {
                    Kind::Int => self.unfit(node, "a number, and no address"),
                    _ => Ok(Expr::test(format!("{function}({sql}, {})", quoted(&range.to_string())))),
                }
            }
            Operator::Order(operator) => self.number(node, operator),
            Operator::Equal => self.number(node, "="),
            Operator::Exists => match text.to_lowercase().as_str() {
                "true" => Ok(Expr::sure(format!("{sql} IS NOT NULL"))),
                "false" => Ok(Expr::sure(format!("{sql} IS NULL"))),
                _ => fault(Reason::Value, node.place, "exists is true or false"),
            },
            Operator::Listed => {
                let name = self.list(node)?;
                match self.many() {
                    true => self.unfit(node, "a list, and expand looks up one value; compare another field"),
                    false => Ok(Expr::sure(format!("listed({}, {})", quoted(&name), as_text()))),
                }
            }
            Operator::FieldRef => self.reference(node),
        }
    }

    /// Whether any of several values may match.
    fn many(&self) -> bool {
        matches!(self.field.kind, Kind::List | Kind::Body)
    }

    fn unfit<T>(&self, node: &Node, what: &str) -> Result<T, Fault> {
        fault(Reason::Type, node.place, format!("\"{}\" is {what}", self.name))
    }

    fn number(&self, node: &Node, operator: &str) -> Result<Expr, Fault> {
        let text = node.text().unwrap_or_default().trim();
        let digits = text.strip_prefix('-').unwrap_or(text);
        let part =
            |part: &str| !part.is_empty() && part.len() <= 18 && part.bytes().all(|b| b.is_ascii_digit());
        if !digits.split_once('.').map_or(part(digits), |(whole, rest)| part(whole) && part(rest)) {
            return fault(Reason::Value, node.place, format!("\"{text}\" is no number"));
        }
        let sql = &self.field.sql;
        match (self.field.kind, self.modifiers.part) {
            (Kind::Time, Some(part)) => {
                Ok(Expr::test(format!("date_part('{part}', {sql}) {operator} {text}")))
            }
            (Kind::Int, _) => Ok(Expr::test(format!("{sql} {operator} {text}"))),
            (Kind::Body, _) => {
                let edge = if operator.starts_with('<') { "array_min" } else { "array_max" };
                Ok(Expr::test(format!("{edge}(TRY_CAST({sql} AS DOUBLE PRECISION[])) {operator} {text}")))
            }
            _ => self.unfit(node, "text, and text has no order of numbers"),
        }
    }

    /// The list of ours that a placeholder means.
    fn list(&self, node: &Node) -> Result<String, Fault> {
        let text = node.text().unwrap_or_default().trim();
        let inner = text
            .strip_prefix('%')
            .and_then(|rest| rest.strip_suffix('%'))
            .filter(|name| !name.is_empty() && !name.contains('%'));
        let Some(name) = inner else {
            let message = format!(
                "\"{text}\" is no placeholder; expand takes one such as %administrators% and nothing beside it"
            );
            return fault(Reason::Value, node.place, message);
        };
        let snake = name.to_lowercase().replace(['-', ' '], "_");
        match self.lists.iter().find(|list| **list == name || list.to_lowercase() == snake) {
            Some(list) => Ok(list.clone()),
            None => {
                let hint = closest(&snake, self.lists.iter().map(String::as_str));
                let hint = hint.map(|found| format!("; did you mean \"{found}\"?")).unwrap_or_default();
                let message =
                    format!("no list \"{snake}\" for the placeholder {text}; add lists/{snake}.csv{hint}");
                fault(Reason::Value, node.place, message)
            }
        }
    }

    fn reference(&self, node: &Node) -> Result<Expr, Fault> {
        let text = node.text().unwrap_or_default();
        let other = match field::resolve(text) {
            Ok(other) => other,
            Err(message) => return fault(Reason::Field, node.place, message),
        };
        let is_text = |kind| matches!(kind, Kind::Text | Kind::Word(_));
        if !is_text(self.field.kind) || !is_text(other.kind) {
            let message =
                format!("\"{}\" and \"{text}\" cannot be compared; fieldref compares two texts", self.name);
            return fault(Reason::Type, node.place, message);
        }
        let read = |sql: &str| if self.modifiers.cased { sql.to_owned() } else { format!("lower({sql})") };
        let (left, right) = (read(&self.field.sql), read(&other.sql));
        Ok(Expr::test(match self.modifiers.reference() {
            Some(function) => format!("{function}({left}, {right})"),
            None => format!("{left} = {right}"),
        }))
    }
}

fn dedup(texts: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    texts.retain(|text| seen.insert(text.clone()));
}

fn one_of(left: &str, values: &[String]) -> String {
    match values {
        [one] => format!("{left} = {one}"),
        more => format!("{left} IN ({})", more.join(", ")),
    }
}

/// A range, or an address alone.
fn cidr(text: &str) -> Option<IpNet> {
    let text = text.trim();
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

fn not_regular(text: &str, error: &regex_automata::meta::BuildError) -> String {
    if ["(?=", "(?!", "(?<=", "(?<!"].iter().any(|look| text.contains(look)) {
        return "a regular expression that looks ahead or behind is not supported; put it into two searches"
            .into();
    }
    match error.size_limit() {
        Some(_) => "the regular expression is too large; write it shorter".into(),
        None => format!("\"{text}\" is no regular expression: {}", reason(error)),
    }
}

/// The last line of what the parser says: its first ones draw the expression.
fn reason(error: &regex_automata::meta::BuildError) -> String {
    let whole = error.syntax_error().map_or_else(|| error.to_string(), ToString::to_string);
    let last = whole.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    last.trim().trim_start_matches("error: ").to_owned()
}
