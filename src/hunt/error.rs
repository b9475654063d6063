//! Why a query gave no rows, told apart as far as a command treats them differently.

use std::time::Duration;

use crate::detect::Problem;

/// What stopped a query.
#[derive(Debug, thiserror::Error)]
pub enum HuntError {
    /// The SQL is wrong, at this line and column of its text.
    #[error("{}:{}: {}", .0.at.0, .0.at.1, .0.message)]
    Sql(Problem),
    /// The parameters are.
    #[error("{0}")]
    Parameters(String),
    /// Somebody pressed Ctrl-C.
    #[error("stopped")]
    Stopped,
    #[error(
        "no end after {}; give it more --timeout, or less to read with --since and --until",
        seconds(*.0)
    )]
    Timeout(Duration),
    #[error(
        "the query needs more than {} MB of memory ({reason}); give it more with --memory, less to read with --since and --until, or select fewer columns",
        limit >> 20
    )]
    Memory { limit: usize, reason: String },
    #[error(
        "the query went to disk and found no room ({0}); point TMPDIR to a larger disk, or read less with --since and --until"
    )]
    Disk(String),
    /// While it ran.
    #[error("running the query: {0}")]
    Run(String),
    /// Whoever takes the rows could not.
    #[error(transparent)]
    Rows(anyhow::Error),
}

fn seconds(span: Duration) -> String {
    match span.subsec_millis() {
        0 => format!("{}s", span.as_secs()),
        _ => format!("{} ms", span.as_millis()),
    }
}
