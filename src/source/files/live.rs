//! Files as a source of the live service: read once to their end, or followed as they grow.
//!
//! Read once, nothing is remembered: a second run reads everything again, and equal alerts have equal
//! ids. Followed, how far each file was read is kept in the checkpoint store under a hash of its path.
//! A followed file that became shorter, or is another one than before, is read from its beginning; one
//! that is packed, a table or a container is read when it appears and when its size changes.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use super::{FileReader, FileStatus, Inputs, Sizes, sniff};
use crate::checkpoint::Checkpoints;
use crate::event::{Clock, Partition, Position, RawBatch, Span};
use crate::source::{Commit, Incoming, Received, Source, SourceError};
use crate::telemetry::Metrics;
use crate::telemetry::metrics;

/// How often followed files are looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Bytes taken from a followed file at once; a longer line is taken whole up to [`MAX_LINE`].
const PIECE: u64 = 1 << 20;
const MAX_LINE: u64 = 64 << 20;

/// Files, in order.
pub struct Files {
    paths: Vec<String>,
    follow: bool,
    clock: Clock,
    metrics: Arc<Metrics>,
    checkpoints: Option<Checkpoints>,
    todo: VecDeque<PathBuf>,
    open: Option<Open>,
    /// Followed files: how far each was read.
    read: BTreeMap<PathBuf, Mark>,
    looked: Option<tokio::time::Instant>,
}

struct Open {
    path: PathBuf,
    reader: FileReader,
    /// Pieces read so far; for a followed file that is read whole, its size once it is read.
    pieces: i64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    bytes: u64,
    inode: u64,
}

/// The name a file's position is kept under.
fn partition(path: &Path) -> Partition {
    format!("file-{:016x}", xxh3_64(path.as_os_str().as_encoded_bytes())).into()
}

impl Files {
    /// Reads everything once; paths that match nothing are an error.
    pub fn once(paths: Vec<String>, metrics: Arc<Metrics>, clock: Clock) -> Result<Self, SourceError> {
        let inputs = Inputs::resolve(&paths).map_err(|e| SourceError(e.to_string()))?;
        let todo = inputs.files.into_iter().map(|file| file.path).collect();
        Ok(Self { todo, ..Self::new(paths, false, None, metrics, clock) })
    }

    /// Follows files from where they were read to before.
    pub async fn follow(
        paths: Vec<String>,
        checkpoints: Checkpoints,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Result<Self, SourceError> {
        let known = checkpoints.positions().await.map_err(|e| SourceError(e.to_string()))?;
        let mut files = Self::new(paths, true, Some(checkpoints), metrics, clock);
        for path in files.present()? {
            if let Some(position) = known.get(&partition(&path)) {
                let bytes = u64::try_from(position.sequence).unwrap_or(0);
                // The inode stands in the offset, so that a file made anew is read from its beginning.
                let inode = position.offset.parse().unwrap_or(0);
                files.read.insert(path, Mark { bytes, inode });
            }
        }
        Ok(files)
    }

    fn new(
        paths: Vec<String>,
        follow: bool,
        checkpoints: Option<Checkpoints>,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Self {
        let (todo, read) = (VecDeque::new(), BTreeMap::new());
        Self { paths, follow, clock, metrics, checkpoints, todo, open: None, read, looked: None }
    }

    fn present(&self) -> Result<Vec<PathBuf>, SourceError> {
        let inputs = Inputs::resolve(&self.paths).map_err(|e| SourceError(e.to_string()))?;
        Ok(inputs.files.into_iter().map(|file| file.path).collect())
    }

    fn received(&self, path: &Path, raw: RawBatch, first: i64, sequence: i64, inode: u64) -> Incoming {
        let offset = if inode == 0 { String::new() } else { inode.to_string() };
        let last = Position { sequence, offset, enqueued: 0 };
        let span = Span { partition: partition(path), first, last };
        let label = metrics::Partition { partition: span.partition.to_string() };
        self.metrics.messages.get_or_create(&label).inc_by(raw.bodies.len() as u64);
        self.metrics.bytes.inc_by(raw.bodies.iter().map(|body| body.len() as u64).sum());
        Incoming::Messages(Received { raw, span, received: (self.clock)(), room: None })
    }

    /// The next piece of the files to be read to their end.
    fn next_once(&mut self) -> Option<Incoming> {
        loop {
            if let Some(open) = &mut self.open {
                match open.reader.next_batch() {
                    Ok(raw) => {
                        open.pieces += 1;
                        let (path, piece) = (open.path.clone(), open.pieces);
                        return Some(self.received(&path, raw, piece, piece, 0));
                    }
                    Err(status) => {
                        tell(&open.path, &status);
                        self.open = None;
                    }
                }
            }
            let path = self.todo.pop_front()?;
            match FileReader::open(&path, Sizes::default()) {
                Ok(reader) => self.open = Some(Open { path, reader, pieces: 0 }),
                Err(status) => tell(&path, &status),
            }
        }
    }

    /// The next piece of what was appended to the followed files, if anything was.
    fn next_followed(&mut self) -> Option<Incoming> {
        while let Some(path) = self.todo.front().cloned() {
            match self.appended(&path) {
                Ok(Some(incoming)) => return Some(incoming),
                Ok(None) => {}
                Err(error) => tracing::warn!(path = %path.display(), "cannot be read: {error}"),
            }
            self.todo.pop_front();
        }
        None
    }

    fn appended(&mut self, path: &Path) -> std::io::Result<Option<Incoming>> {
        let mut file = File::open(path)?;
        let about = file.metadata()?;
        let (size, inode) = (about.len(), about.ino());
        let mut mark = self.read.get(path).copied().unwrap_or_default();
        if mark.inode != inode || size < mark.bytes {
            mark = Mark { bytes: 0, inode };
        }
        if size == mark.bytes {
            return Ok(None);
        }
        let mut head = Vec::new();
        Read::by_ref(&mut file).take(sniff::HEAD as u64).read_to_end(&mut head)?;
        let (bodies, bytes) = if sniff::grows_by_lines(&head) {
            lines(&mut file, mark.bytes, size)?
        } else {
            (whole(path)?, size)
        };
        if bytes == mark.bytes {
            return Ok(None);
        }
        let first = i64::try_from(mark.bytes).unwrap_or(i64::MAX);
        let last = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.read.insert(path.to_path_buf(), Mark { bytes, inode });
        Ok(Some(self.received(path, RawBatch { bodies }, first, last, inode)))
    }
}

/// Whole lines from `from` on, and where they end. A last line without an end is still being written.
fn lines(file: &mut File, from: u64, size: u64) -> std::io::Result<(Vec<Bytes>, u64)> {
    let mut wanted = PIECE;
    loop {
        let mut piece = Vec::new();
        file.seek(SeekFrom::Start(from))?;
        Read::by_ref(file).take(wanted).read_to_end(&mut piece)?;
        let end = memchr::memrchr(b'\n', &piece).map(|at| at + 1);
        let all = piece.len() as u64 >= size - from;
        match end {
            Some(end) => {
                piece.truncate(end);
                return Ok((vec![piece.into()], from + end as u64));
            }
            None if all && wanted < MAX_LINE => return Ok((Vec::new(), from)),
            None if wanted >= MAX_LINE => {
                let bytes = from + piece.len() as u64;
                return Ok((vec![piece.into()], bytes));
            }
            None => wanted = (wanted * 4).min(MAX_LINE),
        }
    }
}

/// All bodies of a file that does not grow by lines.
fn whole(path: &Path) -> std::io::Result<Vec<Bytes>> {
    let mut reader = FileReader::open(path, Sizes::default())
        .map_err(|status| std::io::Error::other(status.to_string()))?;
    let mut bodies = Vec::new();
    loop {
        match reader.next_batch() {
            Ok(raw) => bodies.extend(raw.bodies),
            Err(FileStatus::Ok | FileStatus::Empty) => return Ok(bodies),
            Err(status) => {
                tell(path, &status);
                return Ok(bodies);
            }
        }
    }
}

fn tell(path: &Path, status: &FileStatus) {
    match status {
        FileStatus::Ok => tracing::debug!(path = %path.display(), "read to its end"),
        status => tracing::warn!(path = %path.display(), "{status}"),
    }
}

#[async_trait]
impl Source for Files {
    async fn next(&mut self) -> Result<Option<Incoming>, SourceError> {
        if !self.follow {
            return Ok(self.next_once());
        }
        loop {
            if let Some(incoming) = self.next_followed() {
                return Ok(Some(incoming));
            }
            // Nothing is taken out before this wait, so a dropped future loses nothing.
            let due = self.looked.map(|looked| looked + LOOK);
            if let Some(due) = due {
                tokio::time::sleep_until(due).await;
            }
            self.looked = Some(tokio::time::Instant::now());
            match self.present() {
                Ok(present) => self.todo = present.into(),
                Err(error) => tracing::debug!("nothing to follow yet: {error}"),
            }
        }
    }

    /// Files are looked at one after the other; when none has more, none has.
    fn is_idle(&self, _partition: &str) -> bool {
        self.follow && self.todo.is_empty() && self.looked.is_some()
    }

    /// A file that cannot be read is told in the log; the others go on.
    fn trouble(&self) -> Option<String> {
        None
    }

    fn commits(&self) -> Arc<dyn Commit> {
        Arc::new(Marks(self.checkpoints.clone()))
    }

    async fn close(self: Box<Self>) {}
}

/// Keeps how far followed files were read.
struct Marks(Option<Checkpoints>);

#[async_trait]
impl Commit for Marks {
    async fn commit(&self, span: &Span) -> Result<bool, SourceError> {
        if let Some(checkpoints) = &self.0 {
            let written = checkpoints.write_position(&span.partition, &span.last).await;
            written.map_err(|e| SourceError(e.to_string()))?;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn bodies(incoming: Option<Incoming>) -> Vec<String> {
        let Some(Incoming::Messages(received)) = incoming else { return Vec::new() };
        received.raw.bodies.iter().map(|body| String::from_utf8_lossy(body).into_owned()).collect()
    }

    #[tokio::test]
    async fn lines_are_taken_when_they_are_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let mut file = File::create(&path).unwrap();
        let mut files =
            Files::new(vec![folder.path().display().to_string()], true, None, Arc::default(), Arc::new(|| 0));
        let mut look = || {
            files.todo = files.present().unwrap().into();
            bodies(files.next_followed())
        };
        file.write_all(b"{\"a\":1}\n{\"a\":").unwrap();
        assert_eq!(look(), ["{\"a\":1}\n"]);
        assert!(look().is_empty());
        file.write_all(b"2}\n").unwrap();
        assert_eq!(look(), ["{\"a\":2}\n"]);
        std::fs::write(folder.path().join("new"), "{\"a\":3}\n").unwrap();
        std::fs::rename(folder.path().join("new"), &path).unwrap();
        assert_eq!(look(), ["{\"a\":3}\n"], "another file under the same name");
        std::fs::write(&path, "{}\n").unwrap();
        assert_eq!(look(), ["{}\n"], "the file became shorter");
    }
}
