//! What a running service says of itself: metrics, health, logs.

pub mod metrics;

pub use metrics::Metrics;
