//! Services that tests talk to, over real connections on loopback.

#![allow(dead_code, reason = "the tests that use all of it come one by one")]

pub mod azurite;
pub mod browser;
pub mod entra;
pub mod http;
pub mod mmdb;
pub mod sentinel;
pub mod servers;
pub mod smtp;
pub mod tls;
