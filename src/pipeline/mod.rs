//! Wiring of the stages.

pub mod replay;
