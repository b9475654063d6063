//! Raw input and decoded rows. A [`RawBatch`] is what a source hands over, a [`Batch`] is the one
//! seam of the program: two Arrow tables and the identity of each row.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray};
use arrow::buffer::Buffer;
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;

/// Undecoded input: whole messages of a hub, or pieces of a file that end between two records.
#[derive(Debug, Clone, Default)]
pub struct RawBatch {
    /// Each body holds one or more complete JSON values (or log lines); a record never spans two.
    pub bodies: Vec<Bytes>,
}

/// The name people know a cluster by: the last segment of its resource id.
pub fn cluster_name(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

/// The identity of each row, in row order: equal for two copies of the same thing.
///
/// For an audit event the hash of (cluster, audit id, stage); where there is no audit id, and for
/// every `control_plane` row, the hash of the record's own text, cluster and time.
pub type RowIds = Vec<u64>;

/// Decoded rows of one [`RawBatch`], in input order.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Rows of [`super::schema::audit`].
    pub audit: RecordBatch,
    /// Identity of each audit row, as long as `audit`.
    pub audit_ids: RowIds,
    /// Rows of [`super::schema::control_plane`].
    pub control_plane: RecordBatch,
    /// Identity of each control-plane row, as long as `control_plane`.
    pub control_plane_ids: RowIds,
    /// The block the string columns point into; the decoder takes it back to reuse its pages.
    pub block: Buffer,
}

/// Copies what a column refers to, so that it holds on to no shared buffer such as a batch's block.
pub fn compact(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Utf8View => Arc::new(column.as_string_view().gc()),
        DataType::List(field) if field.data_type() == &DataType::Utf8View => {
            let list: &ListArray = column.as_list();
            let values = compact(list.values());
            let made =
                ListArray::try_new(field.clone(), list.offsets().clone(), values, list.nulls().cloned());
            made.map_or_else(|_| column.clone(), |list| Arc::new(list))
        }
        _ => column.clone(),
    }
}
