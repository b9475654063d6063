//! The outbox: every alert is durable on local disk before the hub's position is committed, with the
//! state of its delivery to each sink; and the dead letters, where goes what cannot be delivered.
//!
//! An alert leaves only when each of its sinks acknowledged it or it was moved to dead letters with the
//! reason. Its id is remembered, so that an alert raised again by redelivered messages is put once. One
//! process owns the files. When to send and how often to try is the delivery's.

pub mod control;
pub mod dead_letters;
mod error;
mod file;
mod operate;
mod put;
mod queue;
mod tables;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redb::ReadableTable;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::alert::Severity;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::Sink;

use dead_letters::DeadLetters;
use file::{DatabaseFile, Fault};
use tables::Tables;

pub use dead_letters::DeadLettersError;
pub use error::OutboxError;
pub use operate::{Listed, Place, Waiting, Which};
pub use queue::{Entry, Settled};
pub use tables::Key;

/// Name of the database in the state folder.
pub const FILE: &str = "outbox.redb";
/// Name of the folder of dead letters in the state folder.
pub const DEAD_LETTERS: &str = "dead-letters";

/// Below this part of the cap there is room again.
const ROOM_AGAIN: u64 = 9;

/// How much is kept, and for how long.
#[derive(Debug, Clone)]
pub struct Config {
    /// Of the file, for alerts not delivered yet. The ids remembered may take a quarter of it beside that.
    pub max_bytes: u64,
    /// How long an id is remembered: longer than the hub keeps messages.
    pub remember: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_bytes: 1 << 30, remember: Duration::from_secs(8 * 86_400) }
    }
}

/// Which alerts a sink gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkRoute {
    pub name: String,
    pub min_severity: Severity,
}

/// The outbox of this process; cheap to clone. Its calls wait for the disk.
#[derive(Debug, Clone)]
pub struct Outbox {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: DatabaseFile,
    config: Config,
    routes: Vec<SinkRoute>,
    signals: BTreeMap<String, Signal>,
    dead: DeadLetters,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
    full: AtomicBool,
}

/// What the worker of a sink waits for.
#[derive(Debug, Default)]
struct Signal {
    changed: Notify,
    /// The operator wants a try now.
    hurry: AtomicBool,
}

/// What is not worth keeping over a restart, or is counted from the file at the start.
#[derive(Debug, Default)]
struct State {
    /// Not to be tried before. Measured on the monotonic clock: after a restart all are due at once.
    not_before: HashMap<String, HashMap<Key, Instant>>,
    depth: HashMap<String, u64>,
    bytes: u64,
    /// Where forgetting goes on: what lies before is still waiting for a sink.
    prune_from: u64,
}

/// How full the outbox is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Bytes that alerts not delivered yet take of the file.
    pub bytes: u64,
    pub max_bytes: u64,
    /// Length of the file, which has holes and does not shrink at once.
    pub file_bytes: u64,
}

impl Outbox {
    /// Opens the outbox of a state folder for the configured sinks, making what is missing.
    pub fn open(
        state: &Path,
        config: Config,
        sinks: &[SinkRoute],
        dead: DeadLetters,
        metrics: Arc<Metrics>,
    ) -> Result<Self, OutboxError> {
        let path = state.join(FILE);
        let make = |cause| OutboxError::Open { path: path.clone(), cause };
        error::make_folder(state).map_err(make)?;
        let file = DatabaseFile::open(&path, true)?;
        // The name of a new file is to survive a power cut as its content does.
        std::fs::File::open(state).and_then(|folder| folder.sync_all()).map_err(make)?;
        file.with("opening", |database| {
            let transaction = database.begin_write()?;
            {
                let mut tables = Tables::of(&transaction)?;
                tables.check_format()?;
                tables.routes.retain(|_, _| false)?;
                for sink in sinks {
                    tables.routes.insert(sink.name.as_str(), sink.min_severity.as_str())?;
                }
            }
            Ok(transaction.commit()?)
        })?;
        let outbox = Self::over(file, config, sinks.to_vec(), dead, metrics)?;
        outbox.report_orphans();
        Ok(outbox)
    }

    /// Opens an outbox as its service has left it, for the operator; there must be one.
    pub fn open_left(state: &Path, dead: DeadLetters, metrics: Arc<Metrics>) -> Result<Self, OutboxError> {
        let file = DatabaseFile::open(&state.join(FILE), false)?;
        let routes = file.with("opening", |database| {
            let transaction = database.begin_write()?;
            let mut routes = Vec::new();
            {
                let mut tables = Tables::of(&transaction)?;
                tables.check_format()?;
                for row in tables.routes.iter()? {
                    let (name, severity) = row?;
                    let min_severity = severity.value().parse().unwrap_or(Severity::Informational);
                    routes.push(SinkRoute { name: name.value().to_owned(), min_severity });
                }
            }
            transaction.commit()?;
            Ok(routes)
        })?;
        Self::over(file, Config::default(), routes, dead, metrics)
    }

    fn over(
        file: DatabaseFile,
        config: Config,
        routes: Vec<SinkRoute>,
        dead: DeadLetters,
        metrics: Arc<Metrics>,
    ) -> Result<Self, OutboxError> {
        let signals = routes.iter().map(|route| (route.name.clone(), Signal::default())).collect();
        let (full, state) = (AtomicBool::new(false), Mutex::default());
        let outbox =
            Self { inner: Arc::new(Inner { file, config, routes, signals, dead, metrics, state, full }) };
        outbox.count()?;
        outbox.show();
        Ok(outbox)
    }

    /// One operation that reads the database.
    fn read<T>(&self, work: impl FnOnce(&redb::Database) -> Result<T, Fault>) -> Result<T, OutboxError> {
        self.reopen()?;
        self.inner.file.with("reading", work)
    }

    /// One operation that changes the database.
    fn write<T>(&self, work: impl FnOnce(&redb::Database) -> Result<T, Fault>) -> Result<T, OutboxError> {
        let _turn = self.inner.file.turn();
        self.reopen()?;
        self.inner.file.with("writing to", work)
    }

    /// Opens the database again if a fault has closed it. What is kept in memory is counted anew then: what
    /// the fault interrupted may have been written or not.
    fn reopen(&self) -> Result<(), OutboxError> {
        if self.inner.file.reopen()? {
            self.count()?;
            self.inner.signals.keys().for_each(|sink| self.wake(sink));
        }
        Ok(())
    }

    fn count(&self) -> Result<(), OutboxError> {
        let (mut depth, bytes) = self.inner.file.with("reading", |database| {
            let transaction = database.begin_read()?;
            let queue = transaction.open_table(tables::QUEUE)?;
            let mut depth = HashMap::new();
            for sink in tables::sinks(&queue)? {
                let rows = queue.range((sink.as_str(), 0, 0)..=(sink.as_str(), u8::MAX, u64::MAX))?;
                let rows = rows.count() as u64;
                depth.insert(sink, rows);
            }
            let numbers = transaction.open_table(tables::NUMBERS)?;
            let bytes = numbers.get(tables::BYTES)?.map_or(0, |value| value.value());
            Ok((depth, bytes))
        })?;
        for route in &self.inner.routes {
            depth.entry(route.name.clone()).or_default();
        }
        let mut state = self.state();
        (state.depth, state.bytes) = (depth, bytes);
        Ok(())
    }

    fn report_orphans(&self) {
        for (sink, depth) in &self.state().depth {
            if *depth > 0 && !self.inner.signals.contains_key(sink) {
                tracing::warn!(
                    sink,
                    alerts = depth,
                    "alerts wait for a sink that is not configured any more; configure it again, or drop them with: aksentry outbox drop --all --sink {sink}"
                );
            }
        }
    }

    /// Whether alerts had to be moved to dead letters for want of room and there is still hardly any.
    pub fn full(&self) -> bool {
        let bytes = self.state().bytes;
        if bytes < self.inner.config.max_bytes / 10 * ROOM_AGAIN {
            self.inner.full.store(false, Ordering::Relaxed);
        }
        self.inner.full.load(Ordering::Relaxed)
    }

    /// How full the outbox is.
    pub fn usage(&self) -> Usage {
        let bytes = self.state().bytes;
        Usage { bytes, max_bytes: self.inner.config.max_bytes, file_bytes: self.inner.file.bytes() }
    }

    /// How many alerts wait for a sink.
    pub fn depth(&self, sink: &str) -> u64 {
        self.state().depth.get(sink).copied().unwrap_or(0)
    }

    /// The dead letters that refused alerts go to.
    pub fn dead_letters(&self) -> &DeadLetters {
        &self.inner.dead
    }

    /// Waits until alerts were put for a sink or the operator wants a try; remembers one such event.
    pub async fn changed(&self, sink: &str) {
        match self.inner.signals.get(sink) {
            Some(signal) => signal.changed.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Whether the operator has asked for a try of this sink since the last call.
    pub fn take_hurry(&self, sink: &str) -> bool {
        self.inner.signals.get(sink).is_some_and(|signal| signal.hurry.swap(false, Ordering::AcqRel))
    }

    fn wake(&self, sink: &str) {
        if let Some(signal) = self.inner.signals.get(sink) {
            signal.changed.notify_one();
        }
    }

    /// Sets the gauges that change with time; to be called every few seconds.
    pub fn observe(&self, now: i64) -> Result<(), OutboxError> {
        for (sink, put_at) in self.oldest()? {
            let age = put_at.map_or(0, |put_at| now.saturating_sub(put_at).max(0));
            let gauge = self.inner.metrics.outbox_oldest_seconds.get_or_create_owned(&Sink { sink });
            gauge.set(Duration::from_micros(age.unsigned_abs()).as_secs_f64());
        }
        Ok(())
    }

    /// Sets the gauges that change with what is kept.
    fn show(&self) {
        let metrics = &self.inner.metrics;
        for (sink, depth) in &self.state().depth {
            let label = Sink { sink: sink.clone() };
            metrics.outbox_alerts.get_or_create(&label).set(i64::try_from(*depth).unwrap_or(i64::MAX));
        }
        metrics.outbox_bytes.set(i64::try_from(self.inner.file.bytes()).unwrap_or(i64::MAX));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Plain numbers and maps: usable whatever happened to another thread.
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
