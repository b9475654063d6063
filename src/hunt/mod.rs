//! One SQL over archives, for people: read only, bounded in memory and time, parameters bound as values.
//!
//! The same tables, columns and functions as a rule has. [`Session`] runs statements, [`check`] says
//! what is wrong with saved queries, [`files`] makes tables of files that are decoded while a query
//! runs, beside our own Parquet, of which DataFusion reads what a query needs. What rows look like in the end is the command's affair.

mod bind;
mod check;
mod error;
mod files;
mod plan;
mod session;

pub use bind::{Given, values};
pub use check::check;
pub use error::HuntError;
pub use files::Account;
pub use session::{Limits, Prepared, Session, run};
