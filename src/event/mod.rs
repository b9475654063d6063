//! The vocabulary every stage shares: what a batch is, which columns it has, where it came from.
//!
//! Imports nothing of ours. Everything upstream exists to make a [`Batch`]; nothing downstream can
//! tell whether it came from the hub, a file or the archive.

pub mod address;
mod batch;
mod counts;
mod escape;
pub mod json;
mod position;
pub mod schema;
pub mod value;

pub use batch::{Batch, RawBatch, RowIds, cluster_name};
pub use counts::{Counts, Reject, RejectReason};
pub use position::{Partition, Position, Span};
