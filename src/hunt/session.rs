//! A session over the inputs of a command: statements in, rows out, within limits.
//!
//! A query runs on threads of its own, so that whoever waits for it can stop it at any time; what it
//! had sorted or joined so far is dropped, what it wrote to disk removed.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use chrono::{DateTime, Utc};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{DataFrame, SessionContext};
use futures::StreamExt;

use super::bind::Given;
use super::error::HuntError;
use super::files::Account;
use super::plan::{self, Parameters};
use super::tables::Tables;
use crate::detect::functions::Lookups;
use crate::detect::session;
use crate::pipeline::replay::Options;
use crate::pipeline::stages::Progress;
use crate::rules::{Catalog, List, Parameter};

/// What a query may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes; sorts and aggregates go to disk beyond it, joins fail.
    pub memory: usize,
    /// How long one query may run.
    pub timeout: Option<Duration>,
    /// Bytes of decoded rows that are kept from one query to the next.
    pub keep: usize,
}

/// Tables, functions and lists, open for queries.
pub struct Session {
    context: SessionContext,
    lists: BTreeMap<String, Arc<List>>,
    tables: Tables,
    limits: Limits,
    runtime: Option<tokio::runtime::Runtime>,
}

/// A statement that can run.
pub struct Prepared {
    plan: LogicalPlan,
    /// Whether its rows are a plan, with lines of text in them.
    pub explain: bool,
    /// Bytes it reads from disk.
    pub to_read: u64,
}

impl Session {
    /// Opens the inputs; nothing is read yet.
    pub fn open(
        catalog: &Catalog,
        options: Options,
        limits: Limits,
        progress: Arc<dyn Progress + Send + Sync>,
    ) -> Result<Self, HuntError> {
        let lists = catalog.all_lists();
        let until = Arc::new(AtomicI64::new(options.range.until.unwrap_or(0)));
        let threads = options.threads;
        let lookups = Lookups { lists: Arc::new(lists.clone()), geoip: catalog.geoip.clone() };
        let context = session::for_hunts(&lookups, until, limits.memory, threads);
        let context = context.map_err(unopened)?;
        let tables = Tables::register(&context, options, progress, limits.keep).map_err(unopened)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("query")
            .enable_all()
            .build()
            .map_err(|error| HuntError::Run(format!("cannot start threads: {error}")))?;
        Ok(Self { context, lists, tables, limits, runtime: Some(runtime) })
    }

    /// Plans a statement. `declared` are the parameters of a saved query; without it they have the
    /// types that the SQL asks for. All that is wrong is reported.
    pub fn prepare(
        &self,
        sql: &str,
        declared: Option<&[Parameter]>,
        given: &Given,
        now: DateTime<Utc>,
    ) -> Result<Prepared, Vec<HuntError>> {
        let parameters = match declared {
            Some(declared) => Parameters::Declared(declared, given, now),
            None => Parameters::Free(given, now),
        };
        let state = self.context.state();
        let planned = plan::plan(sql, parameters, &state, &self.lists);
        let planned = self.runtime()?.block_on(planned)?;
        let explain = planned.linted.explain;
        let runs = explain.is_none_or(|explain| explain.analyze);
        let to_read = if runs { self.tables.to_read(scans(&planned.plan)) } else { 0 };
        Ok(Prepared { plan: planned.plan, explain: explain.is_some(), to_read })
    }

    /// Runs a statement and hands each batch of rows to `emit`, at least one even if it is empty.
    /// Ends when `stop` does.
    pub fn run(
        &self,
        prepared: Prepared,
        stop: impl Future<Output = ()>,
        emit: &mut dyn FnMut(&RecordBatch) -> anyhow::Result<()>,
    ) -> Result<(), HuntError> {
        let runtime = self.runtime().map_err(|_| HuntError::Stopped)?;
        let frame = DataFrame::new(self.context.state(), prepared.plan);
        let schema: SchemaRef = Arc::new(frame.schema().as_arrow().clone());
        let (sender, mut batches) = tokio::sync::mpsc::channel(2);
        let query = runtime.spawn(async move {
            let mut rows = match frame.execute_stream().await {
                Ok(rows) => rows,
                Err(error) => return drop(sender.send(Err(error)).await),
            };
            while let Some(batch) = rows.next().await {
                if sender.send(batch).await.is_err() {
                    return;
                }
            }
        });
        let outcome = runtime.block_on(async {
            let late = async {
                match self.limits.timeout {
                    Some(span) => tokio::time::sleep(span).await,
                    None => std::future::pending().await,
                }
            };
            let (mut stop, mut late) = (std::pin::pin!(stop), std::pin::pin!(late));
            let mut any = false;
            loop {
                let batch = tokio::select! {
                    biased;
                    () = &mut stop => return Err(HuntError::Stopped),
                    () = &mut late => return Err(self.too_late()),
                    batch = batches.recv() => batch,
                };
                match batch {
                    Some(Ok(batch)) => {
                        emit(&batch).map_err(HuntError::Rows)?;
                        any = true;
                    }
                    Some(Err(error)) => return Err(self.failed(&error)),
                    None => break,
                }
            }
            if !any {
                emit(&RecordBatch::new_empty(schema)).map_err(HuntError::Rows)?;
            }
            Ok(())
        });
        if let Err(error) = outcome {
            // It ends when it next gives way; nobody waits for that.
            query.abort();
            return Err(error);
        }
        match runtime.block_on(query) {
            Ok(()) => Ok(()),
            Err(_) => Err(HuntError::Run("the query engine failed inside; simplify the query".into())),
        }
    }

    /// What the last queries did not see of the files.
    pub fn account(&self) -> Account {
        self.tables.account()
    }

    /// Names of all functions that SQL may call.
    pub fn functions(&self) -> Vec<String> {
        let state = self.context.state();
        let scalar = state.scalar_functions().keys();
        let aggregate = state.aggregate_functions().keys();
        let mut names: Vec<String> =
            scalar.chain(aggregate).chain(state.window_functions().keys()).cloned().collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The inputs it reads.
    pub fn options(&self) -> &Options {
        &self.tables.options
    }

    fn runtime(&self) -> Result<&tokio::runtime::Runtime, Vec<HuntError>> {
        self.runtime.as_ref().ok_or_else(|| vec![HuntError::Stopped])
    }

    fn too_late(&self) -> HuntError {
        HuntError::Timeout(self.limits.timeout.unwrap_or_default())
    }

    fn failed(&self, error: &DataFusionError) -> HuntError {
        let root = error.find_root();
        let text = root.strip_backtrace();
        let reason = text.lines().next().unwrap_or_default().to_string();
        match root {
            DataFusionError::ResourcesExhausted(_) if reason.contains("disk") => {
                HuntError::Disk(brief(&reason))
            }
            DataFusionError::ResourcesExhausted(_) => {
                HuntError::Memory { limit: self.limits.memory, reason: brief(&reason) }
            }
            DataFusionError::IoError(error) if error.kind() == std::io::ErrorKind::StorageFull => {
                HuntError::Disk(error.to_string())
            }
            _ => HuntError::Run(brief(&reason)),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // A reader that waits for a slow disk must not hold up the end of the program.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn unopened(error: DataFusionError) -> HuntError {
    HuntError::Run(format!("cannot open a query session: {}", error.strip_backtrace()))
}

/// The engine's sentence without its own name for the kind of error.
fn brief(text: &str) -> String {
    let kind = |kind: &str| kind.ends_with("error") || kind.starts_with("Resources");
    text.split_once(": ").filter(|(before, _)| kind(before)).map_or(text, |(_, rest)| rest).trim().to_string()
}

/// How many times a table is read.
fn scans(plan: &LogicalPlan) -> usize {
    let mut count = 0;
    let visited = plan.apply_with_subqueries(|node| {
        count += usize::from(matches!(node, LogicalPlan::TableScan(_)));
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(visited.is_ok(), "the closure never fails");
    count
}
