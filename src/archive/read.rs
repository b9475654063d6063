//! Our own Parquet straight to batches: the rows and ids that the decoder made of the messages.
//!
//! A file is read in [`Part`]s of bounded size, each by itself, so that threads share them. Columns that an
//! older file lacks are null. Which parts are needed is told by the statistics of their times.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, new_null_array};
use arrow::buffer::Buffer;
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions, RecordBatchReader};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;

use super::ids::{self, file_schema};
use super::stored::{Pieces, Stored, Unusable, table_of, times};
use crate::event::{Batch, RowIds, Table};

/// Rows of a part weigh about this much when they are unpacked.
const PART_BYTES: u64 = 16 << 20;
/// More rows than this are no part, however small they are.
const PART_ROWS: u64 = 64 << 10;
/// Rows of a small file that are handed on at a time.
const BATCH_ROWS: usize = 8192;
/// A row group of so many bytes on disk is read at once.
const AT_ONCE: u64 = 64 << 20;

/// A file whose footer was read.
#[derive(Clone)]
pub struct Opened {
    pub file: Arc<Stored>,
    pub table: Table,
    pub metadata: Arc<ParquetMetaData>,
    reader: ArrowReaderMetadata,
}

/// Some rows of a row group.
#[derive(Clone)]
pub struct Part {
    opened: Opened,
    group: usize,
    /// Rows of the group that come first, and how many are read.
    skip: usize,
    pub rows: usize,
    /// Of the rows read, those that count.
    selection: Option<RowSelection>,
}

impl Opened {
    /// Reads the footer; `None` for a file that has not our columns. For threads that may wait.
    pub fn open(file: Arc<Stored>) -> Result<Option<Self>, Unusable> {
        let metadata = file.footer()?;
        if table_of(&metadata).is_none() {
            return Ok(None);
        }
        Self::with_footer(file, metadata).map(Some)
    }

    /// A file with our columns, whose footer is known.
    pub fn with_footer(file: Arc<Stored>, metadata: Arc<ParquetMetaData>) -> Result<Self, Unusable> {
        let missing = || ParquetError::General("its columns are not those of the archive".into());
        let table = table_of(&metadata).ok_or_else(missing)?;
        // Ours as they were written; another program may have written them in other types.
        let fields = metadata.file_metadata().schema().get_fields().iter();
        let ours = file_schema(table);
        let hint: Option<Vec<_>> = fields.map(|f| ours.field_with_name(f.name()).ok().cloned()).collect();
        let options = ArrowReaderOptions::new();
        let hinted = hint.and_then(|fields| {
            let options = options.clone().with_schema(Arc::new(Schema::new(fields)));
            ArrowReaderMetadata::try_new(metadata.clone(), options).ok()
        });
        let reader = match hinted {
            Some(reader) => reader,
            None => ArrowReaderMetadata::try_new(metadata.clone(), options)?,
        };
        Ok(Self { file, table, metadata, reader })
    }

    /// All rows of the file.
    pub fn rows(&self) -> u64 {
        u64::try_from(self.metadata.file_metadata().num_rows()).unwrap_or_default()
    }

    /// The parts that may hold rows of a time, in order; `selection` says which rows of the file count.
    pub fn parts(
        &self,
        since: Option<i64>,
        until: Option<i64>,
        selection: Option<&RowSelection>,
    ) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut rest = selection.cloned();
        for (group, about) in self.metadata.row_groups().iter().enumerate() {
            let rows = usize::try_from(about.num_rows()).unwrap_or_default();
            let outside = times(&self.metadata, group).is_some_and(|(first, last)| {
                since.is_some_and(|since| last < since) || until.is_some_and(|until| first >= until)
            });
            let bytes = u64::try_from(about.total_byte_size()).unwrap_or_default();
            let count = (bytes / PART_BYTES).max(rows as u64 / PART_ROWS).max(1);
            let share = rows.div_ceil(usize::try_from(count).unwrap_or(1)).max(1);
            let mut skip = 0;
            while skip < rows {
                let take = share.min(rows - skip);
                let selection = rest.as_mut().map(|rest| rest.split_off(take));
                if !outside {
                    let opened = self.clone();
                    parts.push(Part { opened, group, skip, rows: take, selection });
                }
                skip += take;
            }
        }
        parts
    }

    /// Rows with the columns of a schema, of a file whose bytes are all there; of each row group, whether it
    /// is read, and of its rows those that count.
    pub(super) fn within(
        &self,
        bytes: Bytes,
        schema: &SchemaRef,
        groups: Option<Vec<bool>>,
        selection: Option<RowSelection>,
    ) -> Result<Vec<RecordBatch>, Unusable> {
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, self.reader.clone())
            .with_batch_size(BATCH_ROWS);
        let fields = builder.parquet_schema().root_schema().get_fields().iter().enumerate();
        let wanted = fields.filter(|(_, field)| schema.field_with_name(field.name()).is_ok());
        let mask = ProjectionMask::roots(builder.parquet_schema(), wanted.map(|(at, _)| at));
        builder = builder.with_projection(mask);
        if let Some(groups) = groups {
            builder = builder
                .with_row_groups((0..).zip(groups).filter_map(|(at, read)| read.then_some(at)).collect());
        }
        if let Some(selection) = selection {
            builder = builder.with_row_selection(selection);
        }
        builder.build()?.map(|rows| Ok(conform(&rows?, schema)?)).collect()
    }

    /// The id of every row.
    pub fn ids(&self) -> Result<RowIds, Unusable> {
        let mut all = Vec::new();
        for part in self.parts(None, None, None) {
            let names = ids::columns(self.table);
            let ours = file_schema(self.table);
            let fields: Vec<_> = names.iter().filter_map(|n| ours.field_with_name(n).ok().cloned()).collect();
            let rows = conform(&part.columns(Some(names))?, &Arc::new(Schema::new(fields)))?;
            all.extend(ids::of(self.table, &rows));
        }
        Ok(all)
    }
}

impl Part {
    /// The rows with their ids. For threads that may wait.
    pub fn read(&self) -> Result<Batch, Unusable> {
        let table = self.opened.table;
        let rows = self.whole()?;
        let ids = ids::of(table, &rows);
        let rows = conform(&rows, &table.schema())?;
        let other = |table: Table| RecordBatch::new_empty(table.schema());
        let block = Buffer::from(Vec::<u8>::new());
        Ok(match table {
            Table::Audit => Batch {
                audit: rows,
                audit_ids: ids,
                control_plane: other(Table::ControlPlane),
                control_plane_ids: RowIds::new(),
                block,
            },
            Table::ControlPlane => Batch {
                audit: other(Table::Audit),
                audit_ids: RowIds::new(),
                control_plane: rows,
                control_plane_ids: ids,
                block,
            },
        })
    }

    /// The rows with the columns of a file.
    pub(super) fn whole(&self) -> Result<RecordBatch, Unusable> {
        let rows = self.columns(None)?;
        Ok(conform(&rows, &file_schema(self.opened.table))?)
    }

    /// The file's own columns, all or those of these names.
    fn columns(&self, names: Option<&[&str]>) -> Result<RecordBatch, Unusable> {
        let Opened { file, metadata, reader, .. } = &self.opened;
        let mut pieces = Pieces::new(file.clone());
        if names.is_none() {
            let ranges = metadata.row_groups().get(self.group).into_iter();
            let ranges = ranges.flat_map(|group| group.columns().iter().map(|c| c.byte_range()));
            let (start, end) = ranges.fold((u64::MAX, 0), |(start, end), (at, length)| {
                (start.min(at), end.max(at.saturating_add(length)))
            });
            if start < end && end <= file.bytes && end - start <= AT_ONCE {
                pieces.hold(start..end)?;
            }
        }
        let mut selection = self.selection.clone();
        let whole =
            metadata.row_groups().get(self.group).map(|g| g.num_rows()) == i64::try_from(self.rows).ok();
        if !whole {
            let mut selectors = vec![RowSelector::skip(self.skip)];
            match selection {
                Some(inner) => selectors.extend(Vec::<RowSelector>::from(inner)),
                None => selectors.push(RowSelector::select(self.rows)),
            }
            selection = Some(selectors.into());
        }
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(pieces, reader.clone())
            .with_row_groups(vec![self.group])
            .with_batch_size(self.rows.max(1));
        if let Some(names) = names {
            let mask = ProjectionMask::columns(builder.parquet_schema(), names.iter().copied());
            builder = builder.with_projection(mask);
        }
        if let Some(selection) = selection {
            builder = builder.with_row_selection(selection);
        }
        let reader = builder.build()?;
        let schema = RecordBatchReader::schema(&reader);
        let batches = reader.collect::<Result<Vec<_>, _>>()?;
        let plain = Arc::new(Schema::new(schema.fields().clone()));
        let plainly = |b: RecordBatch| RecordBatch::try_new(plain.clone(), b.columns().to_vec());
        let batches = batches.into_iter().map(plainly).collect::<Result<Vec<_>, _>>()?;
        match batches.as_slice() {
            [one] => Ok(one.clone()),
            several => Ok(concat_batches(&plain, several)?),
        }
    }
}

/// Rows with the columns of a schema: by name, in its types, null where there are none.
fn conform(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let column = |field: &Arc<arrow::datatypes::Field>| -> Result<ArrayRef, ArrowError> {
        match rows.column_by_name(field.name()) {
            Some(column) if column.data_type() == field.data_type() => Ok(column.clone()),
            Some(column) => cast(column, field.data_type()),
            None if *field.data_type() == DataType::Boolean => {
                Ok(Arc::new(BooleanArray::from(vec![false; rows.num_rows()])))
            }
            None => Ok(new_null_array(field.data_type(), rows.num_rows())),
        }
    };
    let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
}
