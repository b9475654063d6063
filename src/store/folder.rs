//! A folder that behaves like a container, for one machine: any number of processes may share it.
//!
//! An object written by `put` is a file whose first line holds etag and metadata as JSON, its content
//! behind; so one rename replaces all of it. Files that were uploaded are as they were (other programs read
//! Parquet there) and have an etag made of inode, time and size. Writers take turns under a lock file;
//! readers need none. Every write is a temporary file, `fsync`, rename and `fsync` of the folder.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Condition, Head, Metadata, Object, StoreError};

/// How the first line of an object written by `put` begins.
const MAGIC: &[u8] = b"{\"aksentry\":1,";
/// Longer than any first line of ours.
const MAX_HEADER: u64 = 64 << 10;
/// Below the folder, out of listings like everything that begins with a dot.
const TEMPORARY: &str = ".tmp";
const LOCK: &str = ".lock";
/// A process holds the lock for milliseconds; one that was stopped holds it for ever.
const LOCK_WAIT: Duration = Duration::from_secs(30);
/// A temporary file not written to for so long was left behind by a crash.
const ABANDONED: Duration = Duration::from_secs(3600);

#[derive(Serialize, Deserialize)]
struct Header {
    aksentry: u8,
    etag: String,
    metadata: Metadata,
}

/// A folder and the lock its writers in this process share.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    root: Arc<PathBuf>,
    turn: Arc<Mutex<()>>,
}

impl Folder {
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let failed = |what: &Path, e: io::Error| {
            StoreError::failed(
                "open",
                what.display(),
                format!("{e}; the folder must be writable for this user"),
            )
        };
        let temporary = root.join(TEMPORARY);
        fs::create_dir_all(&temporary).map_err(|e| failed(root, e))?;
        let folder = Self { root: Arc::new(root.to_owned()), turn: Arc::default() };
        folder.sweep(&temporary).map_err(|e| failed(&temporary, e))?;
        Ok(folder)
    }

    /// The time the file system gives a new file.
    fn now(&self) -> io::Result<SystemTime> {
        let probe = self.temporary();
        let now = File::create(&probe)?.metadata()?.modified()?;
        fs::remove_file(&probe)?;
        Ok(now)
    }

    /// Removes what crashes left.
    fn sweep(&self, temporary: &Path) -> io::Result<()> {
        let now = self.now()?;
        for entry in fs::read_dir(temporary)? {
            let entry = entry?;
            let modified = entry.metadata().and_then(|m| m.modified());
            if modified.is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age > ABANDONED)) {
                absent_is_fine(fs::remove_file(entry.path()))?;
            }
        }
        Ok(())
    }

    pub async fn write(
        &self,
        key: &str,
        content: Bytes,
        metadata: &Metadata,
        condition: Condition<'_>,
    ) -> Result<Option<String>, StoreError> {
        let wanted = match condition {
            Condition::Match(etag) => Some(etag.to_owned()),
            Condition::Always | Condition::Absent => None,
        };
        let absent = matches!(condition, Condition::Absent);
        let header =
            Header { aksentry: 1, etag: format!("{:032x}", fastrand::u128(..)), metadata: metadata.clone() };
        self.run("write", key, move |folder, path| {
            let refused = || -> io::Result<bool> {
                let there = if absent || wanted.is_some() { read_head(&path)? } else { None };
                Ok(match &wanted {
                    Some(etag) => there.is_none_or(|head| head.etag != *etag),
                    None => absent && there.is_some(),
                })
            };
            // Asked first without the lock, to spare those who lost a race the wait for the disk.
            if refused()? {
                return Ok(None);
            }
            let first = serde_json::to_vec(&header)?;
            let temporary = folder.write_temporary(&[&first, b"\n", &content])?;
            let moved = folder.locked(|| {
                if refused()? {
                    return Ok(false);
                }
                folder.put_in_place(&temporary, &path).map(|()| true)
            });
            if !matches!(moved, Ok(true)) {
                absent_is_fine(fs::remove_file(&temporary))?;
            }
            Ok(moved?.then_some(header.etag))
        })
        .await
    }

    pub async fn get(&self, key: &str) -> Result<Option<(Bytes, String)>, StoreError> {
        self.run("read", key, |_, path| {
            let Some((mut file, head)) = open_object(&path)? else { return Ok(None) };
            let mut content = Vec::new();
            file.read_to_end(&mut content)?;
            Ok(Some((content.into(), head.etag)))
        })
        .await
    }

    pub async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.run("read", key, move |_, path| {
            let (mut file, _) = open_object(&path)?.ok_or(io::ErrorKind::NotFound)?;
            file.seek_relative(i64::try_from(range.start).map_err(io::Error::other)?)?;
            let mut content = Vec::new();
            file.take(range.end.saturating_sub(range.start)).read_to_end(&mut content)?;
            Ok(content.into())
        })
        .await
    }

    pub async fn head(&self, key: &str) -> Result<Option<Head>, StoreError> {
        let name = key.to_owned();
        self.run("look at", key, |_, path| read_head(&path)).await.map(|head| {
            head.map(|mut head| {
                head.object.key = name;
                head
            })
        })
    }

    pub async fn list(&self, prefix: &str) -> Result<Vec<Object>, StoreError> {
        self.run("list", prefix, |folder, start| {
            let mut objects = Vec::new();
            let mut folders = vec![start];
            while let Some(path) = folders.pop() {
                for (name, is_folder) in entries(&path)? {
                    let path = path.join(name);
                    if is_folder {
                        folders.push(path);
                    } else if let (Some(head), Some(key)) = (read_head(&path)?, folder.key(&path)) {
                        objects.push(Object { key, ..head.object });
                    }
                }
            }
            Ok(objects)
        })
        .await
    }

    pub async fn folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.run("list", prefix, |folder, path| {
            let below = entries(&path)?.into_iter().filter(|(_, is_folder)| *is_folder);
            Ok(below.filter_map(|(name, _)| folder.key(&path.join(name))).collect())
        })
        .await
    }

    pub async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.run("delete", key, |folder, path| {
            folder.locked(|| {
                absent_is_fine(fs::remove_file(&path))?;
                // Containers have no empty folders either.
                let mut parent = path.parent();
                while let Some(above) = parent.filter(|p| *p != folder.root.as_path()) {
                    if fs::remove_dir(above).is_err() {
                        break;
                    }
                    parent = above.parent();
                }
                Ok(())
            })
        })
        .await
    }

    /// Gives an object another key; its time becomes that of the move.
    pub async fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let to = self.path("put aside", to)?;
        self.run("put aside", from, move |folder, path| {
            let now = folder.now()?;
            folder.locked(|| {
                let moved = File::options().write(true).open(&path).and_then(|file| {
                    file.set_modified(now)?;
                    fs::rename(&path, &to)?;
                    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
                });
                absent_is_fine(moved)
            })
        })
        .await
    }

    pub async fn copy_in(&self, file: &Path, key: &str) -> Result<(), StoreError> {
        let file = file.to_owned();
        self.run("write", key, move |folder, path| folder.copy(&file, &path)).await
    }

    pub async fn move_in(&self, file: &Path, key: &str) -> Result<(), StoreError> {
        let file = file.to_owned();
        self.run("write", key, move |folder, path| {
            File::open(&file)?.sync_all()?;
            match folder.locked(|| folder.put_in_place(&file, &path)) {
                // Another file system.
                Err(e) if e.kind() == io::ErrorKind::CrossesDevices => {
                    folder.copy(&file, &path)?;
                    fs::remove_file(&file)
                }
                moved => moved,
            }
        })
        .await
    }

    fn copy(&self, file: &Path, path: &Path) -> io::Result<()> {
        let temporary = self.temporary();
        let copied = fs::copy(file, &temporary).and_then(|_| {
            File::open(&temporary)?.sync_all()?;
            self.locked(|| self.put_in_place(&temporary, path))
        });
        if copied.is_err() {
            absent_is_fine(fs::remove_file(&temporary))?;
        }
        copied
    }

    fn temporary(&self) -> PathBuf {
        self.root.join(TEMPORARY).join(format!("{:032x}", fastrand::u128(..)))
    }

    fn write_temporary(&self, parts: &[&[u8]]) -> io::Result<PathBuf> {
        let path = self.temporary();
        let written = File::create_new(&path).and_then(|mut file| {
            parts.iter().try_for_each(|part| file.write_all(part))?;
            file.sync_all()
        });
        match written {
            Ok(()) => Ok(path),
            Err(e) => {
                absent_is_fine(fs::remove_file(&path))?;
                Err(e)
            }
        }
    }

    /// Under the lock, so that no folder is taken away between its making and its use.
    fn put_in_place(&self, temporary: &Path, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or(&self.root);
        let mut new = Vec::new();
        for above in folder.ancestors() {
            if above.exists() {
                new.push(above);
                break;
            }
            new.push(above);
        }
        fs::create_dir_all(folder)?;
        fs::rename(temporary, path)?;
        // A folder's name is durable once the folder above it is.
        new.into_iter().try_for_each(|folder| File::open(folder)?.sync_all())
    }

    /// Alone among all writers, of this process and of others.
    fn locked<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.root.join(LOCK);
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
        let begin = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if begin.elapsed() < LOCK_WAIT => {
                    std::thread::sleep(Duration::from_millis(fastrand::u64(1..5)));
                }
                Err(TryLockError::WouldBlock) => {
                    let text = format!("another process holds the lock file {} for long", path.display());
                    return Err(io::Error::new(io::ErrorKind::TimedOut, text));
                }
                Err(TryLockError::Error(e)) => return Err(e),
            }
        }
        // Closing the file gives the lock back.
        work()
    }

    /// The path of a key, if it stays inside and is none of our own files.
    fn path(&self, operation: &'static str, key: &str) -> Result<PathBuf, StoreError> {
        let bad = |part: &str| part.is_empty() || part.starts_with('.') || part.contains(['\0', '\\']);
        if !key.is_empty() && key.split('/').any(bad) {
            return Err(StoreError::failed(
                operation,
                key,
                "a part of the key is empty or begins with a dot",
            ));
        }
        Ok(if key.is_empty() { self.root.to_path_buf() } else { self.root.join(key) })
    }

    fn key(&self, path: &Path) -> Option<String> {
        path.strip_prefix(self.root.as_path()).ok()?.to_str().map(str::to_owned)
    }

    /// Runs on a thread that may wait for the disk.
    async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        key: &str,
        work: impl FnOnce(&Folder, PathBuf) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let path = self.path(operation, key)?;
        let shown = path.display().to_string();
        let folder = self.clone();
        match tokio::task::spawn_blocking(move || work(&folder, path)).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(e)) => Err(StoreError::failed(operation, shown, e)),
            Err(e) => Err(StoreError::failed(operation, shown, e)),
        }
    }
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// What a folder holds, without our own files; a folder that is not there holds nothing.
fn entries(path: &Path) -> io::Result<Vec<(String, bool)>> {
    let found = match fs::read_dir(path) {
        Ok(found) => found,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(e) => return Err(e),
    };
    let mut entries = Vec::new();
    for entry in found {
        let entry = entry?;
        match (entry.file_name().into_string(), entry.file_type()) {
            (Ok(name), Ok(kind)) if !name.starts_with('.') => entries.push((name, kind.is_dir())),
            _ => {}
        }
    }
    Ok(entries)
}

fn read_head(path: &Path) -> io::Result<Option<Head>> {
    Ok(open_object(path)?.map(|(_, head)| head))
}

/// Opens an object, at the beginning of its content. The key in the head is left empty.
fn open_object(path: &Path) -> io::Result<Option<(BufReader<File>, Head)>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(e) => return Err(e),
    };
    let about = file.metadata()?;
    if about.is_dir() {
        return Ok(None);
    }
    let since = about.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let modified = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
    let object = |bytes| Object { key: String::new(), bytes, modified };

    let mut reader = BufReader::new(file);
    if reader.fill_buf()?.starts_with(MAGIC) {
        let mut first = Vec::new();
        (&mut reader).take(MAX_HEADER).read_until(b'\n', &mut first)?;
        let header: Header = serde_json::from_slice(&first).map_err(|e| {
            io::Error::new(io::ErrorKind::InvalidData, format!("its first line is damaged: {e}"))
        })?;
        let bytes = about.len().saturating_sub(first.len() as u64);
        let head = Head { object: object(bytes), etag: header.etag, metadata: header.metadata };
        return Ok(Some((reader, head)));
    }
    let etag = format!("{:x}-{:x}-{:x}", about.ino(), since.as_nanos(), about.len());
    let head = Head { object: object(about.len()), etag, metadata: Metadata::new() };
    Ok(Some((reader, head)))
}
