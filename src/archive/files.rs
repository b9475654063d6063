//! One Parquet file in the making: rows wait in memory until they are a row group, are sorted by time and
//! written, and nothing of them stays in memory.

use crate::event::Table;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use arrow::array::{Array as _, AsArray as _};
use arrow::compute::{SortOptions, concat_batches, sort_to_indices, take_record_batch};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::layout::Slot;
use super::split::size;

/// Columns that people ask for by one value, and how many values a row group has at most or so.
const BLOOM: &[(&str, u64)] = &[("username", 4096), ("client_ip", 4096), ("name", 16384)];
/// Columns of long text that is hardly ever the same twice.
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
    writer: ArrowWriter<File>,
    waiting: Vec<RecordBatch>,
    pub waiting_rows: usize,
    pub waiting_bytes: usize,
}

impl OpenFile {
    pub fn create(slot: Slot, folder: &Path, number: u64) -> Result<Self, ParquetError> {
        let path = folder.join(format!("{number:08}.parquet"));
        let file = File::create_new(&path)?;
        let properties = properties(slot.table);
        let writer = ArrowWriter::try_new(file, slot.table.schema(), Some(properties))?;
        Ok(Self {
            slot,
            path,
            number,
            used: 0,
            first: None,
            rows: 0,
            writer,
            waiting: Vec::new(),
            waiting_rows: 0,
            waiting_bytes: 0,
        })
    }

    pub fn push(&mut self, rows: RecordBatch) {
        let times = rows.column_by_name("time");
        let times = times.and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
        let first = times.and_then(arrow::compute::min);
        self.first = match (self.first, first) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.rows += rows.num_rows() as u64;
        self.waiting_rows += rows.num_rows();
        self.waiting_bytes += size(&rows);
        self.waiting.push(rows);
    }

    /// Bytes on disk so far.
    pub fn written(&self) -> u64 {
        self.writer.bytes_written() as u64
    }

    /// Writes what waits as one row group.
    pub fn flush(&mut self) -> Result<(), ParquetError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let waiting = std::mem::take(&mut self.waiting);
        (self.waiting_rows, self.waiting_bytes) = (0, 0);
        self.writer.write(&sorted(self.slot.table, &waiting)?)?;
        self.writer.flush()
    }

    /// Writes the rest; the file is whole and on the disk afterwards. Its size.
    pub fn finish(&mut self) -> Result<u64, ParquetError> {
        self.flush()?;
        self.writer.finish()?;
        self.writer.inner().sync_all()?;
        Ok(self.writer.inner().metadata().map(|about| about.len())?)
    }
}

fn sorted(table: Table, waiting: &[RecordBatch]) -> Result<RecordBatch, ArrowError> {
    let rows = concat_batches(&table.schema(), waiting)?;
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

fn properties(table: Table) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("aksentry ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        // Row groups are cut by us.
        .set_max_row_group_row_count(None)
        .set_sorting_columns(Some(vec![SortingColumn {
            column_idx: 0,
            descending: false,
            nulls_first: true,
        }]));
    let schema = table.schema();
    for (name, values) in BLOOM {
        if schema.column_with_name(name).is_some() {
            let path = ColumnPath::from(*name);
            properties = properties
                .set_column_bloom_filter_enabled(path.clone(), true)
                .set_column_bloom_filter_fpp(path.clone(), 0.01)
                .set_column_bloom_filter_max_ndv(path, *values);
        }
    }
    for name in BODIES {
        if schema.column_with_name(name).is_some() {
            let path = ColumnPath::from(*name);
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_statistics_enabled(path, EnabledStatistics::None);
        }
    }
    properties.build()
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
