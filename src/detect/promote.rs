//! What stands between a query that somebody asks and a rule that runs by itself, read from the SQL's
//! text: an order nobody sees, fixed times, parameters, columns an alert needs.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, Query, SelectItem, SetExpr, Spanned, Statement, Value, Visit, Visitor,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::lint::{CLOCKS, column_of, position, syntax_problem};
use crate::event::schema::Kind;

/// What a query is and what a rule of it must lose.
#[derive(Debug, Default)]
pub struct Promotion {
    /// Names of the columns it selects, in order; of an expression without a name nothing.
    pub columns: Vec<String>,
    /// Whether it selects `*`.
    pub everything: bool,
    /// Whether it groups or joins, so that it needs a window.
    pub gathers: bool,
    /// Whether it reads `control_plane` and not `audit`.
    pub control_plane: bool,
    /// Line and column of its `ORDER BY` or `LIMIT`, from where to the end the text can be dropped.
    pub order: Option<(usize, usize)>,
    /// Conditions on a time, each with line, column and its text.
    pub times: Vec<((usize, usize), String)>,
    /// Parameters, as `$name`.
    pub parameters: Vec<String>,
}

/// Reads the query; an error is the place of a syntax error and what is wrong there.
pub fn promote(sql: &str) -> Result<Promotion, ((usize, usize), String)> {
    let statements = Parser::new(&PostgreSqlDialect {})
        .try_with_sql(sql)
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|error| syntax_problem(&error.to_string()))
        .map_err(|problem| (problem.at, problem.message))?;
    let query = match statements.as_slice() {
        [Statement::Query(query)] => query,
        [] => return Err(((1, 1), "no SQL; write one SELECT".into())),
        [other] => {
            return Err((position(other.span().start), "no query; only a SELECT can become a rule".into()));
        }
        [_, second, ..] => {
            return Err((
                position(second.span().start),
                "more than one statement; a rule is one SELECT".into(),
            ));
        }
    };
    let mut found = Promotion { order: order(query, sql), ..Promotion::default() };
    if let SetExpr::Select(select) = query.body.as_ref() {
        for item in &select.projection {
            match item {
                SelectItem::ExprWithAlias { alias, .. } => found.columns.push(alias.value.clone()),
                SelectItem::UnnamedExpr(Expr::Identifier(name)) => found.columns.push(name.value.clone()),
                SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => {
                    found.columns.extend(parts.last().map(|name| name.value.clone()));
                }
                SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => found.everything = true,
                _ => {}
            }
        }
        let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
        let joined = select.from.len() > 1 || select.from.iter().any(|table| !table.joins.is_empty());
        found.gathers = grouped || joined || select.having.is_some() || select.distinct.is_some();
    } else {
        found.gathers = true;
    }
    found.gathers |= query.with.is_some();
    let mut reader = Reader { found: &mut found, tables: Vec::new() };
    let _ = query.visit(&mut reader);
    let tables = reader.tables;
    found.control_plane = tables.iter().any(|t| t == "control_plane") && !tables.iter().any(|t| t == "audit");
    Ok(found)
}

/// Where the outermost `ORDER BY` or `LIMIT` begins.
fn order(query: &Query, sql: &str) -> Option<(usize, usize)> {
    let after = query.order_by.as_ref().map(|order| order.span().start);
    let (inside, word) = match (after, &query.limit_clause) {
        (Some(place), _) => (place, "ORDER"),
        (None, Some(limit)) => (limit.span().start, "LIMIT"),
        (None, None) => return None,
    };
    let (line, column) = position(inside);
    // The keyword may stand lines above what it orders by.
    let lines: Vec<&str> = sql.lines().collect();
    (1..=line.min(lines.len())).rev().find_map(|at| {
        let text = lines.get(at - 1)?;
        let until = if at == line { column.saturating_sub(1) } else { usize::MAX };
        let head: String = text.chars().take(until).collect();
        let found = head.to_ascii_uppercase().rfind(word)?;
        Some((at, head.get(..found)?.chars().count() + 1))
    })
}

struct Reader<'a> {
    found: &'a mut Promotion,
    tables: Vec<String>,
}

impl Reader<'_> {
    /// Notes a comparison of a time with something that no column of the row gives.
    fn time(&mut self, whole: &Expr, column: &Expr, others: &[&Expr]) {
        if column_of(column).is_some_and(|c| c.kind == Kind::Time) && others.iter().all(|e| is_given(e)) {
            self.found.times.push((position(whole.span().start), whole.to_string()));
        }
    }
}

impl Visitor for Reader<'_> {
    type Break = ();

    fn pre_visit_relation(
        &mut self,
        relation: &datafusion::sql::sqlparser::ast::ObjectName,
    ) -> ControlFlow<()> {
        self.tables.push(relation.to_string());
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
        match expr {
            Expr::BinaryOp { left, op: Eq | NotEq | Lt | LtEq | Gt | GtEq, right } => {
                self.time(expr, left, &[right]);
                self.time(expr, right, &[left]);
            }
            Expr::Between { expr: column, low, high, .. } => self.time(expr, column, &[low, high]),
            Expr::Value(value) => {
                if let Value::Placeholder(name) = &value.value
                    && !self.found.parameters.contains(name)
                {
                    self.found.parameters.push(name.clone());
                }
            }
            Expr::Function(function) => {
                let name = function.name.to_string().to_lowercase();
                self.found.gathers |= matches!(name.as_str(), "count" | "sum" | "min" | "max" | "avg");
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Whether an expression depends on no column: a literal, a parameter, a clock.
fn is_given(expr: &Expr) -> bool {
    struct Depends;
    impl Visitor for Depends {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            let clock = |name: &str| CLOCKS.contains(&name.to_lowercase().as_str());
            match expr {
                Expr::Identifier(name) if !clock(&name.value) => ControlFlow::Break(()),
                Expr::CompoundIdentifier(_) | Expr::Subquery(_) => ControlFlow::Break(()),
                Expr::Function(function) if !clock(&function.name.to_string()) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    expr.visit(&mut Depends).is_continue()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_hunt_must_lose() {
        let sql = "SELECT cluster, a.username AS who, count(*), max(time) AS last\nFROM audit a\n\
                   WHERE verb = 'get' AND time > now() - INTERVAL '1 day' AND time BETWEEN $from AND '2026-01-01'\n\
                   GROUP BY 1, 2\n  order\n  by last DESC LIMIT 10";
        let found = promote(sql).unwrap();
        assert_eq!(found.columns, ["cluster", "who", "last"]);
        assert!(found.gathers && !found.everything && !found.control_plane);
        assert_eq!(found.order, Some((5, 3)));
        let times: Vec<_> = found.times.iter().map(|(at, _)| *at).collect();
        assert_eq!(times, [(3, 24), (3, 60)], "{:?}", found.times);
        assert_eq!(found.parameters, ["$from"]);
    }

    #[test]
    fn what_is_fit_loses_nothing() {
        let found = promote("SELECT * FROM control_plane WHERE severity = 'error'").unwrap();
        assert!(found.everything && found.control_plane && !found.gathers);
        assert!(found.order.is_none() && found.times.is_empty() && found.parameters.is_empty());
        let joined = promote("SELECT a.time FROM audit a JOIN audit b ON b.time > a.time").unwrap();
        assert!(joined.gathers && joined.times.is_empty(), "{joined:?}");
        assert_eq!(promote("SELECT 1 LIMIT 3").unwrap().order, Some((1, 10)));
        assert_eq!(promote("SELEC 1").unwrap_err().0, (1, 1));
        assert!(
            promote("DROP TABLE x").is_err()
                && promote("").is_err()
                && promote("SELECT 1; SELECT 2").is_err()
        );
    }
}
