//! Wiring of the stages: files or messages through decode and dedup into the engine or a query.

pub mod cases;
pub mod hunt;
pub mod live;
mod parquet;
pub mod replay;
mod stages;

pub use parquet::ledger;
pub use stages::{Piece, Progress, Range, run as scan};
