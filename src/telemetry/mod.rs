//! What a running service says of itself: metrics, health, logs.

#[cfg(test)]
mod dashboard_tests;
pub mod health;
pub mod http;
pub mod log;
pub mod metrics;
pub mod samples;
pub mod status;

pub use health::Health;
pub use metrics::Metrics;
