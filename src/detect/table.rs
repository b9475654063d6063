//! The tables as a rule's plan sees them.
//!
//! [`RuleTable`] takes every row filter ("exact" pushdown), so that after optimisation a scan holds
//! precisely the rule's row filter and the columns it reads. When the physical plan is made, each
//! scan leaves a [`PlannedScan`] behind; its [`Slot`] is what the scan reads when the plan runs, so
//! that one physical plan serves every evaluation. Where a part of the plan was cut off
//! ([`super::cut`]), that part reads a [`RawTable`] and the rest of the plan a [`PreparedTable`].

use std::sync::{Arc, Mutex, OnceLock};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableScan, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};

use super::prepare::Preparation;
use crate::event::Table;

/// What a scan reads when its plan is executed: rows put there just before.
#[derive(Debug)]
pub struct Slot {
    schema: SchemaRef,
    rows: Mutex<Option<RecordBatch>>,
}

impl Slot {
    /// For rows with these columns.
    pub fn new(schema: SchemaRef) -> Arc<Slot> {
        Arc::new(Slot { schema, rows: Mutex::new(None) })
    }

    fn scan(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = self.schema.clone();
        Ok(Arc::new(StreamingTableExec::try_new(schema, vec![self], None, Vec::new(), false, None)?))
    }

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
    /// These columns.
    pub columns: SchemaRef,
    /// What is made of them once a row, before the plan reads it.
    pub preparation: Option<Arc<Preparation>>,
    /// What the plan reads: the columns, or what was made of them.
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
        let columns = Arc::new(all.project(&projection)?);
        let slot = Slot::new(columns.clone());
        let (table, filters) = (self.table, filters.to_vec());
        let scan = PlannedScan { table, projection, filters, columns, preparation: None, slot: slot.clone() };
        self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(scan);
        slot.scan()
    }
}

/// Kept rows as a part of a plan reads them that was cut off.
#[derive(Debug)]
pub struct RawTable {
    pub slot: Arc<Slot>,
}

#[async_trait::async_trait]
impl TableProvider for RawTable {
    fn schema(&self) -> SchemaRef {
        self.slot.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        debug_assert!(projection.is_none(), "a part is planned as it is");
        self.slot.clone().scan()
    }
}

/// What such a part makes of rows, as the rest of the plan reads it.
#[derive(Debug)]
pub struct PreparedTable {
    table: Table,
    projection: Vec<usize>,
    filters: Vec<Expr>,
    raw: SchemaRef,
    columns: SchemaRef,
    /// Known once the part is planned, which is before this table is read.
    pub preparation: OnceLock<Preparation>,
    log: ScanLog,
}

impl PreparedTable {
    /// In place of a scan and what stood above it, which gives `columns`.
    pub fn new(scan: &TableScan, columns: SchemaRef, log: &ScanLog) -> Result<PreparedTable> {
        let name = scan.table_name.table();
        let table = Table::ALL.into_iter().find(|table| table.name() == name);
        let table = table.ok_or_else(|| DataFusionError::Plan(format!("no table {name}")))?;
        let all = table.schema();
        let projection = scan.projection.clone().unwrap_or_else(|| (0..all.fields().len()).collect());
        Ok(PreparedTable {
            table,
            filters: scan.filters.clone(),
            raw: Arc::new(all.project(&projection)?),
            projection,
            columns,
            preparation: OnceLock::new(),
            log: log.clone(),
        })
    }
}

#[async_trait::async_trait]
impl TableProvider for PreparedTable {
    fn schema(&self) -> SchemaRef {
        self.columns.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all = (0..self.columns.fields().len()).collect();
        let read = projection.cloned().unwrap_or(all);
        let slot = Slot::new(Arc::new(self.columns.project(&read)?));
        let preparation = self.preparation.get().map(|whole| Arc::new(whole.of(read, slot.schema())));
        let (table, projection, filters) = (self.table, self.projection.clone(), self.filters.clone());
        let columns = self.raw.clone();
        let scan = PlannedScan { table, projection, filters, columns, preparation, slot: slot.clone() };
        self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(scan);
        slot.scan()
    }
}
