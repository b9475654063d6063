//! Entries and lists without effect: what a wider entry of the same list covers already, what is
//! written otherwise than the values it is compared with, and lists that nothing reads.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Visit, Visitor};

use super::domain::constant;
use super::parse;
use super::values::{arguments, word};
use crate::detect::lint::column_of;
use crate::rules::{Catalog, Diagnostic, Entry, List, Queries};

/// Columns whose values are lower case, and functions that give lower case.
const LOWER: [&str; 5] = ["cluster", "verb", "resource", "subresource", "namespace"];
const LOWERING: [&str; 4] = ["lower", "image_registry", "sa_namespace", "sa_name"];

/// Whether every use of a list compares with lower case. Lists that nothing reads are not in it.
type Uses = BTreeMap<String, bool>;

/// Doubts about the catalog's lists; `complete` says that every rule and query could be read, without
/// which nothing is known of a list that none reads.
pub fn lists(catalog: &Catalog, queries: &Queries, complete: bool) -> Vec<Diagnostic> {
    let mut reader = Reader { lists: catalog.lists.keys().map(|name| (name.clone(), None)).collect() };
    let texts = catalog.detections.iter().map(|rule| &rule.sql).chain(queries.all.iter().map(|q| &q.sql));
    for sql in texts {
        let _ = parse(sql).visit(&mut reader);
    }
    let uses: Uses = reader.lists.into_iter().filter_map(|(name, lower)| Some((name, lower?))).collect();
    let compiled = Path::new("detections/lists");
    let mut problems = Vec::new();
    for (name, list) in &catalog.lists {
        let file = format!("{name}.csv");
        let on_disk =
            catalog.lists_origins.iter().rev().map(|folder| folder.join(&file)).find(|p| p.is_file());
        // Whoever brings detections or lists of their own has those of the program beneath them, and need
        // not read them; an empty one only shows its columns.
        let own = on_disk.is_some() || catalog.origin.is_none() && catalog.lists_origins.is_empty();
        let path = on_disk.unwrap_or_else(|| compiled.join(&file));
        problems.extend(entries(&path, list, uses.get(name).copied().unwrap_or(false)));
        if complete && own && !list.entries().is_empty() && !uses.contains_key(name) {
            let message =
                format!("no rule and no query reads this list; write listed('{name}', …) or remove it");
            problems.push(Diagnostic::warning(&path, (1, 1), message));
        }
    }
    problems
}

fn entries(path: &Path, list: &List, lower: bool) -> Vec<Diagnostic> {
    let warn = |entry: &Entry, message| Diagnostic::warning(path, (entry.line, 1), message);
    let mut problems = Vec::new();
    for (entry, wider) in list.idle() {
        let message = format!(
            "\"{}\" has no effect: \"{}\" in line {} covers it",
            entry.value, wider.value, wider.line
        );
        problems.push(warn(entry, message));
    }
    for entry in list.entries() {
        if lower && entry.value.chars().any(char::is_uppercase) {
            let message = format!(
                "\"{}\" has no effect: rules compare this list with lower case; write \"{}\"",
                entry.value,
                entry.value.to_lowercase()
            );
            problems.push(warn(entry, message));
        } else if entry.value.chars().any(invisible) {
            let message = format!(
                "\"{}\" has no effect: it holds a blank or sign that cannot be seen; type it anew",
                entry.value.escape_debug()
            );
            problems.push(warn(entry, message));
        }
    }
    problems
}

/// Signs that come with copied text and that no log has.
fn invisible(sign: char) -> bool {
    sign.is_control()
        || matches!(sign, '\u{a0}' | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

/// Finds which lists are read, and with what.
struct Reader {
    lists: BTreeMap<String, Option<bool>>,
}

impl Visitor for Reader {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr {
            let mut arguments = arguments(&function.args);
            let name = arguments.next().and_then(constant);
            if let Some(seen) = name.and_then(|name| self.lists.get_mut(&name)) {
                let lower = arguments.next().is_some_and(is_lower);
                *seen = Some(seen.unwrap_or(true) && lower);
            }
        }
        ControlFlow::Continue(())
    }
}

/// Whether the expression has no upper case, whatever the row.
fn is_lower(expr: &Expr) -> bool {
    if let Some(column) = column_of(expr) {
        return LOWER.contains(&column.name);
    }
    match expr {
        Expr::Nested(inner) => is_lower(inner),
        Expr::BinaryOp { left, op: BinaryOperator::StringConcat, right } => is_lower(left) && is_lower(right),
        Expr::Function(function) => match word(&function.name).as_deref() {
            Some("concat" | "coalesce") => arguments(&function.args).all(is_lower),
            Some(name) => LOWERING.contains(&name),
            None => false,
        },
        other => constant(other).is_some_and(|text| !text.chars().any(char::is_uppercase)),
    }
}
