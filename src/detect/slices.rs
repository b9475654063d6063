//! Rows that are sorted lie in memory of their own.
//!
//! An aggregate hands on slices of one large result, and each slice counts as the whole of it: a sort
//! above it would take a few thousand rows for more than all the memory there is, and give up instead
//! of going to disk. [`OwnRows`] puts a copy of each such slice below a sort.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatchOptions, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::utils::memory::get_record_batch_memory_size;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    ReplaceChildrenOptions, SendableRecordBatchStream,
};
use futures::StreamExt;

use crate::event::compact;

/// Puts a copy below every sort.
#[derive(Debug)]
pub struct OwnRows;

impl PhysicalOptimizerRule for OwnRows {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let below = |node: Arc<dyn ExecutionPlan>| {
            let Some(sort) = node.downcast_ref::<SortExec>() else { return Ok(Transformed::no(node)) };
            let input = sort.input().clone();
            let own = Own { properties: input.properties().clone(), input };
            Ok(Transformed::yes(node.replace_children(
                vec![Arc::new(own)],
                ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute),
            )?))
        };
        plan.transform_up(below).data()
    }

    fn name(&self) -> &str {
        "own_rows"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Copies slices that hold on to much more than they are.
#[derive(Debug)]
struct Own {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl DisplayAs for Own {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OwnRowsExec")
    }
}

impl ExecutionPlan for Own {
    fn name(&self) -> &str {
        "OwnRowsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.pop().unwrap_or_else(|| self.input.clone());
        Ok(Arc::new(Self { properties: input.properties().clone(), input }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = self.input.execute(partition, context)?.map(|batch| own(batch?));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.input.schema(), rows)))
    }
}

/// The batch, or a copy of it where that holds less than half of what the batch does.
fn own(batch: RecordBatch) -> Result<RecordBatch> {
    let needed: usize = batch.columns().iter().map(needed).sum();
    if get_record_batch_memory_size(&batch) <= needed.saturating_mul(2) {
        return Ok(batch);
    }
    let rows = u32::try_from(batch.num_rows()).unwrap_or(u32::MAX);
    let copy = take_record_batch(&batch, &UInt32Array::from_iter_values(0..rows))?;
    let columns = copy.columns().iter().map(compact).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(copy.num_rows()));
    Ok(RecordBatch::try_new_with_options(copy.schema(), columns, &options)?)
}

/// About the bytes a column needs by itself.
fn needed(column: &ArrayRef) -> usize {
    match column.data_type() {
        DataType::Utf8View => {
            let texts = column.as_string_view();
            texts.total_buffer_bytes_used() + texts.len() * 16
        }
        DataType::List(_) => needed(column.as_list::<i32>().values()) + column.len() * 4,
        other => column.len() * other.primitive_width().unwrap_or(16),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, StringViewArray};

    #[test]
    fn a_slice_of_much_becomes_little() {
        let texts =
            StringViewArray::from_iter_values((0..10_000).map(|n| format!("a text of some length {n}")));
        let numbers = Int64Array::from_iter_values(0..10_000);
        let columns: Vec<(&str, ArrayRef)> = vec![("t", Arc::new(texts)), ("n", Arc::new(numbers))];
        let whole = RecordBatch::try_from_iter(columns).unwrap();
        let slice = whole.slice(100, 50);
        let copy = own(slice.clone()).unwrap();
        assert_eq!(copy, slice);
        assert!(get_record_batch_memory_size(&slice) > 400_000);
        assert!(get_record_batch_memory_size(&copy) < 10_000, "{}", get_record_batch_memory_size(&copy));
        assert_eq!(own(whole.clone()).unwrap(), whole);
    }
}
