//! Kept rows made what a rule's plan reads of them ([`super::cut`]), once.
//!
//! A preparation runs over many rows together, whenever a buffer has gathered some. A row that it fails
//! on is left out and the failure told; the others are prepared without it.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt64Array};
use arrow::compute::{cast, concat_batches, take};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::{ExecutionPlan, collect};

use super::cut::ORIGIN;
use super::rows::{self, Rows};
use super::table::Slot;

/// A part of a plan that makes something of each row.
#[derive(Debug, Clone)]
pub struct Preparation {
    plan: Arc<dyn ExecutionPlan>,
    raw: Arc<Slot>,
    context: Arc<TaskContext>,
    /// Columns of the plan that are read, and as what they are kept.
    read: Vec<usize>,
    schema: SchemaRef,
    /// What it does, as text: equal for equal preparations.
    pub text: String,
}

/// Rows that could not be prepared.
#[derive(Debug, Clone, Default)]
pub struct Unprepared {
    pub rows: u64,
    /// Of the last of them.
    pub reason: String,
}

impl Preparation {
    /// What a plan over `raw` makes; its last column is [`ORIGIN`].
    pub fn new(
        plan: Arc<dyn ExecutionPlan>,
        raw: Arc<Slot>,
        context: Arc<TaskContext>,
        text: String,
    ) -> Self {
        let schema = rows::schema(raw.schema());
        Self { plan, raw, context, read: Vec::new(), schema, text }
    }

    /// The same with only the columns that are read, kept in these types.
    pub fn of(&self, read: Vec<usize>, columns: &SchemaRef) -> Self {
        Self { read, schema: rows::schema(columns), ..self.clone() }
    }

    /// The rows as prepared, in their order; some may have become none or several.
    pub fn run(&self, raw: &Rows, failed: &mut Unprepared) -> Result<Rows, ArrowError> {
        if raw.is_empty() {
            return Ok(Rows::from_batch(RecordBatch::new_empty(self.schema.clone())));
        }
        match self.of_rows(raw) {
            Ok(rows) => Ok(rows),
            Err(error) if raw.len() == 1 => {
                failed.rows += 1;
                failed.reason = error.strip_backtrace();
                Ok(Rows::from_batch(RecordBatch::new_empty(self.schema.clone())))
            }
            Err(_) => {
                let (all, half) = (raw.len(), raw.len() / 2);
                let parts =
                    [self.run(&raw.slice(0, half), failed)?, self.run(&raw.slice(half, all), failed)?];
                let batch = concat_batches(&self.schema, parts.iter().map(Rows::batch))?;
                Ok(Rows::from_batch(batch))
            }
        }
    }

    fn of_rows(&self, raw: &Rows) -> Result<Rows> {
        let data = raw.data()?;
        let origin: ArrayRef = Arc::new(UInt64Array::from_iter_values(0..raw.len() as u64));
        let columns = data.columns().iter().cloned().chain([origin]).collect();
        self.raw.put(Some(RecordBatch::try_new(self.raw.schema().clone(), columns)?));
        let plan = reset_plan_states(self.plan.clone())?;
        // Nothing in it waits for anything: rows come from memory.
        let made = futures::executor::block_on(collect(plan, self.context.clone()));
        self.raw.put(None);
        let made = concat_batches(&self.plan.schema(), &made?)?;
        let origin = made
            .column_by_name(ORIGIN)
            .ok_or_else(|| DataFusionError::Internal("prepared rows of unknown origin".into()))?;
        let own = self.read.iter().zip(self.schema.fields());
        let own = own.map(|(at, field)| match made.column(*at) {
            column if column.data_type() == field.data_type() => Ok(column.clone()),
            column => cast(column, field.data_type()),
        });
        let known = raw.known().iter().map(|column| take(column, origin, None));
        let columns = own.chain(known).collect::<Result<Vec<ArrayRef>, _>>()?;
        Ok(Rows::from_batch(RecordBatch::try_new(self.schema.clone(), columns)?))
    }
}
