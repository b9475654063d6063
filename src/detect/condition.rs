//! Parts of row filters: taken apart, compiled over the columns they read, evaluated on some rows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::take;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::physical_plan::PhysicalExpr;

use super::{functions, pattern};

/// An expression over the columns of a table that it reads.
#[derive(Debug, Clone)]
pub struct Compiled {
    expr: Arc<dyn PhysicalExpr>,
    /// Columns of the table; the expression counts them from 0.
    pub columns: Vec<usize>,
    schema: SchemaRef,
}

impl Compiled {
    /// Compiles an expression whose columns carry no table's name.
    pub fn new(expr: Expr, table: &Schema, state: &SessionState) -> Result<Self> {
        let expr = pattern::compiled(expr)?;
        let mut columns: Vec<usize> =
            column_names(&expr).iter().map(|name| table.index_of(name)).collect::<Result<_, _>>()?;
        columns.sort_unstable();
        let schema = Arc::new(table.project(&columns)?);
        let known = DFSchema::try_from(schema.as_ref().clone())?;
        Ok(Self { expr: state.create_physical_expr(expr, &known)?, columns, schema })
    }

    /// For each of the rows of a table, or of those chosen, whether it is true.
    pub fn truth(&self, rows: &RecordBatch, chosen: Option<&UInt32Array>) -> Result<BooleanBuffer> {
        let Some(chosen) = chosen else { return truth(&self.expr, &rows.project(&self.columns)?) };
        self.truth_of(self.taken(rows, chosen)?, chosen.len())
    }

    /// Its value for each of the chosen rows of a table.
    pub fn value(&self, rows: &RecordBatch, chosen: &UInt32Array) -> Result<ArrayRef> {
        self.value_of(self.taken(rows, chosen)?, chosen.len())
    }

    fn taken(&self, rows: &RecordBatch, chosen: &UInt32Array) -> Result<Vec<ArrayRef>> {
        let columns = self.columns.iter().map(|at| take(rows.column(*at), chosen, None));
        Ok(columns.collect::<Result<_, _>>()?)
    }

    /// For each row of its columns whether it is true.
    pub fn truth_of(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<BooleanBuffer> {
        truth(&self.expr, &self.batch(columns, rows)?)
    }

    /// Its value for each row of its columns.
    pub fn value_of(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<ArrayRef> {
        self.expr.evaluate(&self.batch(columns, rows)?)?.into_array(rows)
    }

    fn batch(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }
}

/// Rows for which the expression is true; null counts as false.
fn truth(expr: &Arc<dyn PhysicalExpr>, rows: &RecordBatch) -> Result<BooleanBuffer> {
    let value = expr.evaluate(rows)?.into_array(rows.num_rows())?;
    let bools = value.as_boolean_opt().ok_or_else(|| {
        DataFusionError::Plan(format!("the row filter is {}, not a condition", value.data_type()))
    })?;
    Ok(match bools.nulls() {
        Some(nulls) => bools.values() & nulls.inner(),
        None => bools.values().clone(),
    })
}

/// The expression without table aliases: filters are evaluated on the bare table.
pub fn unqualified(expr: Expr) -> Result<Expr> {
    let bare = |e| {
        Ok(match e {
            Expr::Column(column) => Transformed::yes(Expr::Column(Column::new_unqualified(column.name))),
            other => Transformed::no(other),
        })
    };
    expr.transform(bare).data()
}

/// Whether the expression calls a function that reads a JSON body.
pub fn reads_a_body(expr: &Expr) -> Result<bool> {
    let mut found = false;
    expr.apply(|e| {
        if let Expr::ScalarFunction(function) = e {
            found |= functions::is_expensive(function.name());
        }
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// Whether evaluating it takes much longer than comparing two values.
pub fn is_costly(expr: &Expr) -> Result<bool> {
    expr.exists(|node| {
        Ok(match node {
            Expr::ScalarFunction(_) | Expr::Like(_) | Expr::SimilarTo(_) => true,
            Expr::BinaryExpr(BinaryExpr { op, .. }) => matches!(
                op,
                Operator::RegexMatch
                    | Operator::RegexIMatch
                    | Operator::RegexNotMatch
                    | Operator::RegexNotIMatch
            ),
            _ => false,
        })
    })
}

/// The columns that an expression reads, each once.
pub fn column_names(expr: &Expr) -> Vec<String> {
    let mut names: Vec<String> = expr.column_refs().into_iter().map(|column| column.name.clone()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The part of a condition that asks about some columns alone: true wherever the condition is, perhaps
/// elsewhere too; `None` where there is no such part. Of `a = 1 AND b = 2 OR a = 3 AND c` it is for `a`
/// `a = 1 OR a = 3`, for `b` nothing.
pub fn part_of(expr: &Expr, columns: &[&str]) -> Option<Expr> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            match (part_of(left, columns), part_of(right, columns)) {
                (Some(left), Some(right)) => Some(left.and(right)),
                (left, right) => left.or(right),
            }
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            Some(part_of(left, columns)?.or(part_of(right, columns)?))
        }
        other => {
            let names = column_names(other);
            let alone = !names.is_empty() && names.iter().all(|name| columns.contains(&name.as_str()));
            (alone && !other.is_volatile()).then(|| other.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};

    use super::*;

    #[test]
    fn a_part_is_true_wherever_the_condition_is() {
        let (a, b) = (col("a").eq(lit(1)), col("b").eq(lit(2)));
        let other = col("a").not_eq(lit(3));
        let both = a.clone().and(b.clone());
        assert_eq!(part_of(&both, &["a"]), Some(a.clone()));
        assert_eq!(part_of(&both, &["c"]), None);
        assert_eq!(part_of(&a.clone().and(other.clone()), &["a"]), Some(a.clone().and(other.clone())));
        assert_eq!(part_of(&both.clone().or(other.clone()), &["a"]), Some(a.clone().or(other.clone())));
        assert_eq!(part_of(&both.clone().or(other.clone()), &["b"]), None);
        // What is not an AND or OR is all or nothing.
        let denied = Expr::Not(Box::new(both));
        assert_eq!(part_of(&denied, &["a"]), None);
        let denied = Expr::Not(Box::new(a.clone().or(other)));
        assert_eq!(part_of(&denied, &["a"]), Some(denied.clone()));
        assert_eq!(part_of(&col("a").eq(col("b")), &["a"]), None);
        assert_eq!(part_of(&col("a").eq(col("b")), &["a", "b"]), Some(col("a").eq(col("b"))));
        assert_eq!(part_of(&lit(true), &["a"]), None);
    }
}
