//! Archived files as raw batches: which files, what is in them, where one record ends.
//!
//! [`Inputs`] says which files are read and in what order, [`Reader`] reads them one after another and
//! hands on [`Chunk`]s of about a megabyte whose bodies never split a record. A file is recognised by
//! its content, never by its name. Nothing here decodes a record, and nothing fails the run: a file
//! that cannot be read is a [`FileProblem`], and the next one is opened.

mod avro;
mod content;
mod document;
mod framing;
mod inputs;
mod live;
mod log_analytics;
mod order;
mod parquet;
mod reader;
mod sniff;

#[cfg(test)]
mod framing_tests;
#[cfg(test)]
mod reader_tests;

use std::fmt;
use std::path::PathBuf;

use serde::{Serialize, Serializer};

use crate::event::RawBatch;

pub use framing::{Framer, Sizes};
pub use inputs::{InputError, InputFile, Inputs};
pub use live::Files;
pub use log_analytics::audit_columns;
pub use reader::{FileReader, Reader};

/// What became of a file. Shown in the summary and in `--stats`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum FileStatus {
    /// Read to its end.
    #[default]
    Ok,
    /// Nothing in it, or nothing but white space.
    Empty,
    /// Read to its end, but it has no place for some of what an audit event holds.
    Lacking(Lacking),
    /// A Parquet file of our own archive: rows, not bodies. [`Reader`] gives none of it; the archive's
    /// reader takes it from here.
    Archive,
    /// Something else than a log; with what it is where that can be told.
    NotALog(Option<String>),
    /// Nothing of it could be read.
    Unreadable(String),
    /// What came before the fault was read and counts.
    Incomplete(String),
}

/// What a file that was read to its end has no place for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lacking {
    /// Columns of the Log Analytics table that are not in the file.
    pub columns: Vec<&'static str>,
    /// Times stand in an unknown local zone and were read as UTC.
    pub zone: bool,
}

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ok")?;
        if !self.columns.is_empty() {
            let noun = if self.columns.len() == 1 { "column" } else { "columns" };
            write!(f, ", without the {noun} {}", self.columns.join(", "))?;
        }
        if self.zone {
            f.write_str(", its times are local ones and were read as UTC")?;
        }
        Ok(())
    }
}

impl FileStatus {
    /// Whether rows of the file are missing from what was read.
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Unreadable(_) | Self::Incomplete(_))
    }
}

impl fmt::Display for FileStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::Empty => f.write_str("empty"),
            Self::Lacking(lacking) => lacking.fmt(f),
            Self::Archive => f.write_str("rows of an aksentry archive"),
            Self::NotALog(None) => f.write_str("not a log"),
            Self::NotALog(Some(what)) => write!(f, "not a log: {what}"),
            Self::Unreadable(reason) => write!(f, "unreadable: {reason}"),
            Self::Incomplete(reason) => write!(f, "incomplete: {reason}"),
        }
    }
}

impl Serialize for FileStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The account of one file of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileReport {
    #[serde(serialize_with = "lossy")]
    pub path: PathBuf,
    /// Size as stored, so compressed bytes for a compressed file.
    pub bytes: u64,
    /// Records found in it; counted by whoever decodes.
    pub records: u64,
    pub status: FileStatus,
}

/// A path need not be UTF-8, JSON must be.
fn lossy<S: Serializer>(path: &std::path::Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// A piece of exactly one file.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// Index into [`Inputs::files`].
    pub file: usize,
    pub raw: RawBatch,
    /// Bytes taken from the disk since the previous item, for progress.
    pub bytes_read: u64,
}

/// A file that is not simply "ok". Comes after the chunks of what could be read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileProblem {
    /// Index into [`Inputs::files`].
    pub file: usize,
    pub status: FileStatus,
    /// Bytes of the file not accounted for by its chunks, so that progress still ends at the total.
    pub bytes_read: u64,
}
