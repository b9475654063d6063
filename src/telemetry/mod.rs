//! What a running service says of itself: metrics, health, logs.

pub mod log;
pub mod metrics;

pub use metrics::Metrics;
