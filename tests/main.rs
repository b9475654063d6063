//! Integration tests, one binary: the program seen from outside, and rules that hold for all of it.

mod azurite;
mod checkpoint;
mod cli;
mod deploy;
mod docs;
mod layers;
mod pack;
mod replay;
mod support;
mod store;
mod sinks;
mod support;
mod thresholds;
mod windows;
mod wrong;
