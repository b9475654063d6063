//! A file of NDJSON, one alert a line; `-` is standard output. An alert counts as delivered when its line is
//! on the disk. The file is opened by its name for each batch, so that it may be rotated at any time: moved
//! away, or copied and truncated. Rotation itself is left to others.

use std::fs::{File, OpenOptions};
use std::io;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::{Outcome, Portion, Sink};
use crate::alert::Alert;

/// A disk that takes longer has lost its server, or nobody reads the pipe.
const LONGEST_WRITE: Duration = Duration::from_secs(30);

/// Appends alerts to a file, or prints them.
pub struct AlertFile {
    name: String,
    place: Place,
    /// Held by the thread that writes: one that hangs must not be joined by more.
    writing: Arc<Mutex<()>>,
    longest: Duration,
}

#[derive(Debug, Clone)]
enum Place {
    Stdout,
    File(PathBuf),
}

impl AlertFile {
    pub fn new(name: impl Into<String>, path: &Path) -> Self {
        let place = if path.as_os_str() == "-" { Place::Stdout } else { Place::File(path.to_owned()) };
        Self { name: name.into(), place, writing: Arc::default(), longest: LONGEST_WRITE }
    }

    /// The same, but no write may take longer than this.
    pub fn with_longest_write(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    /// Does `work` on a thread that may block, one at a time.
    async fn blocking(
        &self,
        work: impl FnOnce(&Place) -> io::Result<()> + Send + 'static,
    ) -> Result<(), String> {
        let place = self.place.clone();
        let writing = Arc::clone(&self.writing);
        let task = async {
            let guard = writing.lock_owned().await;
            tokio::task::spawn_blocking(move || {
                let done = work(&place);
                drop(guard);
                done
            })
            .await
        };
        match timeout(self.longest, task).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => Err(self.place.reason(&error)),
            Ok(Err(error)) => Err(format!("writing to {} was given up: {error}", self.place)),
            Err(_) => Err(format!(
                "writing to {} did not end within {} s: check the disk, or who reads the pipe",
                self.place,
                self.longest.as_secs_f32()
            )),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stdout => f.write_str("standard output"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl Place {
    fn write(&self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(lines)?;
                out.flush()
            }
            Self::File(path) => append(path, lines),
        }
    }

    fn reason(&self, error: &io::Error) -> String {
        let advice = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; make room on the disk",
            io::ErrorKind::PermissionDenied => {
                "; the account of the service must be allowed to read and write it"
            }
            io::ErrorKind::ReadOnlyFilesystem => "; mount it for writing, or choose another path",
            io::ErrorKind::BrokenPipe => "; nobody reads the alerts any more, a restart sends them again",
            _ => "",
        };
        format!("cannot write to {self}: {error}{advice}")
    }
}

/// Appends whole lines and waits until they are on the disk. All of them or, as far as we can, none.
fn append(path: &Path, lines: &[u8]) -> io::Result<()> {
    let (mut file, is_new) = open(path)?;
    let before = file.metadata()?;
    if !before.is_file() {
        // A pipe or a device has neither an end nor a disk.
        return file.write_all(lines);
    }
    let lines = if ends_amid_a_line(&mut file, before.len())? {
        // Somebody died while writing it; the next line must not be glued to what there is.
        &[b"\n", lines].concat()
    } else {
        lines
    };
    let mut written = 0;
    if let Err(error) = write_counted(&mut file, lines, &mut written).and_then(|()| file.sync_data()) {
        // Half a line would be read as damage. What somebody else appended meanwhile is not ours to cut.
        let end = before.len() + written as u64;
        if written < lines.len() && file.metadata().is_ok_and(|now| now.len() == end) {
            let _ = file.set_len(before.len());
        }
        return Err(error);
    }
    if is_new && let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        // The name must outlive a crash as the lines do.
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Like `write_all`, which does not tell how far it came.
fn write_counted(file: &mut impl Write, lines: &[u8], written: &mut usize) -> io::Result<()> {
    while let Some(rest) = lines.get(*written..).filter(|rest| !rest.is_empty()) {
        match file.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(more) => *written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The file by its name, made with its folder if there is none, and whether it was made.
fn open(path: &Path) -> io::Result<(File, bool)> {
    let mut options = OpenOptions::new();
    options.append(true);
    match std::fs::metadata(path) {
        // A pipe that we read ourselves would never say that nobody else does.
        Ok(there) => Ok((options.read(there.is_file()).open(path)?, false)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            Ok((options.read(true).create(true).open(path)?, true))
        }
        Err(error) => Err(error),
    }
}

fn ends_amid_a_line(file: &mut File, len: u64) -> io::Result<bool> {
    if len == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::Start(len - 1))?;
    let mut last = [0];
    // Nothing to read: it was truncated just now.
    Ok(file.read(&mut last)? == 1 && last != *b"\n")
}

#[async_trait]
impl Sink for AlertFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn portion(&self) -> Portion {
        Portion { max_alerts: 1000, linger: Duration::ZERO }
    }

    async fn send(&self, alerts: &[Alert]) -> Vec<Outcome> {
        let mut lines = Vec::new();
        let written: Vec<Result<(), String>> = alerts
            .iter()
            .map(|alert| {
                let line =
                    serde_json::to_vec(alert).map_err(|error| format!("cannot write it as JSON: {error}"))?;
                lines.extend_from_slice(&line);
                lines.push(b'\n');
                Ok(())
            })
            .collect();
        let done = match lines.is_empty() {
            true => Ok(()),
            false => self.blocking(move |place| place.write(&lines)).await,
        };
        let outcome = match done {
            Ok(()) => Outcome::Delivered,
            Err(reason) => Outcome::Retry { reason, after: None },
        };
        let outcome_of = |written| match written {
            Ok(()) => outcome.clone(),
            Err(reason) => Outcome::Refused { reason },
        };
        written.into_iter().map(outcome_of).collect()
    }

    async fn probe(&self) -> Result<String, String> {
        self.blocking(|place| match place {
            Place::Stdout => Ok(()),
            Place::File(path) => open(path).map(drop),
        })
        .await?;
        Ok(format!("{} can be written", self.place))
    }
}
