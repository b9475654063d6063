//! The vocabulary every stage shares: what a batch is, which columns it has, where it came from.
//!
//! Imports nothing of ours. Everything upstream exists to make a [`Batch`]; nothing downstream can
//! tell whether it came from the hub, a file or the archive.

pub mod address;
mod batch;
mod counts;
mod escape;
pub mod figures;
pub mod identity;
pub mod json;
mod position;
pub mod schema;
mod table;
pub mod value;

pub use batch::{Batch, RawBatch, RowIds, cluster_name, compact};
pub use counts::{Counts, Reject, RejectReason};
pub use position::{Partition, Position, Span};
pub use table::Table;

/// Microseconds of an hour, and of a day; all times here are microseconds.
pub const HOUR: i64 = 3_600_000_000;
pub const DAY: i64 = 24 * HOUR;

/// Tells the time, microseconds since the epoch. Time is a parameter of whatever needs it.
pub type Clock = std::sync::Arc<dyn Fn() -> i64 + Send + Sync>;
