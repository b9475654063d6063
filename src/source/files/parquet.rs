//! Parquet files that other people wrote: export jobs of Log Analytics, and tables whose column
//! `records` holds an envelope.
//!
//! Read a row group at a time and of that only the columns that mean something; rows become the JSON
//! objects that the decoder knows. A row group that is broken is passed over with its reason, the
//! others count. A file of our own archive is recognised by its columns and left to the archive's
//! reader.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use super::log_analytics::{Cell, Header, unknown};
use super::reader::Bodies;
use super::{FileStatus, Sizes};
use crate::event::RawBatch;
use crate::event::schema::{self, Column};
use crate::event::value::to_json;

/// Rows decoded at once, whatever their size is said to be.
const ROWS: usize = 1024;

/// Reads the rows of one file.
pub(super) struct Rows {
    file: File,
    about: ArrowReaderMetadata,
    header: Header,
    mask: ProjectionMask,
    sizes: Sizes,
    read: Arc<AtomicU64>,
    /// The next row group.
    group: usize,
    open: Option<ParquetRecordBatchReader>,
    any: bool,
    /// How many row groups were not read to their end, and what was wrong with the first.
    broken: usize,
    fault: Option<String>,
}

impl Rows {
    /// Reads the footer; `read` is told of the bytes of each row group.
    pub fn open(file: File, sizes: Sizes, read: Arc<AtomicU64>) -> Result<Self, FileStatus> {
        let load = || ArrowReaderMetadata::load(&file, ArrowReaderOptions::new());
        let about = guarded(|| load().map_err(|e| e.to_string()))
            .map_err(|reason| FileStatus::Unreadable(format!("Parquet, its footer: {reason}")))?;
        let names: Vec<String> = about.schema().fields().iter().map(|field| field.name().clone()).collect();
        if is_ours(&names) {
            return Err(FileStatus::Archive);
        }
        let header = Header::new(&names).ok_or_else(|| FileStatus::NotALog(Some(unknown(&names))))?;
        let used: Vec<usize> = header.used().collect();
        let mask = ProjectionMask::roots(about.parquet_schema(), used.iter().copied());
        let kept: Vec<&String> = used.iter().filter_map(|i| names.get(*i)).collect();
        let narrow = Header::new(&kept).ok_or_else(|| FileStatus::NotALog(Some(unknown(&names))))?;
        Ok(Self {
            file,
            about,
            header: narrow,
            mask,
            sizes,
            read,
            group: 0,
            open: None,
            any: false,
            broken: 0,
            fault: None,
        })
    }

    fn rows_at_once(&self, group: usize) -> usize {
        let Some(about) = self.about.metadata().row_groups().get(group) else { return ROWS };
        let bytes = usize::try_from(about.total_byte_size()).unwrap_or(0);
        let rows = usize::try_from(about.num_rows()).unwrap_or(0);
        let each = bytes.checked_div(rows).unwrap_or(0).max(1);
        (self.sizes.chunk / each).clamp(1, ROWS)
    }

    /// The reader of the next row group; `None` behind the last.
    fn next_group(&mut self) -> Option<Result<ParquetRecordBatchReader, String>> {
        let group = self.group;
        self.about.metadata().row_groups().get(group)?;
        self.group += 1;
        let rows = self.rows_at_once(group);
        Some(guarded(|| {
            let file = self.file.try_clone().map_err(|e| e.to_string())?;
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.about.clone())
                .with_row_groups(vec![group])
                .with_projection(self.mask.clone())
                .with_batch_size(rows)
                .build()
                .map_err(|e| e.to_string())
        }))
    }

    /// Notes what is wrong with the row group that is being read.
    fn broke(&mut self, reason: &str) {
        self.open = None;
        self.broken += 1;
        let group = self.group.saturating_sub(1);
        let at =
            self.about.metadata().row_groups().get(group).and_then(|g| g.file_offset().or(first_byte(g)));
        let at = at.map(|at| format!(" at byte {at}")).unwrap_or_default();
        self.fault.get_or_insert_with(|| format!("Parquet row group {}{at}: {reason}", group + 1));
    }

    fn told(&self, group: usize) {
        let bytes = self.about.metadata().row_groups().get(group).map_or(0, |g| g.compressed_size());
        self.read.fetch_add(u64::try_from(bytes).unwrap_or(0), Ordering::Relaxed);
    }

    fn status(&self) -> FileStatus {
        let Some(fault) = &self.fault else { return self.header.status() };
        let groups = self.about.metadata().num_row_groups();
        let reason = format!("{fault} ({} of {groups} row groups not fully read)", self.broken);
        if self.any { FileStatus::Incomplete(reason) } else { FileStatus::Unreadable(reason) }
    }
}

fn first_byte(group: &parquet::file::metadata::RowGroupMetaData) -> Option<i64> {
    group.columns().first().map(|column| column.data_page_offset())
}

impl Bodies for Rows {
    fn next(&mut self) -> Result<RawBatch, FileStatus> {
        loop {
            let Some(open) = &mut self.open else {
                match self.next_group() {
                    None => return Err(self.status()),
                    Some(Ok(reader)) => self.open = Some(reader),
                    Some(Err(reason)) => self.broke(&reason),
                }
                continue;
            };
            let rows = guarded(|| open.next().transpose().map_err(|e| e.to_string()));
            match rows.and_then(|rows| rows.map(|rows| self.objects(&rows)).transpose()) {
                Ok(Some(body)) if body.is_empty() => {}
                Ok(Some(body)) => {
                    self.any = true;
                    return Ok(RawBatch { bodies: vec![body.into()] });
                }
                Ok(None) => {
                    self.open = None;
                    self.told(self.group.saturating_sub(1));
                }
                Err(reason) => self.broke(&reason),
            }
        }
    }
}

impl Rows {
    /// Rows as objects, one a line.
    fn objects(&self, rows: &RecordBatch) -> Result<Vec<u8>, String> {
        let columns = rows.columns().iter().map(|column| match column.data_type() {
            DataType::Dictionary(_, values) => cast(column, values).map_err(|e| e.to_string()),
            _ => Ok(column.clone()),
        });
        let columns = columns.collect::<Result<Vec<_>, String>>()?;
        let mut out = Vec::new();
        for row in 0..rows.num_rows() {
            // Text goes through as it is; what has another type gets its JSON form.
            let json: Vec<Option<Vec<u8>>> = columns
                .iter()
                .map(|column| {
                    let direct = column.is_null(row)
                        || matches!(column.data_type(), DataType::Utf8 | DataType::Binary);
                    (!direct).then(|| to_json(column, row).to_string().into_bytes())
                })
                .collect();
            let cells = columns.iter().zip(&json).map(|(column, json)| match (json, column.data_type()) {
                (Some(json), _) => Cell::Json(json),
                _ if column.is_null(row) => Cell::Null,
                (None, DataType::Utf8) => Cell::Text(column.as_string::<i32>().value(row).as_bytes()),
                (None, _) => Cell::Text(column.as_binary::<i32>().value(row)),
            });
            self.header.row(cells, &mut out);
        }
        Ok(out)
    }
}

/// Whether these are the columns of a file of our archive; what follows the first few is newer or older.
fn is_ours(names: &[String]) -> bool {
    let begins = |columns: &[Column]| {
        let first = columns.iter().take(4).map(|column| column.name);
        names.len() >= 4 && first.zip(names).all(|(ours, theirs)| ours == theirs)
    };
    schema::TABLES.iter().any(|(_, columns)| begins(columns))
}

/// Damaged files get the library to places its authors did not foresee; that must cost the row group
/// and not the process.
fn guarded<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let outcome = catch_unwind(AssertUnwindSafe(read));
    outcome.unwrap_or_else(|_| Err("damaged in a way its reader did not expect".into()))
}
