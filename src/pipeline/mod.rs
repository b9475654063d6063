//! Wiring of the stages: files or messages through decode and dedup into the engine.

pub mod cases;
pub mod lacks;
pub mod live;
pub mod parquet;
pub mod replay;
pub mod stages;

pub use parquet::ledger;
pub use stages::{Piece, Progress, Range, run as scan};
