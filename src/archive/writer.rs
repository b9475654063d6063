//! Batches in, finished Parquet files out. Rows go to one file for each table, cluster and hour of their
//! event time. Memory and the number of open files are bounded whatever the rows are.
//!
//! All is synchronous: whoever calls has a thread that may wait for the disk. After an error the writer
//! is broken: rows since the last [`Writer::close_files`] must be read again, and a new writer opened.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use parquet::errors::ParquetError;

use super::ArchiveError;
use super::about::Rejected;
use super::files::{OpenFile, reason};
use super::ids::with_ids;
use super::layout::{HOUR, Slot, file_name};
use super::split::split;
use crate::event::{Batch, Table};

/// Rows that wait in memory, all files together; beyond, the largest row group is written early.
const WAITING_BYTES: usize = 32 << 20;
/// Beyond, the file that was not used for longest is finished.
const MAX_OPEN: usize = 32;

/// What `[archive]` says of writing.
#[derive(Debug, Clone)]
pub struct Config {
    /// A file that has grown to so many bytes is finished and another begun.
    pub max_file_bytes: u64,
    /// Part of the names of files; unique among those who write to one archive.
    pub replica: String,
}

/// A whole file in the spool folder, on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    pub path: PathBuf,
    /// Where it belongs in the archive.
    pub key: String,
    pub rows: u64,
    pub bytes: u64,
    pub table: Table,
}

/// Writes rows into files of a spool folder.
pub struct Writer {
    spool: PathBuf,
    config: Config,
    /// Makes names unique over restarts.
    run: u32,
    next: u64,
    open: HashMap<Slot, OpenFile>,
    finished: Vec<Finished>,
    /// Records that became no row, not yet written down.
    rejected: Rejected,
    since: Option<Instant>,
    broken: Option<String>,
    /// Held as long as the writer lives.
    _lock: File,
}

impl Writer {
    /// Opens the spool folder, which is this writer's alone, and removes what a crash left there: those
    /// rows were not committed and come again.
    pub fn open(spool: &Path, config: Config) -> Result<Self, ArchiveError> {
        let failed = |e: io::Error| ArchiveError::Spool {
            operation: "open",
            object: spool.display().to_string(),
            reason: e.to_string(),
        };
        fs::create_dir_all(spool).map_err(failed)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(spool.join(".lock"))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(ArchiveError::SpoolTaken { folder: spool.display().to_string() });
            }
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        for entry in fs::read_dir(spool).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|extension| extension == "parquet") {
                fs::remove_file(&path).map_err(failed)?;
                tracing::info!(file = %path.display(), "removed an archive file that was never published");
            }
        }
        Ok(Self {
            spool: spool.to_owned(),
            config,
            run: fastrand::u32(..),
            next: 0,
            open: HashMap::new(),
            finished: Vec::new(),
            rejected: Rejected::new(),
            since: None,
            broken: None,
            _lock: lock,
        })
    }

    /// Takes the rows of a batch. They are durable when [`Writer::close_files`] has returned and its files
    /// were published.
    pub fn append(&mut self, batch: &Batch) -> Result<(), ArchiveError> {
        self.check()?;
        for table in Table::ALL {
            let (rows, ids) = table.rows(batch);
            if rows.num_rows() == 0 {
                continue;
            }
            self.since.get_or_insert_with(Instant::now);
            let pieces = with_ids(table, rows, ids).and_then(|rows| split(table, &rows)).map_err(|e| {
                let reason = e.to_string();
                self.broken = Some(reason.clone());
                ArchiveError::Rows { table: table.name(), reason }
            })?;
            for (slot, rows) in pieces {
                let number = self.next;
                if !self.open.contains_key(&slot) {
                    self.close_least_used()?;
                    self.open.insert(slot.clone(), OpenFile::new(slot.clone(), &self.spool, number));
                }
                // Also counts uses, so every append gets a number of its own.
                self.next += 1;
                let Some(file) = self.open.get_mut(&slot) else { continue };
                file.used = number;
                file.push(rows);
                let flushed = if file.is_full() { file.flush() } else { Ok(()) };
                let large = file.written() >= self.config.max_file_bytes;
                flushed.map_err(|e| self.failed("write a file in", &e))?;
                if large {
                    self.close(&slot)?;
                }
                self.keep_to_budget()?;
            }
        }
        Ok(())
    }

    /// Notes a record that became no row, with the time it was received at (microseconds since the epoch):
    /// the next file to be finished says so.
    pub fn reject(&mut self, received: i64, reason: &str) {
        let hour = self.rejected.entry(received.div_euclid(HOUR)).or_default();
        *hour.entry(reason.to_owned()).or_default() += 1;
    }

    /// Bytes of rows not handed over as files yet, in memory and in the spool folder.
    pub fn pending_bytes(&self) -> u64 {
        let open: u64 = self.open.values().map(|file| file.written() + file.waiting_bytes as u64).sum();
        open + self.finished.iter().map(|file| file.bytes).sum::<u64>()
    }

    /// How long the oldest row waits that was not handed over yet; zero where none does.
    pub fn age(&self) -> Duration {
        self.since.map(|since| since.elapsed()).unwrap_or_default()
    }

    /// Finishes all files: every row appended so far is on the disk, in one of the files returned.
    pub fn close_files(&mut self) -> Result<Vec<Finished>, ArchiveError> {
        self.check()?;
        let mut slots: Vec<(u64, Slot)> = self.open.values().map(|f| (f.number, f.slot.clone())).collect();
        slots.sort_by_key(|(number, _)| *number);
        for (_, slot) in slots {
            self.close(&slot)?;
        }
        if let Some(hour) = self.rejected.keys().next().copied() {
            // No rows came with them: the file holds their number alone.
            let slot = Slot { table: Table::ControlPlane, cluster: None, hour: Some(hour) };
            self.open.insert(slot.clone(), OpenFile::new(slot.clone(), &self.spool, self.next));
            self.next += 1;
            self.close(&slot)?;
        }
        if !self.finished.is_empty() {
            let synced = File::open(&self.spool).and_then(|folder| folder.sync_all());
            synced.map_err(|e| self.failed("sync", &ParquetError::from(e)))?;
        }
        self.since = None;
        Ok(std::mem::take(&mut self.finished))
    }

    fn close(&mut self, slot: &Slot) -> Result<(), ArchiveError> {
        let Some(mut file) = self.open.remove(slot) else { return Ok(()) };
        file.about.rejected = std::mem::take(&mut self.rejected);
        let bytes = file.finish().map_err(|e| self.failed("finish a file in", &e))?;
        let name = file_name(file.first, &self.config.replica, self.run, file.number);
        self.finished.push(Finished {
            path: file.path,
            key: format!("{}/{name}", slot.folder()),
            rows: file.rows,
            bytes,
            table: slot.table,
        });
        Ok(())
    }

    fn close_least_used(&mut self) -> Result<(), ArchiveError> {
        if self.open.len() < MAX_OPEN {
            return Ok(());
        }
        let oldest = self.open.values().min_by_key(|file| file.used).map(|file| file.slot.clone());
        oldest.map_or(Ok(()), |slot| self.close(&slot))
    }

    fn keep_to_budget(&mut self) -> Result<(), ArchiveError> {
        while self.open.values().map(|file| file.waiting_bytes).sum::<usize>() > WAITING_BYTES {
            let largest = self.open.values_mut().max_by_key(|file| file.waiting_bytes);
            let Some(file) = largest else { return Ok(()) };
            let flushed = file.flush();
            flushed.map_err(|e| self.failed("write a file in", &e))?;
        }
        Ok(())
    }

    fn check(&self) -> Result<(), ArchiveError> {
        match &self.broken {
            Some(reason) => Err(ArchiveError::Broken { reason: reason.clone() }),
            None => Ok(()),
        }
    }

    /// Notes that rows may be missing from now on.
    fn failed(&mut self, operation: &'static str, error: &ParquetError) -> ArchiveError {
        let reason = reason(error);
        self.broken = Some(reason.clone());
        ArchiveError::Spool { operation, object: self.spool.display().to_string(), reason }
    }
}
