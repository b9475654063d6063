//! How many rows a group must have before a query can return anything for it.
//!
//! Most windowed rules ask for many of something: `HAVING count(DISTINCT name) >= 8`. A count is never
//! more than the rows of its group, so a group with fewer rows is left out before the plan is run, and
//! where no group is left the plan is not run at all. Counting rows costs a hash each; running a plan with
//! a set of distinct values for each of hundreds of groups costs milliseconds a window.

use std::collections::HashMap;

use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use datafusion::common::hash_utils::create_hashes_with_hasher;
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Aggregate, BinaryExpr, Expr, LogicalPlan, Operator};
use foldhash::fast::RandomState;

use super::rows::Rows;

/// What a group needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crowd {
    /// Rows, at least.
    least: usize,
    /// Columns of the scan that are equal in a group. Groups may be told apart by more than these.
    columns: Vec<usize>,
}

impl Crowd {
    /// What a query needs that reads one table once, with these columns; `None` where a single row may do or
    /// that is not known.
    pub fn of(plan: &LogicalPlan, scan: &SchemaRef) -> Option<Crowd> {
        let (having, aggregate) = grouped(plan)?;
        let least =
            split_conjunction(having).into_iter().filter_map(|asked| least(asked, aggregate)).max()?;
        if least < 2 || !reads_rows(&aggregate.input) {
            return None;
        }
        let mut columns = Vec::new();
        for expr in &aggregate.group_expr {
            match expr {
                Expr::GroupingSet(_) => return None,
                Expr::Column(column) => {
                    let name = origin(&aggregate.input, column);
                    columns.extend(name.and_then(|name| scan.index_of(&name).ok()));
                }
                // Groups are only told apart by more.
                _ => {}
            }
        }
        Some(Crowd { least, columns })
    }

    /// The rows of groups that are large enough; `None` where there are none.
    pub fn rows(&self, rows: &Rows) -> Result<Option<Rows>, ArrowError> {
        if rows.len() < self.least {
            return Ok(None);
        }
        // Groups with equal hashes count as one, which leaves in too much and never too little.
        let mut hashes = vec![0; rows.len()];
        let columns: Vec<ArrayRef> = self.columns.iter().map(|&at| rows.batch().column(at).clone()).collect();
        if !columns.is_empty() {
            create_hashes_with_hasher(&columns, &RandomState::default(), &mut hashes)
                .map_err(|e| ArrowError::ComputeError(e.strip_backtrace()))?;
        }
        let mut sizes: HashMap<u64, usize, RandomState> = HashMap::default();
        hashes.iter().for_each(|hash| *sizes.entry(*hash).or_default() += 1);
        if sizes.values().all(|size| *size >= self.least) {
            return Ok(Some(rows.clone()));
        }
        let is_large = |row: &u32| sizes.get(&hashes[*row as usize]).is_some_and(|size| *size >= self.least);
        let left: Vec<u32> = (0..rows.len() as u32).filter(is_large).collect();
        if left.is_empty() { Ok(None) } else { rows.take(&left).map(Some) }
    }
}

/// The `HAVING` and what it stands above, where a query returns nothing but what passes it.
fn grouped(plan: &LogicalPlan) -> Option<(&Expr, &Aggregate)> {
    match plan {
        LogicalPlan::Projection(projection) => grouped(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => grouped(&alias.input),
        LogicalPlan::Sort(sort) => grouped(&sort.input),
        LogicalPlan::Filter(filter) => match filter.input.as_ref() {
            LogicalPlan::Aggregate(aggregate) => Some((&filter.predicate, aggregate)),
            input => grouped(input),
        },
        _ => None,
    }
}

/// How many rows one condition of a `HAVING` asks for, if it is about a count.
fn least(asked: &Expr, aggregate: &Aggregate) -> Option<usize> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = asked else { return None };
    let (counted, op, number) = match (left.as_ref(), right.as_ref()) {
        (column @ Expr::Column(_), Expr::Literal(number, _)) => (column, *op, number),
        (Expr::Literal(number, _), column @ Expr::Column(_)) => (column, op.swap()?, number),
        _ => return None,
    };
    let Expr::Column(column) = counted else { return None };
    let at = aggregate.schema.index_of_column(column).ok()?.checked_sub(aggregate.group_expr.len())?;
    let Expr::AggregateFunction(function) = aggregate.aggr_expr.get(at)? else { return None };
    let ScalarValue::Int64(Some(number)) = number else { return None };
    if function.func.name() != "count" {
        return None;
    }
    match op {
        Operator::GtEq | Operator::Eq => usize::try_from(*number).ok(),
        Operator::Gt => usize::try_from(number.checked_add(1)?).ok(),
        _ => None,
    }
}

/// Whether each row of a node is one of the table's.
fn reads_rows(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::TableScan(_) => true,
        LogicalPlan::Filter(filter) => reads_rows(&filter.input),
        LogicalPlan::SubqueryAlias(alias) => reads_rows(&alias.input),
        LogicalPlan::Projection(projection) => reads_rows(&projection.input),
        _ => false,
    }
}

/// The table's column that a column of a node is.
fn origin(plan: &LogicalPlan, column: &Column) -> Option<String> {
    match plan {
        LogicalPlan::TableScan(_) => Some(column.name.clone()),
        LogicalPlan::Filter(filter) => origin(&filter.input, column),
        LogicalPlan::SubqueryAlias(alias) => {
            let at = alias.schema.index_of_column(column).ok()?;
            origin(&alias.input, &Column::from(alias.input.schema().qualified_field(at)))
        }
        LogicalPlan::Projection(projection) => {
            let at = projection.schema.index_of_column(column).ok()?;
            match projection.expr.get(at)? {
                Expr::Column(below) => origin(&projection.input, below),
                Expr::Alias(alias) => match alias.expr.as_ref() {
                    Expr::Column(below) => origin(&projection.input, below),
                    _ => None,
                },
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicI64;

    use crate::detect::plan::Planner;
    use crate::detect::session::WindowEnd;
    use crate::rules::Catalog;

    /// What a windowed rule with this statement needs, and the names of its columns.
    fn crowd(sql: &str) -> Option<(usize, Vec<String>)> {
        let header = "-- /// detection\n-- title = \"x\"\n-- severity = \"low\"\n-- status = \"draft\"\n\
                      -- key = [\"verb\"]\n-- window = \"10m\"\n-- summary = \"{verb}\"\n\
                      -- description = \"x\"\n-- ///\n";
        let path = std::path::Path::new("detections/execution/x.sql");
        let rule = crate::rules::parse_detection(path, "execution", "x", &format!("{header}{sql}")).unwrap();
        let planner = Planner::new(&Catalog::default(), WindowEnd::new(AtomicI64::new(0))).unwrap();
        let planned = planner.plan(&rule).unwrap();
        let crowd = planned.crowd?;
        let schema = planned.scans[0].slot.schema().clone();
        Some((crowd.least, crowd.columns.iter().map(|&at| schema.field(at).name().clone()).collect()))
    }

    #[test]
    fn a_count_that_is_asked_for_needs_as_many_rows() {
        let verbs = |least| Some((least, vec!["verb".to_string()]));
        let grouped = |having: &str| {
            crowd(&format!("SELECT verb, count(*) AS n FROM audit GROUP BY verb HAVING {having}"))
        };
        assert_eq!(grouped("count(*) >= 5"), verbs(5));
        assert_eq!(grouped("5 < count(DISTINCT name) AND max(name) > 'x'"), verbs(6));
        assert_eq!(grouped("count(*) FILTER (WHERE name = 'x') >= 2 AND count(name) = 3"), verbs(3));
        assert_eq!(grouped("n >= 5"), verbs(5));
        for having in
            ["count(*) >= 1", "count(*) <= 5", "count(*) >= 5 OR max(name) > 'x'", "count(*) + 1 >= 5"]
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
        assert_eq!(crowd(&sql), Some((4, vec!["verb".into(), "namespace".into()])));
        let sql = "SELECT min(verb) AS verb, count(*) AS n FROM audit HAVING count(*) > 3";
        assert_eq!(crowd(sql), Some((4, vec![])));
    }

    #[test]
    fn rows_that_become_several_and_tables_read_twice_are_left_alone() {
        let unnested = "SELECT verb, unnest(groups) AS g FROM audit";
        let joined = "SELECT a.verb FROM audit AS a JOIN audit AS b ON a.name = b.name";
        for inner in [unnested, joined, "SELECT verb FROM audit UNION ALL SELECT verb FROM audit"] {
            let sql =
                format!("SELECT verb, count(*) AS n FROM ({inner}) AS i GROUP BY verb HAVING count(*) > 3");
            assert_eq!(crowd(&sql), None, "{inner}");
        }
        let twice = "SELECT verb, count(*) AS n FROM audit WHERE name IN (SELECT name FROM audit) \
                     GROUP BY verb HAVING count(*) > 3";
        assert_eq!(crowd(twice), None);
    }
}
