//! What a rule's text says about the rows it could ever keep, found without planning it.
//!
//! Of every table a statement reads, the conjuncts of its `WHERE` that compare `verb`, `resource`,
//! `subresource` or `category` with literals make a [`Gate`]. A row that opens none of a rule's gates
//! cannot matter to the rule, so a rule whose gates stay shut need not be planned at all. What is not
//! understood opens: a gate may be too wide, never too narrow.

use std::ops::ControlFlow;

use arrow::array::{Array, AsArray, StringViewArray};
use arrow::record_batch::RecordBatch;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, ObjectName, Query, Select, SetExpr, Statement, TableFactor, TableWithJoins, Value,
    ValueWithSpan, Visit, Visitor,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::event::Table;

/// The columns of a table that gates look at.
fn columns(table: Table) -> &'static [&'static str] {
    match table {
        Table::Audit => &["verb", "resource", "subresource"],
        Table::ControlPlane => &["category"],
    }
}

/// What a row of one table must have to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    pub table: Table,
    /// Index of a column of [`columns`] and the values that open.
    tests: Vec<(usize, Vec<String>)>,
}

impl Gate {
    pub fn opens(&self, values: &[&str]) -> bool {
        self.tests.iter().all(|(column, accepted)| {
            values.get(*column).is_none_or(|value| accepted.iter().any(|one| one == value))
        })
    }
}

/// The gates of a statement, one for each table it reads; `None` where one of them stands open.
pub fn gates(sql: &str) -> Option<Vec<Gate>> {
    let statements = Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).ok()?.parse_statements().ok()?;
    let mut search = Search::default();
    let outcome = statements.visit(&mut search);
    let all = outcome.is_continue() && search.gates.len() == search.relations;
    (all && !search.gates.is_empty()).then_some(search.gates)
}

/// Whether a statement reads one table, once, and puts nothing else beside its rows.
pub fn reads_one_table(sql: &str) -> bool {
    condition(sql).is_some()
}

/// The table that a statement over one table reads, what it calls it and its `WHERE`; `None` where it reads
/// several or one several times.
pub fn condition(sql: &str) -> Option<(Table, String, Option<Expr>)> {
    let mut statements =
        Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).ok()?.parse_statements().ok()?;
    let mut found = Reads::default();
    let _ = statements.visit(&mut found);
    let statement = statements.pop().filter(|_| found.relations == 1 && found.selects == 1)?;
    let Statement::Query(query) = statement else { return None };
    let SetExpr::Select(select) = *query.body else { return None };
    let Ok([TableWithJoins { relation: TableFactor::Table { name, alias, .. }, joins }]) =
        <[TableWithJoins; 1]>::try_from(select.from)
    else {
        return None;
    };
    let table = table_of(&name).filter(|_| joins.is_empty())?;
    let called = alias.map_or(table.name().into(), |alias| alias.name.value);
    Some((table, called, select.selection))
}

/// How many tables and `SELECT`s there are.
#[derive(Default)]
struct Reads {
    relations: usize,
    selects: usize,
}

impl Visitor for Reads {
    type Break = ();

    fn pre_visit_relation(&mut self, _: &ObjectName) -> ControlFlow<()> {
        self.relations += 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, _: &Select) -> ControlFlow<()> {
        self.selects += 1;
        ControlFlow::Continue(())
    }
}

#[derive(Default)]
struct Search {
    gates: Vec<Gate>,
    /// Tables of ours that were met anywhere: each must have got its gate.
    relations: usize,
}

impl Visitor for Search {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        // A name that hides a table makes everything uncertain.
        let hides = |name: &str| Table::ALL.iter().any(|table| table.name().eq_ignore_ascii_case(name));
        let mut ctes = query.with.iter().flat_map(|with| &with.cte_tables);
        match ctes.any(|cte| hides(&cte.alias.name.value)) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        self.relations += usize::from(table_of(relation).is_some());
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let factors = || {
            let joined = |from: &TableWithJoins| {
                std::iter::once(from.relation.clone())
                    .chain(from.joins.iter().map(|join| join.relation.clone()))
                    .collect::<Vec<_>>()
            };
            select.from.iter().flat_map(joined)
        };
        let alone = factors().count() == 1;
        let mut conjuncts = Vec::new();
        select.selection.iter().for_each(|condition| split(condition, &mut conjuncts));
        for factor in factors() {
            let TableFactor::Table { name, alias, .. } = &factor else { continue };
            let Some(table) = table_of(name) else { continue };
            let called = alias.as_ref().map_or(table.name(), |alias| alias.name.value.as_str());
            let test = |condition: &&Expr| test(condition, table, called, alone);
            let tests: Vec<_> = conjuncts.iter().filter_map(test).collect();
            if tests.is_empty() {
                return ControlFlow::Break(());
            }
            self.gates.push(Gate { table, tests });
        }
        ControlFlow::Continue(())
    }
}

fn table_of(name: &ObjectName) -> Option<Table> {
    let ident = name.0.last()?.as_ident()?;
    Table::ALL.into_iter().find(|table| table.name().eq_ignore_ascii_case(&ident.value))
}

/// Takes a condition apart at its ANDs.
fn split<'a>(condition: &'a Expr, into: &mut Vec<&'a Expr>) {
    match condition {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            split(left, into);
            split(right, into);
        }
        Expr::Nested(inner) => split(inner, into),
        other => into.push(other),
    }
}

/// What a conjunct asks of a column of the table called so: which column, and the values it accepts.
fn test(condition: &Expr, table: Table, called: &str, alone: bool) -> Option<(usize, Vec<String>)> {
    let column = |expr: &Expr| match expr {
        Expr::Identifier(ident) if alone => index(table, &ident.value),
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [relation, ident] if relation.value == called => index(table, &ident.value),
            _ => None,
        },
        _ => None,
    };
    match condition {
        Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
            let sides = [(left, right), (right, left)];
            sides.into_iter().find_map(|(one, other)| Some((column(one)?, vec![literal(other)?])))
        }
        Expr::InList { expr, list, negated: false } => {
            Some((column(expr)?, list.iter().map(literal).collect::<Option<_>>()?))
        }
        // What opens either opens both.
        Expr::BinaryOp { left, op: BinaryOperator::Or, right } => {
            let (left, right) = (test(left, table, called, alone)?, test(right, table, called, alone)?);
            (left.0 == right.0).then(|| (left.0, [left.1, right.1].concat()))
        }
        Expr::Nested(inner) => test(inner, table, called, alone),
        _ => None,
    }
}

fn index(table: Table, column: &str) -> Option<usize> {
    columns(table).iter().position(|name| *name == column)
}

fn literal(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) => Some(text.clone()),
        _ => None,
    }
}

/// The columns of a batch that gates look at; `None` where they are not as expected.
pub fn gate_columns(table: Table, rows: &RecordBatch) -> Option<Vec<&StringViewArray>> {
    columns(table).iter().map(|name| rows.column_by_name(name)?.as_string_view_opt()).collect()
}

/// A row's values in those columns.
pub fn values<'a>(columns: &[&'a StringViewArray], row: usize) -> Vec<&'a str> {
    columns.iter().map(|column| value(column, row)).collect()
}

/// Null is empty, which no comparison accepts.
fn value<'a>(column: &&'a StringViewArray, row: usize) -> &'a str {
    if column.is_valid(row) { column.value(row) } else { "" }
}

/// Writes bytes that are equal for rows with equal values and differ for all others: each value with its
/// length before it, because a log may hold any character.
pub fn kind(columns: &[&StringViewArray], row: usize, into: &mut Vec<u8>) {
    into.clear();
    for column in columns {
        let value = value(column, row);
        into.extend_from_slice(&value.len().to_le_bytes());
        into.extend_from_slice(value.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opens(sql: &str, table: Table, values: &[&str]) -> bool {
        let gates = gates(sql).unwrap_or_else(|| panic!("{sql} stands open"));
        gates.iter().any(|gate| gate.table == table && gate.opens(values))
    }

    #[test]
    fn equalities_shut_a_gate() {
        let sql = "SELECT name FROM audit WHERE verb IN ('create', 'update') AND (resource = 'pods' OR
                   'jobs' = resource) AND listed('x', name) AND subresource IS NULL";
        assert!(opens(sql, Table::Audit, &["create", "pods", ""]));
        assert!(opens(sql, Table::Audit, &["update", "jobs", "exec"]));
        assert!(!opens(sql, Table::Audit, &["get", "pods", ""]));
        assert!(!opens(sql, Table::Audit, &["create", "secrets", ""]));
        assert!(!opens(sql, Table::ControlPlane, &["cluster-autoscaler"]));
        let sql = "SELECT line FROM control_plane WHERE category = 'cluster-autoscaler'";
        assert!(opens(sql, Table::ControlPlane, &["cluster-autoscaler"]));
        assert!(!opens(sql, Table::ControlPlane, &["kube-scheduler"]));
    }

    #[test]
    fn values_with_any_character_are_told_apart() {
        let one = StringViewArray::from(vec!["a\0b", "a", "a"]);
        let other = StringViewArray::from(vec!["c", "b\0c", "b\0c"]);
        let columns = [&one, &other];
        let kinds = [0, 1, 2].map(|row| {
            let mut bytes = vec![9];
            kind(&columns, row, &mut bytes);
            bytes
        });
        assert!(kinds[0] != kinds[1] && kinds[1] == kinds[2]);
        assert_eq!(values(&columns, 1), ["a", "b\0c"]);
    }

    #[test]
    fn every_table_a_statement_reads_has_its_gate() {
        let sql = "WITH seen AS (SELECT username FROM audit WHERE verb = 'list')
                   SELECT a.username FROM audit AS a JOIN seen ON seen.username = a.username
                   WHERE a.resource = 'secrets' AND NOT EXISTS
                   (SELECT 1 FROM audit AS c WHERE c.verb = 'watch' AND c.name = a.name)";
        assert!(opens(sql, Table::Audit, &["list", "x", ""]));
        assert!(opens(sql, Table::Audit, &["x", "secrets", ""]));
        assert!(opens(sql, Table::Audit, &["watch", "x", ""]));
        assert!(!opens(sql, Table::Audit, &["get", "pods", ""]));
    }

    #[test]
    fn what_is_not_understood_stands_open() {
        for sql in [
            "SELECT name FROM audit",
            "SELECT name FROM audit WHERE verb = 'get' OR resource = 'pods'",
            "SELECT name FROM audit WHERE verb <> 'get'",
            "SELECT name FROM audit WHERE NOT (verb = 'get')",
            "SELECT name FROM audit WHERE verb NOT IN ('get')",
            "SELECT name FROM audit WHERE lower(verb) = 'get'",
            "SELECT name FROM audit WHERE verb = resource",
            "SELECT a.name FROM audit AS a, audit AS b WHERE verb = 'get'",
            "SELECT a.name FROM audit AS a JOIN audit AS b ON a.name = b.name WHERE a.verb = 'get'",
            "SELECT name FROM audit WHERE verb = 'get' UNION SELECT name FROM audit",
            "SELECT a.name FROM audit AS a, AUDIT WHERE a.verb = 'get'",
            "WITH audit AS (SELECT * FROM control_plane) SELECT name FROM audit WHERE verb = 'get'",
            "SELECT name FROM audit WHERE verb = 'get' AND name IN (SELECT name FROM audit)",
            "SELECT",
        ] {
            assert_eq!(gates(sql), None, "{sql}");
        }
    }
}
