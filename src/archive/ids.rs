//! The identity of archived rows.
//!
//! A row's id mostly follows from its columns. Where it does not (an audit event without an id was known
//! by its text, which is not kept) the file has it, in a column `row_id` that no table shows.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray as _, Int64Array, StringViewArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use crate::event::identity::{event_id, text_id};
use crate::event::{RowIds, Table};

/// Name of the column.
pub(super) const ROW_ID: &str = "row_id";

/// Columns that ids are made of.
pub(super) fn columns(table: Table) -> &'static [&'static str] {
    match table {
        Table::Audit => &["time", "cluster", "audit_id", "stage", ROW_ID],
        Table::ControlPlane => &["time", "cluster", "raw", ROW_ID],
    }
}

/// Columns of a file: those of the table and the ids that do not follow from them.
pub fn file_schema(table: Table) -> SchemaRef {
    static SCHEMAS: LazyLock<[SchemaRef; 2]> = LazyLock::new(|| Table::ALL.map(with_row_id));
    let at = Table::ALL.iter().position(|t| *t == table);
    at.and_then(|at| SCHEMAS.get(at)).cloned().unwrap_or_else(|| with_row_id(table))
}

fn with_row_id(table: Table) -> SchemaRef {
    let mut fields = table.schema().fields().to_vec();
    fields.push(Arc::new(Field::new(ROW_ID, DataType::Int64, true)));
    Arc::new(Schema::new(fields))
}

/// Rows as a file has them.
pub(super) fn with_ids(table: Table, rows: &RecordBatch, ids: &[u64]) -> Result<RecordBatch, ArrowError> {
    if ids.len() != rows.num_rows() {
        let text = format!("{} ids of {} rows", ids.len(), rows.num_rows());
        return Err(ArrowError::InvalidArgumentError(text));
    }
    let follows = from_columns(table, rows);
    let odd = ids.iter().zip(&follows).map(|(id, follows)| (id != follows).then_some(id.cast_signed()));
    let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
    columns.push(Arc::new(odd.collect::<Int64Array>()));
    RecordBatch::try_new(file_schema(table), columns)
}

/// The ids of rows that were read with [`columns`] at least.
pub(super) fn of(table: Table, rows: &RecordBatch) -> RowIds {
    let mut ids = from_columns(table, rows);
    let odd = rows.column_by_name(ROW_ID).and_then(|c| c.as_primitive_opt::<Int64Type>());
    if let Some(odd) = odd.filter(|odd| odd.null_count() < odd.len()) {
        for (id, odd) in ids.iter_mut().zip(odd) {
            *id = odd.map_or(*id, i64::cast_unsigned);
        }
    }
    ids
}

/// The ids that follow from the columns; 0 where none does.
fn from_columns(table: Table, rows: &RecordBatch) -> RowIds {
    let text = |name: &str| rows.column_by_name(name).and_then(|c| c.as_string_view_opt());
    let times = rows.column_by_name("time").and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
    let (cluster, stage) = (text("cluster"), text("stage"));
    let subject = text(match table {
        Table::Audit => "audit_id",
        Table::ControlPlane => "raw",
    });
    let mut scratch = Vec::new();
    let ids = (0..rows.num_rows()).map(|row| match table {
        Table::Audit => {
            let audit_id = cell(subject, row)?;
            Some(event_id(&mut scratch, cell(cluster, row), audit_id, cell(stage, row)))
        }
        Table::ControlPlane => {
            let raw = cell(subject, row)?;
            let time = times.and_then(|times| times.is_valid(row).then(|| times.value(row)));
            Some(text_id(&mut scratch, cell(cluster, row), raw, time))
        }
    });
    ids.map(Option::unwrap_or_default).collect()
}

fn cell(column: Option<&StringViewArray>, row: usize) -> Option<&[u8]> {
    let column = column?;
    (row < column.len() && column.is_valid(row)).then(|| column.value(row).as_bytes())
}
