//! Dead letters: what could not be decoded or delivered, kept with the reason as JSON lines by day.
//!
//! A letter that was appended and synced survives a crash; a line torn by one is ended before the next
//! is written, and readers skip it. Files are rolled by day and size; over the cap of all files the
//! oldest file is deleted, which is logged as an error and counted. Who writes letters and when they
//! must be on disk is the caller's to know.

mod read;

#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::event::value::rfc3339;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::Reason;

pub use read::{Letters, Stored};

/// Of all files together, where nothing else is said.
pub const DEFAULT_CAP: u64 = 1 << 30;
/// A file that has reached this is followed by another.
const ROLL_BYTES: u64 = 64 << 20;
/// So that even a small cap holds more than the file that is being written.
const FILES_AT_LEAST: u64 = 4;

/// Where a dead letter came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Origin {
    /// A record of a message of the hub (or of a file).
    Message { partition: String, sequence: i64 },
    /// An alert that was to go to a sink.
    Sink { sink: String, alert: String },
}

/// Something that is put aside for good.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Microseconds since the epoch.
    pub time: i64,
    /// One of a bounded set of names, as it becomes a label of a metric.
    pub reason: String,
    pub source: Origin,
    /// What exactly was wrong.
    pub detail: String,
    pub body: Bytes,
}

/// A failure to keep dead letters.
#[derive(Debug, thiserror::Error)]
#[error("{operation} dead letters in {}: {cause}; {}", folder.display(), super::error::remedy(cause))]
pub struct DeadLettersError {
    operation: &'static str,
    folder: PathBuf,
    cause: io::Error,
}

/// A line as it stands in the file; names and order are contract.
#[derive(Serialize)]
struct Line<'a> {
    time: Option<String>,
    reason: &'a str,
    source: &'a Origin,
    detail: &'a str,
    body_base64: String,
}

/// The folder of dead letters; cheap to clone.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    cap: u64,
    roll: u64,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    current: Option<Current>,
    /// Bytes of all files.
    total: u64,
}

#[derive(Debug)]
struct Current {
    file: File,
    path: PathBuf,
    date: String,
    bytes: u64,
    dirty: bool,
    /// The file ends inside a line that could neither be written nor taken back.
    torn: bool,
}

impl DeadLetters {
    /// Opens the folder, making it where it is missing. `cap` is for all files together, in bytes.
    pub fn open(folder: &Path, cap: u64, metrics: Arc<Metrics>) -> Result<Self, DeadLettersError> {
        let error = |cause| DeadLettersError { operation: "opening", folder: folder.to_owned(), cause };
        super::error::make_folder(folder).map_err(error)?;
        let files = read::files(folder).map_err(error)?;
        let mut total = 0;
        for path in &files {
            total += fs::metadata(path).map_err(error)?.len();
        }
        let roll = ROLL_BYTES.min(cap / FILES_AT_LEAST);
        let state = Mutex::new(State { current: None, total });
        let inner = Inner { folder: folder.to_owned(), cap, roll, metrics, state };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Writes letters, all or none. They are on disk for good after [`DeadLetters::sync`].
    pub fn append(&self, letters: &[DeadLetter]) -> Result<(), DeadLettersError> {
        let Some(last) = letters.last() else { return Ok(()) };
        self.write(letters, last.time).map_err(|cause| self.error("writing", cause))?;
        for letter in letters {
            self.inner.metrics.dead_letters.get_or_create(&Reason { reason: letter.reason.clone() }).inc();
        }
        Ok(())
    }

    /// Waits until what was appended is on disk.
    pub fn sync(&self) -> Result<(), DeadLettersError> {
        let mut state = self.state();
        match &mut state.current {
            Some(current) => current.sync().map_err(|cause| self.error("writing", cause)),
            None => Ok(()),
        }
    }

    /// The folder they are in.
    pub fn folder(&self) -> &Path {
        &self.inner.folder
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every step leaves the state usable, so a panic elsewhere under the lock is no reason to stop.
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, operation: &'static str, cause: io::Error) -> DeadLettersError {
        DeadLettersError { operation, folder: self.inner.folder.clone(), cause }
    }

    fn write(&self, letters: &[DeadLetter], time: i64) -> io::Result<()> {
        let mut text = Vec::new();
        for letter in letters {
            let line = Line {
                time: rfc3339(letter.time),
                reason: &letter.reason,
                source: &letter.source,
                detail: &letter.detail,
                body_base64: STANDARD.encode(&letter.body),
            };
            serde_json::to_writer(&mut text, &line)?;
            text.push(b'\n');
        }
        let date = rfc3339(time).map_or_else(|| "unknown".to_owned(), |time| time.chars().take(10).collect());
        let added = text.len() as u64;
        let mut state = self.state();
        let full = |current: &Current| current.bytes > 0 && current.bytes + added > self.inner.roll;
        let path = match &mut state.current {
            // A file that somebody has taken away would swallow what is written to it.
            Some(current) if current.date == date && !full(current) && current.path.exists() => None,
            Some(current) => {
                current.sync()?;
                Some(read::follow(&self.inner.folder, &date, full(current))?)
            }
            None => Some(read::follow(&self.inner.folder, &date, false)?),
        };
        if let Some(path) = path {
            let current = Current::open(path, date)?;
            state.current = Some(current);
        }
        let Some(current) = &mut state.current else { return Ok(()) };
        current.append(&text)?;
        let kept = current.path.clone();
        state.total += added;
        self.make_room(&mut state, &kept);
        Ok(())
    }

    /// Deletes the oldest files while there is more than the cap.
    fn make_room(&self, state: &mut State, kept: &Path) {
        if state.total <= self.inner.cap {
            return;
        }
        let files = read::files(&self.inner.folder).unwrap_or_default();
        state.total = files.iter().filter_map(|path| fs::metadata(path).ok()).map(|data| data.len()).sum();
        for path in files.iter().filter(|path| *path != kept) {
            if state.total <= self.inner.cap {
                return;
            }
            let bytes = fs::metadata(path).map_or(0, |data| data.len());
            let letters = File::open(path).map_or(0, |file| count_lines(&file));
            if let Err(error) = fs::remove_file(path) {
                tracing::error!(file = %path.display(), %error, "deleting the oldest dead letters failed");
                return;
            }
            state.total = state.total.saturating_sub(bytes);
            let reason = Reason { reason: "dead_letters".to_owned() };
            self.inner.metrics.dropped.get_or_create(&reason).inc_by(letters);
            tracing::error!(
                file = %path.display(), letters, bytes, cap = self.inner.cap,
                "dead letters are over their cap: the oldest were deleted; look at them more often, or find what fills them"
            );
        }
    }
}

impl Current {
    fn open(path: PathBuf, date: String) -> io::Result<Self> {
        let new = !path.exists();
        let mut options = OpenOptions::new();
        options.create(true).read(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path)?;
        let bytes = file.metadata()?.len();
        let mut torn = false;
        if bytes > 0 {
            let mut last = [0];
            file.seek(SeekFrom::Start(bytes - 1))?;
            file.read_exact(&mut last)?;
            torn = last != [b'\n'];
        }
        if new && let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(Self { file, path, date, bytes, dirty: false, torn })
    }

    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        self.dirty = true;
        if self.torn {
            self.file.write_all(b"\n")?;
            self.bytes = self.file.metadata()?.len();
            self.torn = false;
        }
        if let Err(error) = self.file.write_all(text) {
            // All or none: the caller tries the same letters again.
            self.torn = self.file.set_len(self.bytes).is_err();
            return Err(error);
        }
        self.bytes += text.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.dirty {
            self.file.sync_data()?;
            self.dirty = false;
        }
        Ok(())
    }
}

fn count_lines(file: &File) -> u64 {
    let mut reader = BufReader::new(file);
    let mut lines = 0;
    loop {
        let used = match reader.fill_buf() {
            Ok([]) | Err(_) => return lines,
            Ok(bytes) => {
                lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
                bytes.len()
            }
        };
        reader.consume(used);
    }
}
