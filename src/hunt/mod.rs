//! One SQL over archives, for people: read only, bounded in memory and time, parameters bound as values.
//!
//! The same tables, columns and functions as a rule has. [`Session`] runs statements, [`check`] says
//! what is wrong with saved queries, [`tables`] tells our own Parquet, which is read by column, from files that are decoded
//! while a query runs. What rows look like in the end is the command's affair.

mod bind;
mod check;
mod error;
mod files;
mod plan;
mod session;
mod tables;

pub use bind::{Given, values};
pub use check::check;
pub use error::HuntError;
pub use files::Account;
pub use session::{Limits, Prepared, Session};
