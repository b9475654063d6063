//! The operator's door to a running service: the same operations on the outbox over a unix socket in
//! the state folder, one JSON object a line.
//!
//! The service alone has the database open, so `aksentry outbox` asks it here and opens the file itself
//! only where nobody answers. One request a connection; the answer is any number of `alert` lines and
//! one `done` or `error` line. Who may use it is who may open the state folder.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream as Stream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use super::{Listed, Outbox, OutboxError, Place, Which};

/// Name of the socket in the state folder.
pub const SOCKET: &str = "control.sock";

/// Alerts read at once for a listing.
const PAGE: usize = 500;
/// A request is a few words and ids.
const MAX_REQUEST: u64 = 1 << 20;
/// Operators at the same time.
const MAX_CONNECTIONS: usize = 4;
/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is asked of the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    List { sink: Option<String> },
    Retry { sink: Option<String>, which: Which },
    Drop { sink: Option<String>, which: Which },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Alert(Listed),
    Done(u64),
    Error(String),
}

/// A request that did not come about.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens there.
    #[error("no aksentry answers at {}", path.display())]
    NotRunning { path: PathBuf },
    #[error("asking the aksentry at {}: {cause}", path.display())]
    Io { path: PathBuf, cause: io::Error },
    /// What the service says of it.
    #[error("{0}")]
    Refused(String),
    /// What the caller does with the alerts has failed.
    #[error("showing alerts: {0}")]
    Shown(io::Error),
}

/// Does on an outbox what a request asks; alerts of a listing are handed to `each`. Returns how many
/// alerts it was about.
pub fn perform(
    outbox: &Outbox,
    request: &Request,
    now: i64,
    each: &mut dyn FnMut(Listed) -> io::Result<()>,
) -> Result<u64, ControlError> {
    let refused = |error: OutboxError| ControlError::Refused(error.to_string());
    match request {
        Request::List { sink } => {
            let (mut count, mut from): (u64, Option<Place>) = (0, None);
            loop {
                let (listed, next) = outbox.list(sink.as_deref(), from.as_ref(), PAGE).map_err(refused)?;
                for alert in listed {
                    count += 1;
                    each(alert).map_err(ControlError::Shown)?;
                }
                let Some(next) = next else { return Ok(count) };
                from = Some(next);
            }
        }
        Request::Retry { sink, which } => outbox.retry(sink.as_deref(), which).map_err(refused),
        Request::Drop { sink, which } => outbox.drop(sink.as_deref(), which, now).map_err(refused),
    }
}

/// Answers requests at a socket in the state folder until it is dropped. Without it the service goes
/// on, so that a folder that cannot hold a socket is logged and no error.
pub async fn serve(outbox: Outbox, state: &Path, clock: Arc<dyn Fn() -> i64 + Send + Sync>) {
    let path = state.join(SOCKET);
    let listener = match listen(&path) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(
                path = %path.display(), %error,
                "aksentry outbox will not work while this service runs: its socket cannot be made"
            );
            return std::future::pending().await;
        }
    };
    let _remove = Remove(path);
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (outbox, clock) = (outbox.clone(), Arc::clone(&clock));
                tokio::spawn(async move {
                    if let Err(error) = answer(outbox, stream, clock).await {
                        tracing::debug!(%error, "an operator's connection ended early");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                // Out of file descriptors, as a rule: that passes.
                tracing::warn!(%error, "accepting an operator's connection failed");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Takes the socket's file away when the service ends.
struct Remove(PathBuf);

impl Drop for Remove {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    // Whoever has the outbox open is alone in this folder: what is there was left by a crash.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn answer(
    outbox: Outbox,
    stream: UnixStream,
    clock: Arc<dyn Fn() -> i64 + Send + Sync>,
) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut read = tokio::io::BufReader::new(read.take(MAX_REQUEST));
    tokio::time::timeout(PATIENCE, read.read_line(&mut line)).await??;
    let (lines, mut answers) = tokio::sync::mpsc::channel(PAGE);
    let work = tokio::task::spawn_blocking(move || {
        let mut each = |alert| {
            let line = Line::Alert(alert);
            lines.blocking_send(line).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
        };
        let last = match serde_json::from_str::<Request>(&line) {
            Ok(request) => match perform(&outbox, &request, clock(), &mut each) {
                Ok(count) => Line::Done(count),
                Err(error) => Line::Error(error.to_string()),
            },
            Err(error) => Line::Error(format!(
                "the running service does not understand this request ({error}); use its own version of aksentry"
            )),
        };
        // Nobody waits for it any more: then it need not be said.
        let _ = lines.blocking_send(last);
    });
    let mut text = Vec::new();
    while let Some(line) = answers.recv().await {
        text.clear();
        serde_json::to_writer(&mut text, &line)?;
        text.push(b'\n');
        tokio::time::timeout(PATIENCE, write.write_all(&text)).await??;
    }
    work.await.map_err(io::Error::other)
}

/// Asks the service whose state folder this is; alerts of a listing are handed to `each`. Returns how
/// many alerts it was about.
pub fn ask(
    state: &Path,
    request: &Request,
    each: &mut dyn FnMut(Listed) -> io::Result<()>,
) -> Result<u64, ControlError> {
    let path = state.join(SOCKET);
    let io = |cause| ControlError::Io { path: path.clone(), cause };
    let mut stream = Stream::connect(&path).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::InvalidInput => {
            ControlError::NotRunning { path: path.clone() }
        }
        _ => io(cause),
    })?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(io)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(io)?;
    let mut text = serde_json::to_vec(request).map_err(|error| io(error.into()))?;
    text.push(b'\n');
    stream.write_all(&text).map_err(io)?;
    for line in BufReader::new(stream).lines() {
        match serde_json::from_str(&line.map_err(io)?).map_err(|error| io(error.into()))? {
            Line::Alert(alert) => each(alert).map_err(ControlError::Shown)?,
            Line::Done(count) => return Ok(count),
            Line::Error(text) => return Err(ControlError::Refused(text)),
        }
    }
    Err(io(io::Error::from(io::ErrorKind::UnexpectedEof)))
}
