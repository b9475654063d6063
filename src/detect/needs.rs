//! What a plan needs of single rows, read from its conditions.
//!
//! Looked for are a condition over an aggregate (`HAVING`) and a condition over window functions, where
//! nothing but they decides what comes out. What is not understood asks for nothing.

use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, JoinType, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{Aggregate, BinaryExpr, Expr, LogicalPlan, Operator};

use super::condition::unqualified;
use super::cut;

/// What a group needs: so many rows for which an expression over the scan's columns is true.
#[derive(Debug, Clone, PartialEq)]
pub struct Needs {
    /// Columns of the scan that are equal in a group.
    pub columns: Vec<usize>,
    /// Rows at least, and which; `None`: any.
    pub needs: Vec<(u32, Option<Expr>)>,
}

/// What a plan needs that reads one table once, with these columns.
pub fn of(plan: &LogicalPlan, scan: &SchemaRef) -> Result<Option<Needs>> {
    let found = match plan {
        LogicalPlan::Projection(projection) => return of(&projection.input, scan),
        LogicalPlan::SubqueryAlias(alias) => return of(&alias.input, scan),
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => return of(&sort.input, scan),
        LogicalPlan::Aggregate(aggregate) if is_grouped(aggregate) => return of(&aggregate.input, scan),
        LogicalPlan::Filter(filter) => {
            let asked = split_conjunction(&filter.predicate);
            match filter.input.as_ref() {
                LogicalPlan::Aggregate(aggregate) => match of_aggregate(&asked, aggregate, scan)? {
                    None if is_grouped(aggregate) => return of(&aggregate.input, scan),
                    found => found,
                },
                input => match of_windows(&asked, input, scan)? {
                    None => return of(input, scan),
                    found => found,
                },
            }
        }
        _ => None,
    };
    Ok(found.filter(|found| !found.needs.is_empty()))
}

/// The scan's columns of which these columns of a plan are made; `None` where that is not known.
pub fn sources(plan: &LogicalPlan, columns: &[String], scan: &SchemaRef) -> Result<Option<Vec<usize>>> {
    let mut sources = Vec::new();
    for name in columns {
        let Ok(column) = plan.schema().qualified_field_with_unqualified_name(name) else { return Ok(None) };
        let Some(made) = resolve(Expr::from(column), plan)? else { return Ok(None) };
        for read in made.column_refs() {
            let Ok(at) = scan.index_of(&read.name) else { return Ok(None) };
            sources.push(at);
        }
    }
    sources.sort_unstable();
    sources.dedup();
    Ok(Some(sources))
}

/// Whether nothing comes out where any of the scans has no rows.
pub fn all_scans(plan: &LogicalPlan) -> bool {
    let strict = match plan {
        LogicalPlan::TableScan(_)
        | LogicalPlan::Projection(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::Window(_) => true,
        LogicalPlan::Aggregate(aggregate) => is_grouped(aggregate),
        LogicalPlan::Join(join) => matches!(join.join_type, JoinType::Inner | JoinType::LeftSemi),
        _ => false,
    };
    strict && plan.inputs().into_iter().all(all_scans)
}

/// Whether it gives nothing for no rows.
fn is_grouped(aggregate: &Aggregate) -> bool {
    let sets = aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_)));
    !aggregate.group_expr.is_empty() && !sets
}

fn of_aggregate(asked: &[&Expr], aggregate: &Aggregate, scan: &SchemaRef) -> Result<Option<Needs>> {
    let sets = aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_)));
    if sets || !reads_rows(&aggregate.input) {
        return Ok(None);
    }
    let mut needs = Vec::new();
    for asked in asked {
        for (least, function, is_true) in least(asked, aggregate) {
            needs.push((least, counted(function, is_true, &aggregate.input)?));
        }
    }
    needs.retain(|(least, of)| *least > 1 || (*least == 1 && of.is_some()));
    needs.dedup();
    Ok(Some(Needs { columns: columns(&aggregate.group_expr, &aggregate.input, scan)?, needs }))
}

/// Of window functions over a table's rows: what is asked of columns that are none of theirs, of at least
/// one row of those that all of them put together.
fn of_windows(asked: &[&Expr], plan: &LogicalPlan, scan: &SchemaRef) -> Result<Option<Needs>> {
    let mut together: Option<Vec<usize>> = None;
    let mut below = plan;
    while !reads_rows(below) {
        let (LogicalPlan::Window(_)
        | LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::SubqueryAlias(_)) = below
        else {
            return Ok(None);
        };
        let Some(input) = below.inputs().first().copied() else { return Ok(None) };
        if let LogicalPlan::Window(window) = below {
            for expr in &window.window_expr {
                let Expr::WindowFunction(function) = unaliased(expr) else { return Ok(None) };
                let by = columns(&function.params.partition_by, input, scan)?;
                together = Some(match together {
                    Some(earlier) => earlier.into_iter().filter(|column| by.contains(column)).collect(),
                    None => by,
                });
            }
        }
        below = input;
    }
    let Some(columns) = together else { return Ok(None) };
    let mut alone = Vec::new();
    for expr in asked.iter().filter(|expr| !expr.is_volatile()) {
        alone.extend(resolve((*expr).clone(), plan)?);
    }
    Ok(conjunction(alone).map(|one| Needs { columns, needs: vec![(1, Some(one))] }))
}

/// The scan's columns among what groups are made by; groups are only told apart by more.
fn columns(by: &[Expr], input: &LogicalPlan, scan: &SchemaRef) -> Result<Vec<usize>> {
    let mut columns = Vec::new();
    for expr in by {
        let made = resolve(expr.clone(), input)?;
        let column = match &made {
            Some(Expr::Column(column)) => Some(column),
            // As a kept column is read; nothing is equal after it that was not before.
            Some(Expr::Cast(cast)) => match cast.expr.as_ref() {
                Expr::Column(column) if cut::restores(cast.field.data_type(), column, scan) => Some(column),
                _ => None,
            },
            _ => None,
        };
        columns.extend(column.and_then(|column| scan.index_of(&column.name).ok()));
    }
    Ok(columns)
}

/// The aggregates that a condition of a `HAVING` is about, with how many rows each must count, and whether
/// only those for which its argument is true.
fn least<'a>(asked: &Expr, aggregate: &'a Aggregate) -> Vec<(u32, &'a AggregateFunction, bool)> {
    let function = |expr: &Expr| {
        let Expr::Column(column) = expr else { return None };
        let at = aggregate.schema.index_of_column(column).ok()?;
        let expr = aggregate.aggr_expr.get(at.checked_sub(aggregate.group_expr.len())?)?;
        let Expr::AggregateFunction(function) = unaliased(expr) else { return None };
        Some(function)
    };
    // Null where they count no row.
    let strict = |name: &str| matches!(name, "min" | "max" | "sum" | "avg" | "bool_or" | "bool_and");
    if let Some(found) = function(asked) {
        let name = found.func.name();
        return if strict(name) { vec![(1, found, name == "bool_or")] } else { Vec::new() };
    }
    if let Expr::IsNotNull(expr) = asked {
        let found = function(expr).filter(|found| strict(found.func.name()));
        return found.map(|found| (1, found, false)).into_iter().collect();
    }
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = asked else { return Vec::new() };
    let compares = matches!(
        op,
        Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq
    );
    if !compares {
        return Vec::new();
    }
    let counts = match (function(left), right.as_ref()) {
        (Some(found), Expr::Literal(number, _)) => Some((found, *op, number)),
        _ => match (left.as_ref(), function(right), op.swap()) {
            (Expr::Literal(number, _), Some(found), Some(op)) => Some((found, op, number)),
            _ => None,
        },
    };
    if let Some((found, op, ScalarValue::Int64(Some(number)))) = counts
        && found.func.name() == "count"
    {
        let least = match op {
            Operator::GtEq | Operator::Eq => *number,
            Operator::Gt => number.saturating_add(1),
            _ => 0,
        };
        return vec![(u32::try_from(least).unwrap_or(0), found, false)];
    }
    let sides = [operands(left), operands(right)].concat();
    let found = sides.into_iter().filter_map(function).filter(|found| strict(found.func.name()));
    found.map(|found| (1, found, false)).collect()
}

/// What is null where one of these is.
fn operands(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Plus | Operator::Minus, right }) => {
            [operands(left), operands(right)].concat()
        }
        other => vec![other],
    }
}

/// Which rows of the scan an aggregate counts; `None`: all of them, or that is not known.
fn counted(function: &AggregateFunction, is_true: bool, input: &LogicalPlan) -> Result<Option<Expr>> {
    let params = &function.params;
    let mut asked: Vec<Expr> = params.filter.iter().map(|filter| filter.as_ref().clone()).collect();
    for argument in &params.args {
        match argument {
            Expr::Literal(..) => {}
            other if is_true => asked.push(other.clone()),
            other => asked.push(other.clone().is_not_null()),
        }
    }
    let mut known = Vec::new();
    for expr in asked {
        if !expr.is_volatile() {
            known.extend(resolve(expr, input)?);
        }
    }
    Ok(conjunction(known))
}

/// Whether each row of a node is one of the table's.
fn reads_rows(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::TableScan(scan) => scan.fetch.is_none(),
        LogicalPlan::Filter(filter) => reads_rows(&filter.input),
        LogicalPlan::SubqueryAlias(alias) => reads_rows(&alias.input),
        LogicalPlan::Projection(projection) => reads_rows(&projection.input),
        _ => false,
    }
}

/// An expression over a node as one over the scan's columns; `None` where it is not known as that.
fn resolve(expr: Expr, plan: &LogicalPlan) -> Result<Option<Expr>> {
    match resolve_to(expr, plan, &|plan| matches!(plan, LogicalPlan::TableScan(_)))? {
        Some(found) => unqualified(found).map(Some),
        None => Ok(None),
    }
}

/// An expression over a node as one over what stands further below, where that is the end.
pub fn resolve_to(
    expr: Expr,
    plan: &LogicalPlan,
    is_end: &dyn Fn(&LogicalPlan) -> bool,
) -> Result<Option<Expr>> {
    if is_end(plan) {
        return Ok(Some(expr));
    }
    let Some(input) = plan.inputs().first().copied() else { return Ok(None) };
    let mut unknown = false;
    let resolved = expr.transform_down(|node| {
        let Expr::Column(column) = &node else { return Ok(Transformed::no(node)) };
        match below(plan, column) {
            Some(found) if !found.is_volatile() => Ok(Transformed::new(found, true, TreeNodeRecursion::Jump)),
            _ => {
                unknown = true;
                Ok(Transformed::no(node))
            }
        }
    })?;
    if unknown { Ok(None) } else { resolve_to(resolved.data, input, is_end) }
}

/// What a column of a node is of its input.
fn below(plan: &LogicalPlan, column: &Column) -> Option<Expr> {
    match plan {
        LogicalPlan::Filter(_) => Some(Expr::Column(column.clone())),
        LogicalPlan::Window(window) => {
            window.input.schema().has_column(column).then(|| Expr::Column(column.clone()))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let at = alias.schema.index_of_column(column).ok()?;
            Some(Expr::from(alias.input.schema().qualified_field(at)))
        }
        LogicalPlan::Projection(projection) => {
            let at = projection.schema.index_of_column(column).ok()?;
            projection.expr.get(at).map(|expr| unaliased(expr).clone())
        }
        _ => None,
    }
}

fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unaliased(&alias.expr),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicI64;

    use super::*;
    use crate::detect::plan::Planner;
    use crate::detect::session::WindowEnd;
    use crate::rules::Catalog;

    fn scanned(plan: &LogicalPlan) -> Option<SchemaRef> {
        match plan {
            LogicalPlan::TableScan(scan) => Some(Arc::new(scan.projected_schema.as_arrow().clone())),
            other => other.inputs().into_iter().find_map(scanned),
        }
    }

    /// What a statement needs: the columns of its groups, and how many of which rows.
    fn needs(sql: &str) -> Option<(String, Vec<String>)> {
        let planner = Planner::new(&Catalog::default(), WindowEnd::new(AtomicI64::new(0))).unwrap();
        let plan = planner.cut_statement(sql);
        let scan = scanned(&plan).unwrap();
        let found = of(&plan, &scan).unwrap()?;
        let columns: Vec<&str> = found.columns.iter().map(|&at| scan.field(at).name().as_str()).collect();
        let needs = found.needs.iter().map(|(least, of)| match of {
            Some(of) => format!("{least}: {of}"),
            None => least.to_string(),
        });
        Some((columns.join(" "), needs.collect()))
    }

    #[test]
    fn what_a_having_counts_is_needed_as_often() {
        let grouped = |having: &str| {
            needs(&format!("SELECT verb, count(*) AS n FROM audit GROUP BY verb HAVING {having}"))
                .map(|(columns, needs)| (columns == "verb").then_some(needs.join(", ")))
        };
        let needed = |needs: &str| Some(Some(needs.to_string()));
        assert_eq!(grouped("count(*) >= 5"), needed("5"));
        assert_eq!(grouped("n >= 5"), needed("5"));
        assert_eq!(grouped("5 < count(DISTINCT name)"), needed("6: name IS NOT NULL"));
        assert_eq!(
            grouped("count(*) FILTER (WHERE status_code = 403) = 2 AND max(name) > 'x'"),
            needed("2: status_code = Int64(403), 1: name IS NOT NULL")
        );
        assert_eq!(
            grouped("min(time) FILTER (WHERE name = 'x') < max(received_time)"),
            needed("1: name = Utf8View(\"x\") AND time IS NOT NULL, 1: received_time IS NOT NULL")
        );
        assert_eq!(
            grouped("bool_or(name = 'x') AND max(namespace) IS NOT NULL"),
            needed("1: name = Utf8View(\"x\"), 1: namespace IS NOT NULL")
        );
        for having in
            ["count(*) >= 1", "count(*) <= 5", "count(*) >= 5 OR max(name) > 'x'", "NOT bool_or(name = 'x')"]
        {
            assert_eq!(grouped(having), None, "{having}");
        }
    }

    #[test]
    fn groups_are_told_apart_by_columns_that_rows_have() {
        let inner = "SELECT upper(name) AS big, namespace AS place, verb FROM audit WHERE name <> 'x'";
        let sql = format!(
            "SELECT verb, place, big, count(*) AS n FROM ({inner}) AS i GROUP BY verb, place, big HAVING count(*) > 3"
        );
        assert_eq!(needs(&sql), Some(("verb namespace".into(), vec!["4".into()])));
        let sql = "SELECT min(verb) AS verb, count(*) AS n FROM audit HAVING count(*) > 3";
        assert_eq!(needs(sql), Some((String::new(), vec!["4".into()])));
        let prepared = "SELECT role, count(*) AS n FROM (SELECT object -> 'roleRef' ->> 'name' AS role FROM audit) AS i \
                        GROUP BY role HAVING count(*) > 3";
        assert_eq!(needs(prepared), Some(("role".into(), vec!["4".into()])));
    }

    #[test]
    fn a_row_that_differs_from_others_must_be_one_that_is_asked_for() {
        let lagging = "SELECT verb, username, lag(name) OVER (PARTITION BY verb, namespace ORDER BY time) AS before, \
                       count(*) OVER (PARTITION BY verb) AS n, name FROM audit";
        let sql = format!("SELECT * FROM ({lagging}) AS i WHERE before <> name AND username = 'x' AND n > 3");
        assert_eq!(needs(&sql), Some(("verb".into(), vec!["1: username = Utf8View(\"x\")".into()])));
        let sql = format!("SELECT count(*) FROM ({lagging}) AS i WHERE before <> name AND username = 'x'");
        assert_eq!(needs(&sql), None, "a count of nothing is a row");
    }

    #[test]
    fn tables_read_twice_need_a_row_of_each() {
        let both = |sql: &str| {
            let planner = Planner::new(&Catalog::default(), WindowEnd::new(AtomicI64::new(0))).unwrap();
            all_scans(&planner.cut_statement(sql))
        };
        let joined = |how: &str| format!("SELECT a.verb FROM audit AS a {how} audit AS b ON a.name = b.name");
        assert!(both(&joined("JOIN")));
        assert!(!both(&joined("LEFT JOIN")));
        assert!(both("SELECT verb FROM audit WHERE name IN (SELECT pod FROM control_plane)"));
        assert!(!both("SELECT verb FROM audit WHERE name NOT IN (SELECT pod FROM control_plane)"));
        assert!(!both("SELECT verb FROM audit UNION ALL SELECT category FROM control_plane"));
        assert!(!both("SELECT count(*) FROM audit"));
    }
}
