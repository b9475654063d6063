//! Integration tests, one binary: the program seen from outside, and rules that hold for all of it.

mod archive;
mod azurite;
mod backtest;
mod checkpoint;
mod cli;
mod deploy;
mod docs;
mod email;
mod eventhubs;
mod formats;
mod import;
mod layers;
mod live;
mod pack;
mod parquet;
mod queries;
mod replay;
mod report;
mod sinks;
mod state;
mod store;
mod support;
mod thresholds;
mod windows;
mod wrong;
