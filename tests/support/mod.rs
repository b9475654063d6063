//! What tests share.

#![allow(dead_code, reason = "the tests that use all of it come one by one")]

pub mod azurite;
pub mod servers;
pub mod smtp;
