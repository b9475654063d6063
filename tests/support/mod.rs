//! Services that tests talk to, over real connections on loopback.

pub mod http;
pub mod sentinel;
