//! The detection of a rule: its searches, and the condition that puts them together.

use std::collections::BTreeSet;

use regex_automata::meta::Regex;

use super::compare::{Fault, compare};
use super::condition;
use super::expr::Expr;
use super::field::{self, Field, quoted};
use super::modifier::{Modifiers, Operator};
use super::pattern::{Pattern, flags};
use super::problem::{Problem, Reason};
use super::yaml::{Node, Place, Value};

/// Comparisons of one rule, so that its SQL stays something to read and to plan.
const MAX_TESTS: usize = 1000;

/// Every text of an event, a line each: what a keyword is looked for in.
const EVERYTHING: &str = "concat_ws(chr(10), audit_id, level, stage, verb, request_uri, username, user_uid, \
array_to_string(groups, chr(10)), user_extra, impersonated_username, array_to_string(impersonated_groups, chr(10)), \
array_to_string(source_ips, chr(10)), user_agent, api_group, api_version, resource, subresource, namespace, name, \
object_uid, CAST(status_code AS text), status_reason, status_message, request_object, response_object, annotations)";

/// A detection understood.
#[derive(Debug, Clone)]
pub(super) struct Detected {
    pub expr: Expr,
    /// Fields it reads, by the name the rule gives them; each once.
    pub fields: Vec<(String, Field)>,
    /// Whether it looks for words anywhere in the event.
    pub keywords: bool,
    pub warnings: Vec<(Place, String)>,
}

/// Reads a detection; `lists` are the names `expand` may use.
pub(super) fn read(node: &Node, lists: &BTreeSet<String>) -> Result<Detected, Vec<Problem>> {
    let found =
        Detected { expr: Expr::And(Vec::new()), fields: Vec::new(), keywords: false, warnings: Vec::new() };
    let mut reader = Reader { lists, problems: Vec::new(), found };
    let expr = reader.detection(node);
    let Reader { problems, mut found, .. } = reader;
    match expr {
        Some(expr) if problems.is_empty() => {
            found.expr = expr;
            Ok(found)
        }
        _ => Err(problems),
    }
}

struct Reader<'a> {
    lists: &'a BTreeSet<String>,
    problems: Vec<Problem>,
    found: Detected,
}

impl Reader<'_> {
    fn problem(&mut self, reason: Reason, place: Place, message: impl Into<String>) {
        self.problems.push(Problem::new(reason, place, message));
    }

    fn detection(&mut self, node: &Node) -> Option<Expr> {
        let (mut searches, mut conditions) = (Vec::new(), None);
        for (key, value) in node.entries() {
            match key.name.as_str() {
                "condition" => conditions = Some(value),
                "timeframe" => self.problem(
                    Reason::Correlation,
                    key.place,
                    "timeframe belongs to the aggregations of the first Sigma; write a correlation rule instead",
                ),
                name => {
                    if let Some(expr) = self.search(value) {
                        searches.push((name.to_owned(), expr));
                    }
                }
            }
        }
        let Some(conditions) = conditions else {
            self.problem(Reason::Structure, node.place, "the detection has no condition");
            return None;
        };
        // A search that cannot be read would only be missed a second time.
        if !self.problems.is_empty() {
            return None;
        }
        let (mut used, mut any) = (Vec::new(), Vec::new());
        for item in conditions.items() {
            let Some(text) = item.text() else {
                self.problem(
                    Reason::Condition,
                    item.place,
                    format!("{} as a condition; write a text", item.kind()),
                );
                continue;
            };
            match condition::parse(text, &searches, &mut used) {
                Ok(expr) => any.push(expr),
                Err(message) => self.problem(Reason::Condition, item.place, message),
            }
        }
        if any.is_empty() && self.problems.is_empty() {
            self.problem(Reason::Condition, conditions.place, "the condition is empty");
        }
        for (key, _) in node.entries() {
            let name = &key.name;
            if !matches!(name.as_str(), "condition" | "timeframe")
                && !used.contains(name)
                && !name.starts_with('_')
            {
                self.found.warnings.push((key.place, format!("search \"{name}\" is not in the condition")));
            }
        }
        let expr = Expr::any(any);
        if expr.size() > MAX_TESTS {
            let message = format!(
                "more than {MAX_TESTS} comparisons; put the values into a list of ours and use expand"
            );
            self.problem(Reason::Value, conditions.place, message);
        }
        Some(expr)
    }

    fn search(&mut self, node: &Node) -> Option<Expr> {
        match &node.value {
            Value::Map(entries) if !entries.is_empty() => {
                let items: Vec<_> =
                    entries.iter().map(|(key, value)| self.item(&key.name, key.place, value)).collect();
                items.into_iter().collect::<Option<Vec<_>>>().map(Expr::all)
            }
            Value::List(items) if !items.is_empty() => {
                let (words, others): (Vec<&Node>, Vec<&Node>) =
                    items.iter().partition(|item| item.text().is_some());
                let mut any: Vec<_> = others.into_iter().map(|item| self.search(item)).collect();
                if !words.is_empty() {
                    any.push(self.keywords(&words, &[], node.place));
                }
                any.into_iter().collect::<Option<Vec<_>>>().map(Expr::any)
            }
            Value::Scalar { .. } if !node.is_null() => self.keywords(&[node], &[], node.place),
            _ => {
                self.problem(
                    Reason::Structure,
                    node.place,
                    "an empty search would match everything; fill it or remove it",
                );
                None
            }
        }
    }

    /// One `field|modifiers: values`.
    fn item(&mut self, key: &str, place: Place, value: &Node) -> Option<Expr> {
        let mut words = key.split('|');
        let name = words.next().unwrap_or_default().trim();
        let words: Vec<&str> = words.collect();
        let values = value.items();
        if let Some(wrong) = values.iter().find(|item| item.text().is_none()) {
            let message =
                format!("{} where a value should be; a field has a value or a list of values", wrong.kind());
            self.problem(Reason::Structure, wrong.place, message);
            return None;
        }
        if values.is_empty() {
            self.problem(
                Reason::Value,
                value.place,
                "an empty list of values matches nothing; fill it or remove it",
            );
            return None;
        }
        if name.is_empty() {
            let values: Vec<&Node> = values.iter().collect();
            return self.keywords(&values, &words, place);
        }
        // What is wrong with the field and what with its modifiers are two things.
        let field = field::resolve(name).map_err(|message| self.problem(Reason::Field, place, message)).ok();
        let modifiers =
            Modifiers::parse(&words).map_err(|message| self.problem(Reason::Modifier, place, message)).ok();
        let (field, modifiers) = (field?, modifiers?);
        let mut notes = Vec::new();
        match compare(name, &field, &modifiers, values, self.lists, &mut notes) {
            Ok(expr) => {
                self.found.warnings.extend(notes);
                if !self.found.fields.iter().any(|(known, _)| known == name) {
                    self.found.fields.push((name.to_owned(), field));
                }
                Some(if modifiers.negated { expr.not() } else { expr })
            }
            Err(Fault { reason, place: at, message }) => {
                self.problem(reason, at.unwrap_or(place), message);
                None
            }
        }
    }

    /// Words looked for anywhere in the event.
    fn keywords(&mut self, words: &[&Node], modifiers: &[&str], place: Place) -> Option<Expr> {
        let modifiers = match Modifiers::parse(modifiers) {
            Ok(found) if found.operator == Operator::Equal && found.part.is_none() => found,
            Ok(_) => {
                self.problem(
                    Reason::Modifier,
                    place,
                    "keywords are texts; only all, cased and what changes texts go with them",
                );
                return None;
            }
            Err(message) => {
                self.problem(Reason::Modifier, place, message);
                return None;
            }
        };
        self.found.keywords = true;
        let mut patterns = Vec::new();
        for word in words {
            let text = word.text().unwrap_or_default();
            if text.is_empty() || word.is_null() {
                self.problem(Reason::Value, word.place, "an empty keyword is in every event; remove it");
                return None;
            }
            match modifiers.patterns(text) {
                Ok(found) => patterns.push(found),
                Err(message) => {
                    self.problem(Reason::Value, word.place, message);
                    return None;
                }
            }
        }
        let test = |patterns: &[Pattern]| {
            let texts: Vec<String> = patterns.iter().map(Pattern::anywhere).collect();
            let expression = format!("{}{}", flags(modifiers.cased, true), texts.join("|"));
            // Thousands of words are more than one expression holds.
            Regex::new(&expression).ok()?;
            // `concat_ws` is never null.
            Some(Expr::sure(format!("regexp_like({EVERYTHING}, {})", quoted(&expression))))
        };
        let tests = match modifiers.all {
            true => patterns.iter().map(|patterns| test(patterns)).collect::<Option<Vec<_>>>(),
            false => test(&patterns.concat()).map(|test| vec![test]),
        };
        let Some(tests) = tests else {
            self.problem(Reason::Value, place, "too many keywords for one search; divide them");
            return None;
        };
        let expr = Expr::all(tests);
        Some(if modifiers.negated { expr.not() } else { expr })
    }
}
