//! Whether more rows can only add to what a query returns.
//!
//! Such a rule's windows can be looked at before late rows have come: what fires then, fires with all
//! rows too, under the same id. Decided from the plan as written, and only from what is known to be so:
//! choices of rows and columns, inner joins, `DISTINCT`, `GROUP BY`, and conditions that a growing count or
//! maximum can only make true. Anything else counts as not monotone and costs nothing but time.
//!
//! What is shown of each node: for every row it returns, it returns with more rows below one of its own
//! with equal [`Class::Fixed`] columns, no smaller [`Class::Grows`] and no greater [`Class::Shrinks`] ones.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::expr::{AggregateFunction, Case};
use datafusion::logical_expr::{
    BinaryExpr, Distinct, Expr, ExprSchemable, JoinType, LogicalPlan, Operator, Volatility,
};

/// How a column of a row changes as rows are added below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Not at all.
    Fixed,
    /// It may become greater, or something where it was null.
    Grows,
    /// It may become smaller, or something where it was null.
    Shrinks,
    /// In any way.
    Loose,
}

use Class::{Fixed, Grows, Loose, Shrinks};

/// Whether `plan` is monotone and its `key` columns tell the same rows apart whatever is added.
pub fn is_monotone(plan: &LogicalPlan, key: &[String]) -> bool {
    let Some(classes) = classes(plan) else { return false };
    let fields = plan.schema().fields();
    let is_key = |name: &String| key.contains(name);
    fields.iter().zip(classes).all(|(field, class)| class == Fixed || !is_key(field.name()))
}

/// The columns a condition or an expression may name.
#[derive(Clone, Copy)]
struct Scope<'a> {
    schema: &'a DFSchema,
    classes: &'a [Class],
}

/// The classes of a node's columns; `None` where the node is not known to be monotone.
fn classes(plan: &LogicalPlan) -> Option<Vec<Class>> {
    let found = match plan {
        LogicalPlan::TableScan(scan) if scan.fetch.is_none() && scan.filters.is_empty() => {
            vec![Fixed; plan.schema().fields().len()]
        }
        LogicalPlan::SubqueryAlias(alias) => classes(&alias.input)?,
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => classes(&sort.input)?,
        LogicalPlan::Distinct(Distinct::All(input)) => {
            // Rows that differ in what grows may become equal.
            classes(input)?
                .iter()
                .all(|class| *class == Fixed)
                .then(|| vec![Fixed; input.schema().fields().len()])?
        }
        LogicalPlan::Projection(projection) => {
            let below = classes(&projection.input)?;
            let scope = Scope { schema: projection.input.schema(), classes: &below };
            projection.expr.iter().map(|expr| scope.class(expr)).collect()
        }
        LogicalPlan::Filter(filter) => {
            let below = classes(&filter.input)?;
            let scope = Scope { schema: filter.input.schema(), classes: &below };
            scope.rises(&filter.predicate).then_some(below)?
        }
        LogicalPlan::Join(join) if join.join_type == JoinType::Inner && !join.null_aware => {
            let (left, right) = (classes(&join.left)?, classes(&join.right)?);
            let on_left = Scope { schema: join.left.schema(), classes: &left };
            let on_right = Scope { schema: join.right.schema(), classes: &right };
            if !join.on.iter().all(|(a, b)| on_left.is_fixed(a) && on_right.is_fixed(b)) {
                return None;
            }
            let both = [left, right].concat();
            let scope = Scope { schema: &join.schema, classes: &both };
            join.filter.as_ref().is_none_or(|filter| scope.rises(filter)).then_some(both)?
        }
        LogicalPlan::Aggregate(aggregate) => {
            let below = classes(&aggregate.input)?;
            let scope = Scope { schema: aggregate.input.schema(), classes: &below };
            let known: Vec<usize> =
                aggregate.group_expr.iter().filter_map(|e| scope.fixed_column(e)).collect();
            let groups: Option<Vec<Class>> = aggregate
                .group_expr
                .iter()
                .map(|expr| match scope.is_fixed(expr) {
                    true => Some(Fixed),
                    // The planner groups by what a sub-query's GROUP BY determines too; that divides nothing.
                    false => scope.follows_from(expr, &known).then(|| scope.class(expr)),
                })
                .collect();
            let values = aggregate.aggr_expr.iter().map(|expr| scope.aggregate(expr));
            groups?.into_iter().chain(values).collect()
        }
        _ => return None,
    };
    (found.len() == plan.schema().fields().len()).then_some(found)
}

impl Scope<'_> {
    fn column(&self, column: &Column) -> Class {
        let index = self.schema.index_of_column(column).ok();
        index.and_then(|index| self.classes.get(index)).copied().unwrap_or(Loose)
    }

    /// The index of a fixed column.
    fn fixed_column(&self, expr: &Expr) -> Option<usize> {
        let Expr::Column(column) = expr else { return None };
        let index = self.schema.index_of_column(column).ok()?;
        (self.classes.get(index) == Some(&Fixed)).then_some(index)
    }

    /// Whether rows with equal `known` columns have the same value here. Our tables declare nothing of
    /// the kind, so what the planner knows comes from a GROUP BY, which takes nulls as equal.
    fn follows_from(&self, expr: &Expr, known: &[usize]) -> bool {
        let Expr::Column(column) = expr else { return false };
        let Ok(index) = self.schema.index_of_column(column) else { return false };
        self.schema.functional_dependencies().iter().any(|rule| {
            rule.target_indices.contains(&index) && rule.source_indices.iter().all(|i| known.contains(i))
        })
    }

    fn class(&self, expr: &Expr) -> Class {
        match expr {
            Expr::Alias(alias) => self.class(&alias.expr),
            Expr::Column(column) => self.column(column),
            other if self.is_fixed(other) => Fixed,
            _ => Loose,
        }
    }

    /// Whether the value comes from fixed columns alone.
    fn is_fixed(&self, expr: &Expr) -> bool {
        let mut fixed = true;
        let visited = expr.apply(|part| {
            fixed &= match part {
                Expr::Column(column) => self.column(column) == Fixed,
                Expr::ScalarFunction(call) => call.func.signature().volatility != Volatility::Volatile,
                Expr::Alias(_)
                | Expr::Literal(..)
                | Expr::BinaryExpr(_)
                | Expr::Like(_)
                | Expr::SimilarTo(_)
                | Expr::Not(_)
                | Expr::IsNotNull(_)
                | Expr::IsNull(_)
                | Expr::IsTrue(_)
                | Expr::IsFalse(_)
                | Expr::IsUnknown(_)
                | Expr::IsNotTrue(_)
                | Expr::IsNotFalse(_)
                | Expr::IsNotUnknown(_)
                | Expr::Negative(_)
                | Expr::Between(_)
                | Expr::Case(_)
                | Expr::Cast(_)
                | Expr::TryCast(_)
                | Expr::InList(_) => true,
                _ => false,
            };
            Ok(if fixed { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
        });
        fixed && visited.is_ok()
    }

    /// Whether the condition, once true for a row, stays true.
    fn rises(&self, condition: &Expr) -> bool {
        match condition {
            Expr::Alias(alias) => self.rises(&alias.expr),
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And | Operator::Or, right }) => {
                self.rises(left) && self.rises(right)
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Gt | Operator::GtEq, right }) => {
                self.stays_above(left, right)
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Lt | Operator::LtEq, right }) => {
                self.stays_above(right, left)
            }
            other => self.is_fixed(other),
        }
    }

    /// Whether what is `above` the other, stays so.
    fn stays_above(&self, above: &Expr, below: &Expr) -> bool {
        match (self.class(above), self.class(below)) {
            (Fixed, Fixed) => true,
            (Grows | Fixed, Shrinks | Fixed) => self.compares_as_is(above, below),
            _ => false,
        }
    }

    /// Whether the two are compared in the order in which they grow: a number made text is not.
    fn compares_as_is(&self, a: &Expr, b: &Expr) -> bool {
        let (Ok(a), Ok(b)) = (a.get_type(self.schema), b.get_type(self.schema)) else { return false };
        a == b || (a.is_numeric() && b.is_numeric()) || (a.is_string() && b.is_string())
    }

    /// How the outcome of an aggregate changes.
    fn aggregate(&self, expr: &Expr) -> Class {
        let call = match expr {
            Expr::Alias(alias) => return self.aggregate(&alias.expr),
            Expr::AggregateFunction(call) => call,
            _ => return Loose,
        };
        let AggregateFunction { func, params } = call;
        let of_fixed = params.args.iter().chain(params.filter.as_deref()).all(|part| self.is_fixed(part));
        match func.name() {
            _ if !of_fixed => Loose,
            "count" | "max" => Grows,
            "min" => Shrinks,
            "sum" if !params.distinct && params.args.iter().all(is_never_negative) => Grows,
            _ => Loose,
        }
    }
}

/// Whether it is a number that is not negative, or a choice of such.
fn is_never_negative(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(value, _) => match value.to_string().parse::<f64>() {
            Ok(number) => number >= 0.0,
            Err(_) => value.is_null(),
        },
        Expr::Case(Case { when_then_expr, else_expr, .. }) => {
            let chosen = when_then_expr.iter().map(|(_, then)| then).chain(else_expr);
            chosen.into_iter().all(|value| is_never_negative(value))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicI64;

    use super::super::session;
    use super::super::table::{RuleTable, ScanLog};
    use super::*;
    use crate::event::Table;

    /// Whether the statement is monotone for alerts by `username`.
    fn judge(sql: &str) -> bool {
        let context =
            session::new(&Default::default(), Arc::new(AtomicI64::new(0)), 1 << 20).expect("a session");
        for table in Table::ALL {
            let provider = Arc::new(RuleTable { table, log: ScanLog::default() });
            context.register_table(table.name(), provider).expect("a table");
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let plan = runtime.block_on(context.state().create_logical_plan(sql)).expect("a plan");
        is_monotone(&plan, &["username".to_string()])
    }

    const YES: &[&str] = &[
        "SELECT username FROM audit WHERE status_code = 200 ORDER BY username",
        "SELECT DISTINCT username, verb FROM audit",
        "SELECT username, count(*) FROM audit GROUP BY username HAVING count(*) >= 3",
        "SELECT username FROM audit GROUP BY username HAVING 3 < count(DISTINCT concat(namespace, name))",
        "SELECT username FROM audit GROUP BY username HAVING count(*) > 3 AND max(status_code) >= 400 OR username = 'x'",
        "SELECT username FROM audit GROUP BY username HAVING count(*) FILTER (WHERE status_code = 403) >= 3",
        "SELECT username FROM audit GROUP BY username HAVING min(status_code) <= 200",
        "SELECT username FROM audit GROUP BY username HAVING max(time) > min(time)",
        "SELECT username FROM audit GROUP BY username \
         HAVING sum(CASE WHEN status_code = 403 THEN 2 ELSE 0 END) >= 10",
        "SELECT username, string_agg(verb, ', ') AS verbs FROM audit GROUP BY username HAVING count(*) >= 2",
        "SELECT a.username FROM audit AS a JOIN audit AS b ON a.username = b.username AND b.time > a.time",
        "SELECT a.username FROM (SELECT username, max(time) AS time FROM audit GROUP BY username) AS a \
         JOIN audit AS b ON a.username = b.username AND b.time < a.time GROUP BY a.username \
         HAVING count(*) >= 2",
        "SELECT username FROM (SELECT username, count(*) AS n FROM audit GROUP BY username) AS a \
         GROUP BY username, n",
    ];

    const NO: &[&str] = &[
        // Fewer is more.
        "SELECT username FROM audit GROUP BY username HAVING count(*) <= 3",
        "SELECT username FROM audit GROUP BY username HAVING count(*) = 3",
        "SELECT username FROM audit GROUP BY username HAVING NOT count(*) >= 3",
        "SELECT username FROM audit GROUP BY username HAVING count(*) BETWEEN 3 AND 10",
        "SELECT username FROM audit GROUP BY username HAVING min(status_code) >= 200",
        "SELECT username FROM audit GROUP BY username HAVING max(status_code) < 400",
        "SELECT username FROM audit GROUP BY username HAVING max(status_code) IS NULL",
        "SELECT username FROM audit GROUP BY username HAVING count(*) > count(DISTINCT verb)",
        // What goes up may come down.
        "SELECT username FROM audit GROUP BY username HAVING avg(status_code) >= 300",
        "SELECT username FROM audit GROUP BY username HAVING sum(status_code) >= 300",
        "SELECT username FROM audit GROUP BY username HAVING sum(CASE WHEN verb = 'get' THEN 1 ELSE -1 END) >= 3",
        "SELECT username FROM audit GROUP BY username HAVING count(*) - 10 >= 3",
        "SELECT username FROM audit GROUP BY username HAVING count(*) >= '3'",
        // Another row may take the place of the one that is shown.
        "SELECT max(username) AS username FROM audit GROUP BY verb",
        "SELECT last_value(username ORDER BY time) AS username FROM audit GROUP BY verb",
        "SELECT username FROM (SELECT username, verb, count(*) AS n FROM audit GROUP BY username, verb) AS a \
         GROUP BY username, n",
        "SELECT DISTINCT username, n FROM (SELECT username, count(*) AS n FROM audit GROUP BY username) AS a",
        "SELECT username FROM audit ORDER BY time LIMIT 1",
        "SELECT username FROM (SELECT username, row_number() OVER (PARTITION BY username) AS n FROM audit) AS a \
         WHERE n = 1",
        // A row may be what another one must not find.
        "SELECT a.username FROM audit AS a LEFT JOIN audit AS b ON a.username = b.username \
         WHERE b.username IS NULL",
        "SELECT username FROM audit WHERE username NOT IN (SELECT username FROM audit WHERE verb = 'get')",
        "SELECT username FROM audit EXCEPT SELECT username FROM audit WHERE verb = 'get'",
        "SELECT username FROM audit WHERE status_code > (SELECT count(*) FROM audit)",
        "SELECT username FROM audit WHERE time > window_end() - INTERVAL '1 minute'",
    ];

    #[test]
    fn what_more_rows_can_only_add_to_is_told_from_what_they_may_take_away() {
        for sql in YES {
            assert!(judge(sql), "{sql}");
        }
        for sql in NO {
            assert!(!judge(sql), "{sql}");
        }
    }
}
