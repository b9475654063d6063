//! Integration tests, one binary: the program seen from outside, and rules that hold for all of it.

mod archive;
mod azurite;
mod checkpoint;
mod cli;
mod docs;
mod eventhubs;
mod layers;
mod pack;
mod replay;
mod store;
mod thresholds;
mod windows;
mod wrong;
