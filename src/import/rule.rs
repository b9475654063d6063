//! One rule over single events: its `SELECT` and its header.

use std::collections::BTreeSet;

use super::detection::{self, Detected};
use super::expr::Expr;
use super::field::{self, Kind};
use super::meta::{self, Meta};
use super::problem::{Problem, Reason};
use super::write::Header;
use super::yaml::{Node, Place};

/// A rule understood.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub meta: Meta,
    pub detected: Detected,
    /// Log categories that carry it; empty = either of the two.
    pub categories: Vec<&'static str>,
}

/// Reads a rule with a detection; every problem is reported.
pub(super) fn read(node: &Node, lists: &BTreeSet<String>) -> Result<Rule, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut keep = |problem: Problem| problems.push(problem);
    let meta = meta::read(node).map_err(&mut keep).ok();
    // What a rule about another log compares with has no meaning here.
    let categories = meta::log_source(node).map_err(&mut keep).ok();
    if categories.is_none() || meta.is_none() {
        return Err(problems);
    }
    let detected = match node.get("detection") {
        Some(detection) => detection::read(detection, lists),
        None => Err(vec![Problem::new(Reason::Structure, node.place, "no detection; is this a Sigma rule?")]),
    };
    match (meta, categories, detected) {
        (Some(meta), Some(categories), Ok(detected)) => Ok(Rule { meta, detected, categories }),
        (_, _, Err(found)) => Err(found),
        _ => Err(problems),
    }
}

/// Columns every alert shows.
const BASE: [&str; 9] = [
    "cluster",
    "username",
    "verb",
    "resource",
    "namespace",
    "name",
    "status_code",
    "client_ip",
    "user_agent",
];

impl Rule {
    /// The statement.
    pub fn sql(&self) -> String {
        let mut columns: Vec<String> = BASE.iter().map(|name| (*name).to_owned()).collect();
        let mut names: Vec<String> = columns.clone();
        let shown =
            self.meta.fields.iter().filter_map(|(name, _)| Some((name.clone(), field::resolve(name).ok()?)));
        for (name, field) in self.detected.fields.iter().cloned().chain(shown) {
            let whole_body =
                matches!(field.column, "request_object" | "response_object" | "annotations" | "user_extra");
            match field.kind {
                // The time is the alert's own, a body is too long to show.
                Kind::Time => {}
                Kind::Body => {
                    let line = |alias: &str| format!("{} AS {alias}", field.sql);
                    if !columns.iter().any(|column| column.starts_with(&format!("{} AS ", field.sql))) {
                        let alias = alias(&name, &names);
                        columns.push(line(&alias));
                        names.push(alias);
                    }
                }
                _ if whole_body || names.contains(&field.sql) => {}
                _ => {
                    columns.push(field.sql.clone());
                    names.push(field.sql);
                }
            }
        }
        format!(
            "SELECT\n    {}\nFROM audit\nWHERE\n{}",
            columns.join(",\n    "),
            self.detected.expr.filter(4)
        )
    }

    pub fn header(&self) -> Header {
        let key = ["cluster", "username", "namespace", "name"].map(str::to_owned).to_vec();
        let summary =
            "{username} from {client_ip}: {verb} {resource} {namespace}/{name} in {cluster}, answered {status_code}".to_owned();
        Header { key, summary, categories: self.categories(), window: None, remarks: self.remarks() }
    }

    /// The categories of its log source, else those that carry the verbs it asks for.
    pub fn categories(&self) -> Vec<String> {
        if !self.categories.is_empty() {
            return self.categories.iter().map(|name| (*name).to_owned()).collect();
        }
        let reads = ["verb = 'get'", "verb = 'list'", "verb = 'watch'"];
        let only_reads = |test: &Expr| match test {
            Expr::Test(test) => match test.sql.strip_prefix("verb IN (") {
                Some(verbs) => verbs
                    .trim_end_matches(')')
                    .split(", ")
                    .all(|verb| matches!(verb, "'get'" | "'list'" | "'watch'")),
                None => reads.contains(&test.sql.as_str()),
            },
            _ => false,
        };
        match self.detected.expr.conjuncts().iter().any(only_reads) {
            true => vec!["kube-audit".into()],
            false => Vec::new(),
        }
    }

    /// What people should know of what it cannot see.
    pub fn remarks(&self) -> Vec<String> {
        let reads = |column: &str| self.detected.fields.iter().any(|(_, field)| field.column == column);
        let mut remarks = Vec::new();
        let bodies: Vec<&str> = [("request_object", "request"), ("response_object", "response")]
            .into_iter()
            .filter(|(column, _)| reads(column))
            .map(|(_, name)| name)
            .collect();
        if !bodies.is_empty() {
            remarks.push(format!(
                "It reads the body of the {}: where that is missing (level Metadata, too large, or cut away) what it compares is absent.",
                bodies.join(" and the ")
            ));
        }
        if reads("decision") || reads("decision_reason") || reads("annotations") {
            remarks.push("It reads annotations, which are the first to be lost when a record is cut.".into());
        }
        if self.detected.keywords {
            remarks.push("It looks for words in the texts of the event's columns and bodies, not in the names of its fields.".into());
        }
        remarks
    }

    /// What is likely not what its author meant, with places.
    pub fn warnings(&self) -> Vec<(Place, String)> {
        let mut warnings = self.meta.warnings.clone();
        warnings.extend(self.detected.warnings.iter().cloned());
        for (name, place) in &self.meta.fields {
            if let Err(message) = field::resolve(name) {
                warnings.push((*place, format!("not shown: {message}")));
            }
        }
        let has = |wanted: &dyn Fn(&str) -> bool| {
            let test = |test: &Expr| matches!(test, Expr::Test(test) if wanted(&test.sql));
            self.detected.expr.conjuncts().iter().any(test)
        };
        let creates = has(&|sql| sql == "verb = 'create'");
        let streams = |sql: &str| {
            sql.starts_with("lower(subresource)")
                && ["'exec'", "'attach'", "'portforward'"].iter().any(|word| sql.contains(word))
        };
        if creates && has(&streams) {
            let message = "exec, attach and portforward over WebSocket are a get: a rule about create does not see them";
            warnings.push((self.meta.place, message.into()));
        }
        warnings
    }
}

/// A name for a value in a body: the end of its path.
pub(super) fn alias(path: &str, taken: &[String]) -> String {
    let plain: String =
        path.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let parts: Vec<&str> = plain.split('_').filter(|part| !part.is_empty()).collect();
    let end = parts.get(parts.len().saturating_sub(2)..).unwrap_or_default().join("_");
    let base = if end.starts_with(|c: char| c.is_ascii_alphabetic()) { end } else { format!("value_{end}") };
    let mut name = base.clone();
    let mut count = 2;
    while taken.contains(&name) || crate::event::schema::AUDIT.iter().any(|column| column.name == name) {
        name = format!("{base}_{count}");
        count += 1;
    }
    name
}
