//! The database file: opening it for one process alone, and opening it again after a fault.
//!
//! redb refuses all further work once the disk has failed it, so the file is closed and opened anew for
//! the next operation: what was acknowledged is there, and the service goes on when the disk does.

use std::fs::OpenOptions;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use redb::{Builder, Database, DatabaseError, StorageError};

use super::dead_letters::DeadLettersError;
use super::error::OutboxError;

/// Pages kept in memory; the default of redb is a gigabyte.
const CACHE_BYTES: usize = 16 << 20;
/// How often and after which pause the lock is tried for, as a process that ends may still hold it.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(200);

/// Why an operation on the database did not come about.
#[derive(Debug)]
pub(super) enum Fault {
    Database(Box<redb::Error>),
    DeadLetters(DeadLettersError),
}

macro_rules! fault {
    ($($error:ty),*) => {
        $(impl From<$error> for Fault {
            fn from(error: $error) -> Self {
                Self::Database(Box::new(error.into()))
            }
        })*
    };
}

fault!(StorageError, redb::TableError, redb::TransactionError, redb::CommitError);

impl From<DeadLettersError> for Fault {
    fn from(error: DeadLettersError) -> Self {
        Self::DeadLetters(error)
    }
}

/// The database of one outbox; one process has it open.
#[derive(Debug)]
pub(super) struct DatabaseFile {
    path: PathBuf,
    /// `None` after a fault, until it is opened again.
    database: RwLock<Option<Database>>,
    /// Held by who writes. redb makes a second writer wait and does not look afterwards whether the first
    /// has failed: the second would work on pages that are not what they seem, until redb asserts, and once
    /// more while it unwinds, which ends the process.
    writing: Mutex<()>,
}

impl DatabaseFile {
    /// Opens the file, making it if `create`.
    pub fn open(path: &Path, create: bool) -> Result<Self, OutboxError> {
        if !create && !path.exists() {
            return Err(OutboxError::Missing { path: path.to_owned() });
        }
        let database = open(path)?;
        Ok(Self { path: path.to_owned(), database: RwLock::new(Some(database)), writing: Mutex::default() })
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |data| data.len())
    }

    /// Waits for the turn to write; whoever writes holds it until their operation has ended, and opens the
    /// file again with it in their hands if the one before has failed.
    pub fn turn(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one operation; after a fault of the storage the file is closed until [`DatabaseFile::reopen`].
    pub fn with<T>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Database) -> Result<T, Fault>,
    ) -> Result<T, OutboxError> {
        let guard = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let Some(database) = guard.as_ref() else {
            return Err(self.error(operation, redb::Error::PreviousIo));
        };
        // redb asserts where a disk error leaves it in a state it did not foresee.
        let result = catch_unwind(AssertUnwindSafe(|| work(database)));
        drop(guard);
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(Fault::DeadLetters(error))) => Err(error.into()),
            Ok(Err(Fault::Database(error))) => {
                self.close();
                Err(self.error(operation, *error))
            }
            Err(_) => {
                self.close();
                Err(OutboxError::Panicked { operation, path: self.path.clone() })
            }
        }
    }

    fn close(&self) {
        let database = self.database.write().unwrap_or_else(PoisonError::into_inner).take();
        // Closing writes; on a disk that fails, redb may assert here too.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(database)));
    }

    /// Opens the file again if a fault has closed it; whether it did.
    pub fn reopen(&self) -> Result<bool, OutboxError> {
        if self.database.read().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Ok(false);
        }
        let mut guard = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if guard.is_some() {
            return Ok(false);
        }
        *guard = Some(open(&self.path)?);
        tracing::info!(path = %self.path.display(), "the outbox was opened again after a fault");
        Ok(true)
    }

    fn error(&self, operation: &'static str, error: redb::Error) -> OutboxError {
        let path = self.path.clone();
        match error {
            redb::Error::Io(cause) => OutboxError::Io { operation, path, cause },
            redb::Error::PreviousIo => {
                let cause = io::Error::other("an operation before this one failed");
                OutboxError::Io { operation, path, cause }
            }
            other => OutboxError::Damaged { operation, path, detail: other.to_string() },
        }
    }
}

/// Opens the database, making it where there is none. A crash while it is made would leave one that
/// cannot be opened, so it gets its name when it is whole.
fn open(path: &Path) -> Result<Database, OutboxError> {
    if !path.exists() {
        let fresh = path.with_extension("new");
        let opening = |cause| OutboxError::Open { path: path.to_owned(), cause };
        match std::fs::remove_file(&fresh) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(opening(cause)),
            _ => {}
        }
        drop(open_file(&fresh)?);
        std::fs::rename(&fresh, path).map_err(opening)?;
    }
    open_file(path)
}

fn open_file(path: &Path) -> Result<Database, OutboxError> {
    let opening = |cause| OutboxError::Open { path: path.to_owned(), cause };
    for tries in 1.. {
        // Alerts name people and objects: nobody else is to read them.
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(opening)?;
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE_BYTES).create_with_file_format_v3(true);
        // redb checks a file it has just made, too.
        let (told, fresh) = (path.to_owned(), file.metadata().is_ok_and(|data| data.len() == 0));
        builder.set_repair_callback(move |session| {
            if session.progress() == 0.0 && !fresh {
                tracing::info!(path = %told.display(), "the outbox was not closed; checking it");
            }
        });
        let result = catch_unwind(AssertUnwindSafe(|| builder.create_file(file)));
        match result {
            Ok(Ok(database)) => return Ok(database),
            Ok(Err(DatabaseError::DatabaseAlreadyOpen)) if tries < LOCK_TRIES => {
                std::thread::sleep(LOCK_PAUSE);
            }
            Ok(Err(DatabaseError::DatabaseAlreadyOpen)) => break,
            Ok(Err(DatabaseError::Storage(StorageError::Io(cause)))) => return Err(opening(cause)),
            Ok(Err(other)) => {
                let detail = other.to_string();
                return Err(OutboxError::Damaged { operation: "opening", path: path.to_owned(), detail });
            }
            Err(_) => return Err(OutboxError::Panicked { operation: "opening", path: path.to_owned() }),
        }
    }
    Err(OutboxError::InUse { path: path.to_owned() })
}
