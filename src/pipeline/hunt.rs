//! One SQL query over archives: the same tables, columns and functions as a rule has.
//!
//! Files are decoded while the query runs; a table that is read twice is decoded twice.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use anyhow::Context;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::context::SQLOptions;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::StreamExt;

use super::replay::Options;
use super::stages::{self, Progress};
use crate::detect::{query_error, session};
use crate::event::Table;
use crate::rules::Catalog;

/// What a query may hold in memory; sorts and aggregates go to disk beyond it.
const QUERY_MEMORY: usize = 1 << 30;

/// Decodes the inputs anew for each execution.
struct Archive {
    table: Table,
    schema: SchemaRef,
    options: Arc<Options>,
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive").field("table", &self.table).finish_non_exhaustive()
    }
}

struct NoProgress;

impl Progress for NoProgress {
    fn advance(&self, _: u64) {}
}

impl PartitionStream for Archive {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut stream = RecordBatchReceiverStreamBuilder::new(self.schema.clone(), 2);
        let (sender, table, options) = (stream.tx(), self.table, self.options.clone());
        stream.spawn_blocking(move || {
            let rows = |batch: &crate::event::Batch| table.rows(batch).0.clone();
            let sent = stages::run(
                &options.inputs,
                options.threads,
                &NoProgress,
                &rows,
                &options.range,
                &mut |piece| match piece.outcome {
                    Some(rows) if rows.num_rows() > 0 => Ok(sender.blocking_send(Ok(rows))?),
                    _ => Ok(()),
                },
            );
            // A query that has seen enough closes the stream; that is no failure.
            if let Err(error) = sent
                && !sender.is_closed()
            {
                let error = DataFusionError::External(error.into());
                let _ = sender.blocking_send(Err(error));
            }
            Ok(())
        });
        stream.build()
    }
}

/// Runs `sql` over the inputs and hands each batch of rows to `emit`. Only queries are allowed.
pub fn run(
    sql: &str,
    catalog: &Catalog,
    options: Options,
    emit: &mut dyn FnMut(&RecordBatch) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let until = options.range.until.unwrap_or(0);
    let lists = Arc::new(catalog.lists.clone());
    let context = session::new(lists, Arc::new(AtomicI64::new(until)), QUERY_MEMORY)?;
    let options = Arc::new(options);
    for table in Table::ALL {
        let schema = table.schema();
        let archive = Arc::new(Archive { table, schema: schema.clone(), options: options.clone() });
        context.register_table(table.name(), Arc::new(StreamingTable::try_new(schema, vec![archive])?))?;
    }
    let only_queries =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    let runtime = tokio::runtime::Builder::new_current_thread().build().context("cannot start a runtime")?;
    let in_sql = |error: DataFusionError| anyhow::anyhow!("SQL:{}", query_error(&error, sql));
    runtime.block_on(async {
        let frame = context.sql_with_options(sql, only_queries).await.map_err(in_sql)?;
        let schema = Arc::new(frame.schema().as_arrow().clone());
        let mut rows = frame.execute_stream().await.map_err(in_sql)?;
        let mut any = false;
        while let Some(batch) = rows.next().await {
            emit(&batch.map_err(plain)?)?;
            any = true;
        }
        if !any {
            emit(&RecordBatch::new_empty(schema))?;
        }
        anyhow::Ok(())
    })
}

/// The error without the engine's own words around it.
fn plain(error: DataFusionError) -> anyhow::Error {
    anyhow::anyhow!("{}", error.strip_backtrace())
}
