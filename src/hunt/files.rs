//! Tables of files that are decoded while a query runs.
//!
//! A table that is read twice is decoded twice, unless there is room to keep the rows: a shell asks the
//! same files again and again. What could not be read of them is in the [`Account`].

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatchOptions};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::stream::{RecordBatchReceiverStreamBuilder, RecordBatchStreamAdapter};
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};

use crate::event::{Batch, Counts, Table, compact};
use crate::pipeline::replay::Options;
use crate::pipeline::stages::{self, Progress};
use crate::source::files::FileStatus;

/// What of the files a query did not see although it asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Files that are not simply "ok".
    pub files: BTreeMap<PathBuf, FileStatus>,
    /// Records that could not be decoded.
    pub rejected: u64,
    /// Rows that were asked about: those in range.
    pub in_range: u64,
    /// Times of the first and the last row of all, in range or not: microseconds since the epoch.
    pub times: Option<(i64, i64)>,
}

impl Account {
    /// Whether rows may be missing. A file that is no log, or empty, holds none.
    pub fn is_complete(&self) -> bool {
        self.rejected == 0 && !self.files.values().any(FileStatus::is_lost)
    }
}

/// The files of a session.
pub(super) struct Files {
    options: Options,
    progress: Arc<dyn Progress + Send + Sync>,
    account: Mutex<Account>,
    kept: Mutex<Kept>,
    /// Bytes of rows that may be kept; 0 = none.
    room: usize,
}

/// Rows of both tables, once all files were read.
enum Kept {
    Nothing,
    Everything(BTreeMap<&'static str, Vec<RecordBatch>>),
    /// There is more than there is room for.
    TooMuch,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("files", &self.options.inputs.files.len()).finish_non_exhaustive()
    }
}

impl Files {
    pub fn new(options: Options, progress: Arc<dyn Progress + Send + Sync>, room: usize) -> Self {
        let kept = Mutex::new(if room > 0 { Kept::Nothing } else { Kept::TooMuch });
        Self { options, progress, account: Mutex::default(), kept, room }
    }

    /// What the queries since the last call did not see.
    pub fn account(&self) -> Account {
        lock(&self.account).clone()
    }

    /// How much is read from disk for this many scans.
    pub fn to_read(&self, scans: usize) -> u64 {
        match &*lock(&self.kept) {
            Kept::Everything(_) => 0,
            _ => self.options.inputs.bytes().saturating_mul(scans as u64),
        }
    }

    fn note(&self, file: usize, status: FileStatus) {
        if let Some(input) = self.options.inputs.files.get(file) {
            lock(&self.account).files.insert(input.path.clone(), status);
        }
    }

    fn kept(&self, table: Table) -> Option<Vec<RecordBatch>> {
        match &*lock(&self.kept) {
            Kept::Everything(tables) => Some(tables.get(table.name()).cloned().unwrap_or_default()),
            _ => None,
        }
    }

    /// Decodes everything and sends the rows of one table with some of its columns; ends early when
    /// nobody takes them.
    fn decode(
        &self,
        table: Table,
        projection: &[usize],
        closed: &dyn Fn() -> bool,
        send: &mut dyn FnMut(RecordBatch) -> bool,
    ) -> anyhow::Result<()> {
        let mut keeping = match &*lock(&self.kept) {
            Kept::Nothing => Some(Keeping::default()),
            _ => None,
        };
        let may_keep = keeping.is_some();
        // A batch that is kept must not give its pages back, so the rows go out with what holds them.
        let rows = |batch: &Batch| {
            let other = may_keep.then(|| {
                let bytes =
                    batch.block.capacity() + own_bytes(&batch.audit) + own_bytes(&batch.control_plane);
                (batch.audit.clone(), batch.control_plane.clone(), bytes)
            });
            let in_range = batch.audit.num_rows() + batch.control_plane.num_rows();
            (narrow(table.rows(batch).0, projection, batch.block.len()), in_range, other)
        };
        let (mut counts, mut in_range) = (Counts::default(), 0);
        stages::run(
            &self.options.inputs,
            self.options.threads,
            &*self.progress,
            &rows,
            &self.options.range,
            &mut |piece| {
                counts.add(&piece.counts);
                if let Some(status) = piece.problem {
                    self.note(piece.file, status);
                }
                // A filter that leaves nothing sends nothing, so it is asked each time.
                anyhow::ensure!(!closed(), "the rows are not wanted any more");
                let Some((rows, count, other)) = piece.outcome else { return Ok(()) };
                in_range += count as u64;
                if let (Some(kept), Some((audit, control_plane, bytes))) = (&mut keeping, other) {
                    kept.bytes += bytes;
                    kept.put(Table::Audit, audit);
                    kept.put(Table::ControlPlane, control_plane);
                    if kept.bytes > self.room {
                        keeping = None;
                        *lock(&self.kept) = Kept::TooMuch;
                    }
                }
                let rows = rows?;
                anyhow::ensure!(rows.num_rows() == 0 || send(rows), "the rows are not wanted any more");
                Ok(())
            },
        )?;
        let mut account = lock(&self.account);
        account.rejected = counts.rejects.values().sum();
        account.in_range = in_range;
        account.times = counts.first_event.zip(counts.last_event);
        if let Some(kept) = keeping {
            *lock(&self.kept) = Kept::Everything(kept.tables);
        }
        Ok(())
    }
}

#[derive(Default)]
struct Keeping {
    tables: BTreeMap<&'static str, Vec<RecordBatch>>,
    bytes: usize,
}

impl Keeping {
    fn put(&mut self, table: Table, rows: RecordBatch) {
        if rows.num_rows() > 0 {
            self.tables.entry(table.name()).or_default().push(rows);
        }
    }
}

/// Bytes a batch has beside the block its texts lie in: one view of a text, or a number, a value.
fn own_bytes(rows: &RecordBatch) -> usize {
    rows.num_rows() * rows.num_columns() * 16
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The columns asked for. Few of them are copied: they must not keep all text of their batch alive.
fn narrow(
    rows: &RecordBatch,
    projection: &[usize],
    block: usize,
) -> std::result::Result<RecordBatch, ArrowError> {
    let rows = rows.project(projection)?;
    let used: usize = rows.columns().iter().map(text_bytes).sum();
    if used >= block / 2 {
        return Ok(rows);
    }
    let columns = rows.columns().iter().map(compact).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(rows.schema(), columns, &options)
}

/// Bytes of a block that a column refers to.
fn text_bytes(column: &ArrayRef) -> usize {
    match column.data_type() {
        DataType::Utf8View => column.as_string_view().total_buffer_bytes_used(),
        DataType::List(_) => text_bytes(column.as_list::<i32>().values()),
        _ => 0,
    }
}

/// One table of the files.
#[derive(Debug)]
pub(super) struct FileTable {
    pub table: Table,
    pub files: Arc<Files>,
}

#[async_trait::async_trait]
impl TableProvider for FileTable {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all = self.table.schema();
        let projection = projection.cloned().unwrap_or_else(|| (0..all.fields().len()).collect());
        let schema = Arc::new(all.project(&projection)?);
        let (table, files) = (self.table, self.files.clone());
        let scan = Arc::new(Scan { table, projection, schema: schema.clone(), files });
        Ok(Arc::new(StreamingTableExec::try_new(schema, vec![scan], None, Vec::new(), false, limit)?))
    }
}

/// Some columns of a table, decoded anew for each execution.
#[derive(Debug)]
struct Scan {
    table: Table,
    projection: Vec<usize>,
    schema: SchemaRef,
    files: Arc<Files>,
}

impl PartitionStream for Scan {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        if let Some(batches) = self.files.kept(self.table) {
            let projection = self.projection.clone();
            let rows = batches.into_iter().map(move |batch| Ok(batch.project(&projection)?));
            let rows = futures::stream::iter(rows);
            return Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), rows));
        }
        let mut stream = RecordBatchReceiverStreamBuilder::new(self.schema.clone(), 2);
        let (sender, table, files) = (stream.tx(), self.table, self.files.clone());
        let projection = self.projection.clone();
        stream.spawn_blocking(move || {
            let closed = || sender.is_closed();
            let decoded =
                files.decode(table, &projection, &closed, &mut |rows| sender.blocking_send(Ok(rows)).is_ok());
            // A query that has seen enough closes the stream; that is no failure.
            if let Err(error) = decoded
                && !sender.is_closed()
            {
                let _ = sender.blocking_send(Err(DataFusionError::External(error.into())));
            }
            Ok(())
        });
        stream.build()
    }
}
