//! How DataFusion's Parquet source gets at the bytes of our files, wherever they lie, and at footers that
//! were read before.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use datafusion::common::ScalarValue;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::ParquetFileReaderFactory;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
    replace_columns_with_literals,
};
use datafusion::physical_plan::PhysicalExpr;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::ParquetError;
use parquet::file::metadata::{FileMetaData, ParquetMetaData};

use super::stored::{Stored, Unusable, read_at};
use crate::event::Table;
use crate::store::open_file;

type Found = std::result::Result<Arc<ParquetMetaData>, Unusable>;

/// Footers kept in memory, all together.
const KEPT: usize = 256 << 20;
/// Pieces of an object that are so close to each other are read as one.
const GAP: u64 = 64 << 10;

/// Index of a file in the list of its table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place(pub usize);

/// Files that could not be read and were passed, by path, each with what was wrong.
pub type Damaged = Arc<Mutex<BTreeMap<String, String>>>;

/// Footers of the files of one table, read once as long as there is room.
#[derive(Debug)]
pub(super) struct Footers {
    files: Arc<Vec<Stored>>,
    damaged: Damaged,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    by_path: HashMap<String, Arc<ParquetMetaData>>,
    bytes: usize,
}

impl Footers {
    pub fn new(files: Arc<Vec<Stored>>, damaged: Damaged) -> Self {
        Self { files, damaged, kept: Mutex::default() }
    }

    /// The footer of a file; for threads that may wait.
    pub fn of(&self, file: &Stored) -> Found {
        match self.known(file) {
            Some(footer) => Ok(footer),
            None => self.keep(file, file.footer()),
        }
    }

    /// The footer of a file whose bytes are all there.
    pub fn within(&self, file: &Stored, bytes: &Bytes) -> Found {
        match self.known(file) {
            Some(footer) => Ok(footer),
            None => self.keep(file, file.footer_in(bytes)),
        }
    }

    async fn fetch(&self, file: &Stored) -> Found {
        match self.known(file) {
            Some(footer) => Ok(footer),
            None => self.keep(file, file.fetch_footer().await),
        }
    }

    fn known(&self, file: &Stored) -> Option<Arc<ParquetMetaData>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).by_path.get(&file.path).cloned()
    }

    fn keep(&self, file: &Stored, footer: Found) -> Found {
        let footer = match footer {
            // Its rows are missing from the answer, which is told; all others are there.
            Err(Unusable::Damaged(error)) => {
                let reason = format!("damaged Parquet: {error}");
                let mut damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
                damaged.insert(file.path.clone(), reason);
                drop(damaged);
                Arc::new(no_rows(file.table)?)
            }
            footer => footer?,
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = footer.memory_size();
        if kept.bytes + bytes <= KEPT && kept.by_path.insert(file.path.clone(), footer.clone()).is_none() {
            kept.bytes += bytes;
        }
        Ok(footer)
    }
}

/// The footer of a file without rows.
fn no_rows(table: Table) -> std::result::Result<ParquetMetaData, ParquetError> {
    let schema = Arc::new(ArrowSchemaConverter::new().convert(&table.schema())?);
    let about = FileMetaData::new(1, 0, None, None, schema, None);
    Ok(ParquetMetaData::new(about, Vec::new()))
}

/// Opens files for the source.
#[derive(Debug)]
pub(super) struct Readers {
    footers: Arc<Footers>,
}

impl Readers {
    pub fn new(footers: Arc<Footers>) -> Self {
        Self { footers }
    }
}

impl ParquetFileReaderFactory for Readers {
    fn create_reader(
        &self,
        _: usize,
        file: PartitionedFile,
        _: Option<usize>,
        _: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let place = file.extension::<Place>();
        let stored = place.and_then(|place| self.footers.files.get(place.0).cloned());
        let unknown = || DataFusionError::Internal(format!("a file of no archive: {}", file.path()));
        let file = stored.ok_or_else(unknown)?;
        Ok(Box::new(Reader { file, footers: self.footers.clone(), open: None }))
    }
}

struct Reader {
    file: Stored,
    footers: Arc<Footers>,
    /// Of a local file, once something was read.
    open: Option<File>,
}

impl Reader {
    async fn read(&mut self, range: Range<u64>) -> std::result::Result<Bytes, ParquetError> {
        let read = match (&self.file.blob, &self.open) {
            (Some(_), _) => self.file.fetch(range).await,
            (None, Some(open)) => read_at(open, range).map_err(Unusable::from),
            (None, None) => open_file(&self.file.path).map_err(Unusable::from).and_then(|open| {
                let read = read_at(&open, range)?;
                self.open = Some(open);
                Ok(read)
            }),
        };
        read.map_err(|e| self.failed(&e))
    }

    fn failed(&self, error: &Unusable) -> ParquetError {
        ParquetError::General(format!("cannot read {}: {error}", self.file.path))
    }
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, std::result::Result<Bytes, ParquetError>> {
        self.read(range).boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, std::result::Result<Vec<Bytes>, ParquetError>> {
        async move {
            let gap = if self.file.blob.is_some() { GAP } else { 0 };
            let mut pieces: Vec<(Range<u64>, Bytes)> = Vec::new();
            for range in together(&ranges, gap) {
                let bytes = self.read(range.clone()).await?;
                pieces.push((range, bytes));
            }
            let cut = |range: &Range<u64>| {
                let (whole, bytes) =
                    pieces.iter().find(|(w, _)| w.start <= range.start && range.end <= w.end)?;
                let from = usize::try_from(range.start - whole.start).ok()?;
                let to = usize::try_from(range.end - whole.start).ok()?;
                Some(bytes.slice(from..to))
            };
            let cut: Option<Vec<Bytes>> = ranges.iter().map(cut).collect();
            cut.ok_or_else(|| ParquetError::General(format!("cannot read {}: no such range", self.file.path)))
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, std::result::Result<Arc<ParquetMetaData>, ParquetError>> {
        async move { self.footers.fetch(&self.file).await.map_err(|e| self.failed(&e)) }.boxed()
    }
}

/// What a file that is older than a column has in its place: null, and `false` for what is never null.
#[derive(Debug)]
pub(super) struct Older;

#[derive(Debug)]
struct Absent {
    flags: HashMap<String, ScalarValue>,
    inner: Arc<dyn PhysicalExprAdapter>,
}

impl PhysicalExprAdapterFactory for Older {
    fn create(&self, table: SchemaRef, file: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let never_null = table.fields().iter().filter(|field| !field.is_nullable());
        let absent = never_null.filter(|field| file.field_with_name(field.name()).is_err());
        let flags = absent.map(|field| (field.name().clone(), ScalarValue::Boolean(Some(false)))).collect();
        let inner = DefaultPhysicalExprAdapterFactory.create(table, file)?;
        Ok(Arc::new(Absent { flags, inner }))
    }
}

impl PhysicalExprAdapter for Absent {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        self.inner.rewrite(replace_columns_with_literals(expr, &self.flags)?)
    }
}

/// Ranges that cover all given ones, those that nearly meet as one.
fn together(ranges: &[Range<u64>], gap: u64) -> Vec<Range<u64>> {
    let mut sorted: Vec<Range<u64>> = ranges.to_vec();
    sorted.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in sorted {
        match merged.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(gap) => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_nearly_meet_are_read_at_once() {
        assert_eq!(together(&[10..20, 0..5, 21..30], 1), [0..5, 10..30]);
        assert_eq!(together(&[0..5, 5..9, 2..3], 0), vec![std::ops::Range { start: 0, end: 9 }]);
        assert_eq!(together(&[], 0), []);
    }
}
