//! The archive: rows as Parquet files in hive-style folders of a [`Store`], readable by anything.
//!
//! [`Writer`] turns batches into files of a spool folder, [`publish`] moves a finished one to its place,
//! [`compact`](mod@compact) makes few files of many, [`expire`] takes away days that are older than they are
//! kept. [`table`] is the archive as SQL sees it, [`read`] as replay does, [`info`] is its account. A file
//! shows whole or not at all. When files are closed, and what is committed after, is the pipeline's.

mod about;
pub mod compact;
mod copies;
mod files;
mod ids;
pub mod info;
pub mod layout;
pub mod read;
mod reader;
mod selection;
mod sieve;
mod small;
mod split;
mod stored;
pub mod table;
mod writer;

use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::event::Table;
use crate::store::Store;
use crate::store::StoreError;

pub use copies::{by_folder, name, repeated, replaced};
pub use selection::Selection;
pub use stored::{Stored, Unusable};
pub use writer::{Config, Finished, Writer};

/// Deletions under way at once.
const AT_ONCE: usize = 16;

/// What can go wrong with the archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("cannot {operation} {object}: {reason}; the spool folder needs room and must be writable")]
    Spool { operation: &'static str, object: String, reason: String },
    #[error("cannot use the spool folder {folder}: another process uses it; give each its own state folder")]
    SpoolTaken { folder: String },
    #[error("cannot write rows of {table} to the archive: {reason}")]
    Rows { table: &'static str, reason: String },
    #[error(
        "the archive writer failed before ({reason}): what was appended since files were last closed must be read again, with a new writer"
    )]
    Broken { reason: String },
    #[error("cannot {operation} {folder}: {reason}; nothing of it was deleted")]
    Compact { operation: &'static str, folder: String, reason: String },
    #[error("archive: {0}")]
    Store(#[source] StoreError),
}

/// Moves a finished file to its place. May be repeated until it succeeds, also after it did.
pub async fn publish(file: &Finished, store: &Store) -> Result<(), ArchiveError> {
    store.move_file(&file.path, &file.key).await.map_err(ArchiveError::Store)
}

/// What a sweep took away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expired {
    pub files: u64,
    pub bytes: u64,
}

/// Deletes the days that ended before a time (microseconds since the epoch), by event time. Rows without
/// a time are kept.
pub async fn expire(store: &Store, before: i64) -> Result<Expired, ArchiveError> {
    sweep(store, before, false).await
}

/// What [`expire`] would delete.
pub async fn expiring(store: &Store, before: i64) -> Result<Expired, ArchiveError> {
    sweep(store, before, true).await
}

async fn sweep(store: &Store, before: i64, dry_run: bool) -> Result<Expired, ArchiveError> {
    let mut expired = Expired::default();
    for table in Table::ALL {
        for cluster in folders(store, &format!("table={}", table.name())).await? {
            for day in folders(store, &cluster).await? {
                if layout::day_end(&day).is_none_or(|end| end > before) {
                    continue;
                }
                let (mut files, aside) = store.list_all(&day).await.map_err(ArchiveError::Store)?;
                files.extend(aside);
                for file in &files {
                    expired.files += 1;
                    expired.bytes += file.bytes;
                }
                if dry_run {
                    continue;
                }
                let deletes = stream::iter(files).map(|file| async move { store.delete(&file.key).await });
                deletes.buffer_unordered(AT_ONCE).try_collect::<()>().await.map_err(ArchiveError::Store)?;
                tracing::info!(folder = day, "deleted a day of the archive past its retention");
            }
        }
    }
    Ok(expired)
}

async fn folders(store: &Store, above: &str) -> Result<Vec<String>, ArchiveError> {
    store.folders(above).await.map_err(ArchiveError::Store)
}
