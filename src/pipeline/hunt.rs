//! One SQL query over archives: the same tables, columns and functions as a rule has.
//!
//! Our own Parquet is read by DataFusion, as little of it as the query needs. Other files are decoded while
//! the query runs; a table that is read twice is decoded twice.

use std::fmt;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, PoisonError};

use anyhow::Context;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::StreamExt;

use super::parquet::Sorted;
use super::replay::Options;
use super::stages::{self, Progress, Range};
use crate::archive;
use crate::archive::table::Damaged;
use crate::detect::{query_error, session};
use crate::event::Table;
use crate::rules::Catalog;
use crate::source::files::Inputs;

/// What a query may hold in memory; sorts and aggregates go to disk beyond it.
const QUERY_MEMORY: usize = 1 << 30;

/// Decodes the inputs anew for each execution.
struct Archive {
    table: Table,
    schema: SchemaRef,
    others: Arc<Inputs>,
    range: Range,
    threads: usize,
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
        let (sender, table, others) = (stream.tx(), self.table, self.others.clone());
        let (range, threads) = (self.range.clone(), self.threads);
        stream.spawn_blocking(move || {
            let rows = |batch: &crate::event::Batch| table.rows(batch).0.clone();
            let sent =
                stages::run(&others, threads, &NoProgress, &rows, &range, &mut |piece| match piece.outcome {
                    Some(rows) if rows.num_rows() > 0 => Ok(sender.blocking_send(Ok(rows))?),
                    _ => Ok(()),
                });
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

/// Runs `sql` over the inputs and hands each batch of rows to `emit`. Only queries are allowed. Gives what
/// could not be read, file by file.
pub fn run(
    sql: &str,
    catalog: &Catalog,
    options: Options,
    emit: &mut dyn FnMut(&RecordBatch) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<String>> {
    let until = options.range.until.unwrap_or(0);
    let lists = Arc::new(catalog.lists.clone());
    let context = session::new(lists, Arc::new(AtomicI64::new(until)), QUERY_MEMORY)?;
    // Our own Parquet is read by column; the rest is decoded, if there is any.
    let Sorted { own, mut others, unreadable, .. } = Sorted::new(&options.inputs);
    others.files.extend(unreadable.iter().filter_map(|p| options.inputs.files.get(p.file).cloned()));
    let (others, damaged) = (Arc::new(others), Damaged::default());
    context.state_ref().write().config_mut().options_mut().execution.target_partitions = options.threads;
    for table in Table::ALL {
        let schema = table.schema();
        let ours = archive::table::provider(&own, table, &options.range.selection(), &damaged)?;
        let whole = if others.files.is_empty() {
            ours
        } else {
            let (range, threads) = (options.range.clone(), options.threads);
            let archive =
                Arc::new(Archive { table, schema: schema.clone(), others: others.clone(), range, threads });
            let decoded: Arc<dyn TableProvider> = Arc::new(StreamingTable::try_new(schema, vec![archive])?);
            if own.is_empty() { decoded } else { both(table, ours, decoded)? }
        };
        context.register_table(table.name(), whole)?;
    }
    let only_queries =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(options.threads).build();
    let runtime = runtime.context("cannot start a runtime")?;
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
    })?;
    let damaged = damaged.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(damaged.iter().cloned().collect())
}

/// Rows of both.
fn both(
    table: Table,
    ours: Arc<dyn TableProvider>,
    decoded: Arc<dyn TableProvider>,
) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    let scan = |part| LogicalPlanBuilder::scan(table.name(), provider_as_source(part), None);
    let plan = scan(ours)?.union(scan(decoded)?.build()?)?.build()?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}

/// The error without the engine's own words around it.
fn plain(error: DataFusionError) -> anyhow::Error {
    anyhow::anyhow!("{}", error.strip_backtrace())
}
