//! The tables as a rule's plan sees them.
//!
//! [`RuleTable`] takes every row filter ("exact" pushdown), so that after optimisation a scan holds
//! precisely the rule's row filter and the columns it reads. When the physical plan is made, each
//! scan leaves a [`PlannedScan`] behind; its [`Slot`] is what the scan reads when the plan runs, so
//! that one physical plan serves every evaluation.

use std::sync::{Arc, Mutex};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};

use crate::event::Table;

/// What a scan reads when its plan is executed: rows put there just before.
#[derive(Debug)]
pub struct Slot {
    schema: SchemaRef,
    rows: Mutex<Option<RecordBatch>>,
}

impl Slot {
    /// The scan's columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Puts the rows of the next execution in place (`None`: no rows).
    pub fn put(&self, rows: Option<RecordBatch>) {
        *self.rows.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = rows;
    }
}

impl PartitionStream for Slot {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.rows.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let batches: Vec<RecordBatch> = rows.into_iter().collect();
        // The rows were made with this very schema, so the stream cannot refuse them.
        match MemoryStream::try_new(batches, self.schema.clone(), None) {
            Ok(stream) => Box::pin(stream),
            Err(error) => Box::pin(datafusion::physical_plan::stream::RecordBatchStreamAdapter::new(
                self.schema.clone(),
                futures::stream::once(async move { Err(error) }),
            )),
        }
    }
}

/// One scan of a planned rule.
#[derive(Debug)]
pub struct PlannedScan {
    pub table: Table,
    /// Columns of the table the rule reads, in the order the plan expects.
    pub projection: Vec<usize>,
    /// The row filter; column names may carry the alias of this scan.
    pub filters: Vec<Expr>,
    pub slot: Arc<Slot>,
}

/// The scans of the plan being made, in the order the planner meets them.
pub type ScanLog = Arc<Mutex<Vec<PlannedScan>>>;

/// `audit` or `control_plane` for planning.
#[derive(Debug)]
pub struct RuleTable {
    pub table: Table,
    pub log: ScanLog,
}

#[async_trait::async_trait]
impl TableProvider for RuleTable {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Exact; filters.len()])
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all = self.table.schema();
        let projection = projection.cloned().unwrap_or_else(|| (0..all.fields().len()).collect());
        let schema = Arc::new(all.project(&projection)?);
        let slot = Arc::new(Slot { schema: schema.clone(), rows: Mutex::new(None) });
        let plan =
            StreamingTableExec::try_new(schema, vec![slot.clone() as _], None, Vec::new(), false, None)?;
        let scan = PlannedScan { table: self.table, projection, filters: filters.to_vec(), slot };
        self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(scan);
        Ok(Arc::new(plan))
    }
}
