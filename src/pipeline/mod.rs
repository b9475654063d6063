//! Wiring of the stages: files or messages through decode and dedup into the engine.

pub mod cases;
pub mod live;
pub mod replay;
pub mod stages;

pub use stages::{Progress, Range};
