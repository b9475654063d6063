//! Integration tests, one binary: the program seen from outside.

mod cli;
