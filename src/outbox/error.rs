//! What can go wrong with files of the state folder, said so that the reader knows what to do.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::dead_letters::DeadLettersError;

/// A failure of the outbox. None of them loses what was put before.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    #[error("{} is in use by another aksentry; each replica needs a state folder of its own", path.display())]
    InUse { path: PathBuf },
    #[error("no outbox at {}; give the folder that [state] dir names", path.display())]
    Missing { path: PathBuf },
    #[error("opening the outbox {}: {cause}; {}", path.display(), remedy(cause))]
    Open { path: PathBuf, cause: io::Error },
    #[error("{operation} the outbox {}: {cause}; {}", path.display(), remedy(cause))]
    Io { operation: &'static str, path: PathBuf, cause: io::Error },
    #[error(
        "{operation} the outbox {}: {detail}; if this stays, stop aksentry and move the file away (alerts not delivered yet stay in it)",
        path.display()
    )]
    Damaged { operation: &'static str, path: PathBuf, detail: String },
    #[error("{operation} the outbox {}: it failed inside, what was not acknowledged is to be tried again", path.display())]
    Panicked { operation: &'static str, path: PathBuf },
    #[error(transparent)]
    DeadLetters(#[from] DeadLettersError),
}

/// What to do about a failure of the file system.
pub(super) fn remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "there is no room: free some, or give the state folder a larger volume"
        }
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            "make the state folder writable for the user aksentry runs as"
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound => {
            "give a folder that exists or can be made"
        }
        _ => "look after the volume the state folder is on",
    }
}

/// Makes a folder that only its owner can read; one that is there stays as it is.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
