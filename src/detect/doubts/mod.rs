//! What in a rule or query is allowed and all the same does nothing: conditions that can never be true,
//! words no log has, categories the SQL does not read, lists that nothing reads.
//!
//! All of it is told from the text, as warnings: the rule runs, only not as its author thinks.

mod domain;
mod lists;
mod values;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, JoinConstraint, JoinOperator, ObjectName, Select, SelectItem, Spanned, Statement,
    Visit, Visitor,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::lint::{Problem, column_of, position};
use crate::event::Table;
use crate::rules::{Detection, Diagnostic, Query};
use domain::{Conditions, Domain, Facts, Null, constant};
pub use lists::lists;

/// The categories of audit events.
const AUDIT: [&str; 2] = ["kube-audit", "kube-audit-admin"];

/// Doubts about a rule's conditions and about the categories its header names.
pub fn rule(rule: &Detection) -> Vec<Diagnostic> {
    let Some(seen) = look(&rule.sql) else { return Vec::new() };
    let mut problems = warnings(&rule.path, &seen.conditions.problems);
    let warn = |at: &str, message: String| Diagnostic::warning(&rule.path, rule.position(at), message);
    for (at, category) in rule.categories.iter().enumerate() {
        problems.extend(values::category(category).map(|message| warn(&format!("categories.{at}"), message)));
    }
    let place = if rule.categories.is_empty() { "sql" } else { "categories" };
    problems.extend(header(rule, &seen).map(|message| warn(place, message)));
    problems
}

/// Doubts about a saved query's conditions.
pub fn query(query: &Query) -> Vec<Diagnostic> {
    let seen = look(&query.sql);
    seen.map(|seen| warnings(&query.path, &seen.conditions.problems)).unwrap_or_default()
}

fn warnings(path: &Path, problems: &[Problem]) -> Vec<Diagnostic> {
    problems.iter().map(|problem| Diagnostic::warning(path, problem.at, problem.message.clone())).collect()
}

/// The statement; `None` where it does not parse, which is told elsewhere.
fn parse(sql: &str) -> Option<Vec<Statement>> {
    Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).ok()?.parse_statements().ok()
}

fn look(sql: &str) -> Option<Seen> {
    let statements = parse(sql)?;
    let mut names = Names::default();
    let _ = statements.visit(&mut names);
    let mut seen =
        Seen { conditions: Conditions { own: names.own, ..Default::default() }, ..Default::default() };
    let _ = statements.visit(&mut seen);
    let problems = &mut seen.conditions.problems;
    problems.sort_by(|a, b| (a.at, &a.message).cmp(&(b.at, &b.message)));
    problems.dedup();
    Some(seen)
}

/// What the header's categories and the SQL have against each other.
fn header(rule: &Detection, seen: &Seen) -> Option<String> {
    let named = &rule.categories;
    let audit = seen.tables.contains(&Table::Audit);
    let klog = seen.tables.contains(&Table::ControlPlane);
    let carries = |name: &String| AUDIT.contains(&name.as_str());
    if audit && !klog && named.iter().any(|name| !carries(name)) {
        let other = named.iter().find(|name| !carries(name))?;
        return Some(format!("the rule reads audit, and \"{other}\" carries no audit events; remove it"));
    }
    if klog && !audit && named.iter().any(carries) {
        let other = named.iter().find(|name| carries(name))?;
        return Some(format!("the rule reads control_plane, and \"{other}\" is in audit; remove it"));
    }
    // Facts of several tables or levels would have to be told apart.
    let [facts] = seen.selects.as_slice() else { return None };
    if seen.scans != 1 {
        return None;
    }
    let of = |column: &str| facts.values().find(|domain| plain(domain, column));
    let reads = |values: &[&str]| of("verb").is_some_and(|verb| verb.is_among(values));
    if audit && named.iter().all(|name| name != "kube-audit") && named.iter().any(carries) {
        return reads(&["get", "list"]).then(|| {
            "kube-audit-admin has no get and no list; write categories = [\"kube-audit\"]".to_owned()
        });
    }
    if audit && reads(&["get", "list"]) && named.iter().any(|name| name == "kube-audit-admin") {
        return Some("kube-audit-admin has no get and no list; remove it from categories".to_owned());
    }
    let only = of("category").filter(|domain| klog && domain.null == Null::Not)?.only.as_ref()?;
    let filtered = named.iter().find(|name| !only.contains(*name));
    if let Some(name) = filtered {
        return Some(format!("the SQL lets no row of category \"{name}\" through; remove it or read it"));
    }
    let forgotten = only.iter().find(|name| !named.contains(*name))?;
    Some(format!(
        "the SQL reads category \"{forgotten}\"; add it to categories, so that the rule is called blind without it"
    ))
}

fn plain(domain: &Domain, column: &str) -> bool {
    domain.reads.as_ref().is_some_and(|(read, plain)| *plain && read.name == column)
}

/// Finds the names of columns that a query gives to something else (`CASE … END AS decision`).
#[derive(Debug, Default)]
struct Names {
    own: BTreeSet<String>,
}

impl Visitor for Names {
    type Break = ();

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        for item in &select.projection {
            if let SelectItem::ExprWithAlias { expr, alias } = item
                && column_of(expr).is_none_or(|column| column.name != alias.value)
            {
                self.own.insert(alias.value.clone());
            }
        }
        ControlFlow::Continue(())
    }
}

/// What a statement says.
#[derive(Debug, Default)]
struct Seen {
    conditions: Conditions,
    tables: BTreeSet<Table>,
    /// How often a table is read.
    scans: usize,
    /// What each `WHERE` that can be true asks for.
    selects: Vec<Facts>,
}

impl Seen {
    fn select(&mut self, select: &Select) {
        let mut facts = match &select.selection {
            Some(condition) => self.conditions.facts(condition, true),
            None => Some(Facts::new()),
        };
        for join in select.from.iter().flat_map(|table| &table.joins) {
            let (condition, inner) = match &join.join_operator {
                JoinOperator::Join(JoinConstraint::On(on)) | JoinOperator::Inner(JoinConstraint::On(on)) => {
                    (on, true)
                }
                JoinOperator::Left(JoinConstraint::On(on))
                | JoinOperator::LeftOuter(JoinConstraint::On(on))
                | JoinOperator::Right(JoinConstraint::On(on))
                | JoinOperator::RightOuter(JoinConstraint::On(on))
                | JoinOperator::FullOuter(JoinConstraint::On(on)) => (on, false),
                _ => continue,
            };
            let on = self.conditions.facts(condition, true);
            if !inner {
                self.absent(on.as_ref());
                continue;
            }
            facts = match (facts, on) {
                (Some(facts), Some(on)) => self.conditions.both(facts, on),
                _ => None,
            };
        }
        if let Some(condition) = &select.having {
            let _ = self.conditions.facts(condition, true);
        }
        self.absent(facts.as_ref());
        self.selects.extend(facts);
    }

    /// Notes a column that is asked for where it is always null.
    fn absent(&mut self, facts: Option<&Facts>) {
        let Some(facts) = facts else { return };
        let always: [(&str, &[&str], &[&str], &str); 4] = [
            (
                "stage",
                &["RequestReceived"],
                &["status_code", "status_reason", "status_message", "response_object"],
                "before the response (stage RequestReceived)",
            ),
            ("level", &["Metadata"], &["request_object", "response_object", "object"], "at level Metadata"),
            ("level", &["Metadata", "Request"], &["response_object"], "below level RequestResponse"),
            ("resource", values::CLUSTER_SCOPED, &["namespace"], "for objects of the whole cluster"),
        ];
        for (column, values, nulls, place) in always {
            let narrowed = facts.values().filter(|domain| plain(domain, column) && domain.is_among(values));
            for of in narrowed.filter_map(|domain| domain.reads.as_ref()).map(|(read, _)| &read.of) {
                let wanted = facts.values().find(|domain| {
                    let reads = domain.reads.as_ref();
                    domain.null == Null::Not
                        && reads.is_some_and(|(read, _)| read.of == *of && nulls.contains(&read.name))
                });
                if let Some(domain) = wanted
                    && let Some((read, _)) = &domain.reads
                {
                    let message = format!("never true: {} is null {place}", read.name);
                    self.conditions.problems.push(Problem { at: domain.at, message });
                }
            }
        }
    }

    fn literal(&mut self, expr: &Expr, literal: &Expr) {
        let Some(value) = constant(literal) else { return };
        if let Some(message) = values::misspelled(expr, &value, &self.conditions.own) {
            self.conditions.problems.push(Problem { at: position(literal.span().start), message });
        }
    }
}

impl Visitor for Seen {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let name = relation.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.as_str());
        let table = Table::ALL.into_iter().find(|table| Some(table.name()) == name);
        self.scans += usize::from(table.is_some());
        self.tables.extend(table);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        self.select(select);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::BinaryOp { left, op: BinaryOperator::Eq | BinaryOperator::NotEq, right } => {
                self.literal(left, right);
                self.literal(right, left);
            }
            Expr::InList { expr, list, .. } => list.iter().for_each(|item| self.literal(expr, item)),
            Expr::Function(function) => {
                if let Some(filter) = &function.filter {
                    let _ = self.conditions.facts(filter, true);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
