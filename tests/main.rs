//! Integration tests, one binary: the program seen from outside, and rules that hold for all of it.

mod cli;
mod docs;
mod layers;
mod pack;
mod replay;
mod state;
mod thresholds;
mod windows;
mod wrong;
