//! The two tables of events: what SQL reads, what the archive stores.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use super::{Batch, schema};

/// One of the two tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    Audit,
    ControlPlane,
}

impl Table {
    pub const ALL: [Table; 2] = [Table::Audit, Table::ControlPlane];

    /// Its name in SQL and in the layout of the archive.
    pub fn name(self) -> &'static str {
        match self {
            Table::Audit => "audit",
            Table::ControlPlane => "control_plane",
        }
    }

    pub fn schema(self) -> SchemaRef {
        match self {
            Table::Audit => schema::audit(),
            Table::ControlPlane => schema::control_plane(),
        }
    }

    /// The table's rows of a batch and their identities.
    pub fn rows(self, batch: &Batch) -> (&RecordBatch, &[u64]) {
        match self {
            Table::Audit => (&batch.audit, &batch.audit_ids),
            Table::ControlPlane => (&batch.control_plane, &batch.control_plane_ids),
        }
    }
}
