//! One Parquet file in the making: rows wait in memory until they are a row group, are sorted by time and
//! written, and nothing of them stays in memory.
//!
//! A file of few rows is written plainly: what describes columns would be larger than the columns.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use arrow::array::{Array as _, AsArray as _};
use arrow::compute::{SortOptions, concat_batches, sort_to_indices, take_record_batch};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::about::About;
use super::ids::file_schema;
use super::layout::Slot;
use super::split::size;
use crate::event::Table;

/// Rows of a file become a row group when they are so many or so large in memory.
pub(super) const GROUP_ROWS: usize = 128 << 10;
const GROUP_BYTES: usize = 16 << 20;
/// A file of fewer rows is small: nobody skips parts of it.
const FEW: usize = 512;
/// What zstd is asked for while rows come in, and where files are merged: a tenth less for twice the time.
const LEVEL: i32 = 3;
pub(super) const MERGED_LEVEL: i32 = 6;
/// Columns that people ask for by one value. Each filter shrinks to what a row group needs.
pub(super) const BLOOM: &[&str] = &["audit_id", "username", "client_ip", "name"];
/// How often a filter says "maybe" of a value that is not there.
const BLOOM_WRONG: f64 = 0.01;
/// Columns of times, which differ by little from row to row.
const TIMES: &[&str] = &["time", "record_time", "received_time"];
/// The column no two rows share a value of, but for the stages of one request.
const UNIQUE: &str = "audit_id";
/// Columns of long text that nobody asks for by its beginning.
const BODIES: &[&str] =
    &["request_object", "response_object", "object", "annotations", "user_extra", "message", "raw"];

/// A file that is being written.
pub(super) struct OpenFile {
    pub slot: Slot,
    pub path: PathBuf,
    /// Unique within this run of the writer.
    pub number: u64,
    /// Grows with every append to any file: the least is the least recently used.
    pub used: u64,
    /// Time of the earliest row.
    pub first: Option<i64>,
    pub rows: u64,
    pub about: About,
    /// Level of zstd.
    pub level: i32,
    /// Made when the first row group is written: then it is known whether the file is small.
    writer: Option<ArrowWriter<File>>,
    waiting: Vec<RecordBatch>,
    pub waiting_rows: usize,
    pub waiting_bytes: usize,
}

impl OpenFile {
    pub fn new(slot: Slot, folder: &Path, number: u64) -> Self {
        let about = About { cluster: slot.cluster.as_deref().map(str::to_owned), ..About::default() };
        Self {
            slot,
            path: folder.join(format!("{number:08}.parquet")),
            number,
            used: 0,
            first: None,
            rows: 0,
            about,
            level: LEVEL,
            writer: None,
            waiting: Vec::new(),
            waiting_rows: 0,
            waiting_bytes: 0,
        }
    }

    /// Takes rows with the columns of a file.
    pub fn push(&mut self, rows: RecordBatch) {
        let times = rows.column_by_name("time");
        let times = times.and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
        let first = times.and_then(arrow::compute::min);
        self.first = match (self.first, first) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let cut = rows.column_by_name("truncated").and_then(|column| column.as_boolean_opt());
        self.about.cut += cut.map_or(0, |cut| cut.true_count() as u64);
        self.rows += rows.num_rows() as u64;
        self.waiting_rows += rows.num_rows();
        self.waiting_bytes += size(&rows);
        self.waiting.push(rows);
    }

    /// Whether what waits is a row group.
    pub fn is_full(&self) -> bool {
        self.waiting_bytes >= GROUP_BYTES || self.waiting_rows >= GROUP_ROWS
    }

    /// Bytes on disk so far.
    pub fn written(&self) -> u64 {
        self.writer.as_ref().map_or(0, |writer| writer.bytes_written() as u64)
    }

    /// Writes what waits as one row group.
    pub fn flush(&mut self) -> Result<(), ParquetError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let waiting = std::mem::take(&mut self.waiting);
        (self.waiting_rows, self.waiting_bytes) = (0, 0);
        let rows = sorted(self.slot.table, &waiting)?;
        drop(waiting);
        let writer = self.writer(usize::MAX)?;
        writer.write(&rows)?;
        writer.flush()
    }

    /// Writes the rest; the file is whole and on the disk afterwards. Its size.
    pub fn finish(&mut self) -> Result<u64, ParquetError> {
        let rows = self.waiting_rows;
        self.writer(rows)?;
        self.flush()?;
        let pair = self.about.pair();
        let writer = self.writer(rows)?;
        if let Some(pair) = pair {
            writer.append_key_value_metadata(pair);
        }
        writer.finish()?;
        writer.inner().sync_all()?;
        Ok(writer.inner().metadata().map(|about| about.len())?)
    }

    /// The writer; one for a file of so many rows if there is none yet.
    fn writer(&mut self, rows: usize) -> Result<&mut ArrowWriter<File>, ParquetError> {
        match &mut self.writer {
            Some(writer) => Ok(writer),
            slot => {
                let file = File::create_new(&self.path)?;
                let small = rows < FEW;
                let options = ArrowWriterOptions::new()
                    .with_properties(properties(self.slot.table, small, self.level)?)
                    // Half of a small file would be the description of its columns.
                    .with_skip_arrow_metadata(small);
                let schema = file_schema(self.slot.table);
                Ok(slot.insert(ArrowWriter::try_new_with_options(file, schema, options)?))
            }
        }
    }
}

/// Rows of several batches in order of time.
pub(super) fn sorted(table: Table, waiting: &[RecordBatch]) -> Result<RecordBatch, ArrowError> {
    let rows = concat_batches(&file_schema(table), waiting)?;
    let Some(times) = rows.column_by_name("time") else { return Ok(rows) };
    let in_order = times
        .as_primitive_opt::<TimestampMicrosecondType>()
        .is_some_and(|times| times.null_count() == 0 && times.values().is_sorted());
    if in_order {
        return Ok(rows);
    }
    let order = sort_to_indices(times, Some(SortOptions { descending: false, nulls_first: true }), None)?;
    take_record_batch(&rows, &order)
}

/// How columns are packed: see "The archive" in docs/performance.md for what was measured.
fn properties(table: Table, small: bool, level: i32) -> Result<WriterProperties, ParquetError> {
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("aksentry ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(level)?))
        // Row groups are cut by us.
        .set_max_row_group_row_count(None)
        .set_sorting_columns(Some(vec![SortingColumn {
            column_idx: 0,
            descending: false,
            nulls_first: true,
        }]));
    let schema = table.schema();
    let has = |name: &&&str| schema.column_with_name(name).is_some();
    let packed = TIMES.iter().map(|name| (name, Encoding::DELTA_BINARY_PACKED));
    for (name, encoding) in packed.chain([(&UNIQUE, Encoding::DELTA_LENGTH_BYTE_ARRAY)]) {
        if has(&name) {
            let path = ColumnPath::from(*name);
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, encoding);
        }
    }
    if small {
        return Ok(properties
            .set_dictionary_enabled(false)
            .set_offset_index_disabled(true)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_column_statistics_enabled(ColumnPath::from("time"), EnabledStatistics::Chunk)
            .build());
    }
    // Rows are in order of time alone: what a page holds of other columns, all pages hold.
    properties = properties
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_column_statistics_enabled(ColumnPath::from("time"), EnabledStatistics::Page);
    for name in BLOOM.iter().filter(has) {
        let path = ColumnPath::from(*name);
        properties = properties
            .set_column_bloom_filter_enabled(path.clone(), true)
            .set_column_bloom_filter_fpp(path.clone(), BLOOM_WRONG)
            .set_column_bloom_filter_max_ndv(path, GROUP_ROWS as u64);
    }
    for name in BODIES.iter().filter(has) {
        properties =
            properties.set_column_statistics_enabled(ColumnPath::from(*name), EnabledStatistics::None);
    }
    Ok(properties.build())
}

/// Whether an error of the Parquet writer is one of the disk.
pub(super) fn reason(error: &ParquetError) -> String {
    match error {
        ParquetError::External(inner) => match inner.downcast_ref::<io::Error>() {
            Some(e) => e.to_string(),
            None => inner.to_string(),
        },
        other => other.to_string(),
    }
}
