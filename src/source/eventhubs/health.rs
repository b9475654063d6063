//! How each partition is doing, for readiness and metrics. A reader notes what it gets and since when it
//! waits; the monitor compares that with what the hub has and says what is stalled.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::event::Partition;

/// A partition that this replica reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionHealth {
    pub partition: Partition,
    /// When messages came last, microseconds since the epoch.
    pub received: Option<i64>,
    /// Messages of the hub that were not taken, when that was last looked at.
    pub lag: Option<i64>,
    /// The hub has messages and none come.
    pub stalled: bool,
    /// How long there has been no working connection.
    pub disconnected: Option<Duration>,
}

/// The partitions this replica reads; shared by everything that wants to know.
#[derive(Debug, Default)]
pub struct Health {
    partitions: Mutex<BTreeMap<Partition, Arc<Progress>>>,
    /// A connection that is away for longer is trouble.
    patience: Duration,
}

impl Health {
    pub(super) fn new(patience: Duration) -> Self {
        Self { partitions: Mutex::default(), patience }
    }

    /// All partitions this replica reads, in order of their names.
    pub fn partitions(&self) -> Vec<PartitionHealth> {
        self.all().iter().map(|(partition, progress)| progress.health(partition)).collect()
    }

    /// What is wrong, for a person; `None` where nothing is.
    pub fn trouble(&self) -> Option<String> {
        let mut parts = Vec::new();
        for health in self.partitions() {
            let name = &health.partition;
            match (health.stalled, health.disconnected) {
                (true, _) => parts.push(format!("partition {name} is stalled")),
                (false, Some(since)) if since > self.patience => {
                    parts.push(format!("partition {name} is disconnected for {} s", since.as_secs()));
                }
                _ => {}
            }
        }
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// Whether the hub said, after the last message, that there are no more, and the pipeline took all:
    /// `taken` is the last sequence number that it took.
    pub(super) fn is_idle(&self, partition: &str, taken: Option<i64>) -> bool {
        let partitions = self.lock();
        let state = partitions.get(partition).map(|progress| progress.state());
        state.is_some_and(|state| state.idle && (state.handed.is_none() || state.handed <= taken))
    }

    pub(super) fn add(&self, partition: &Partition) -> Arc<Progress> {
        let progress = Arc::new(Progress::default());
        self.lock().insert(Arc::clone(partition), Arc::clone(&progress));
        progress
    }

    pub(super) fn remove(&self, partition: &Partition) {
        self.lock().remove(partition);
    }

    pub(super) fn all(&self) -> Vec<(Partition, Arc<Progress>)> {
        let partitions = self.lock();
        partitions.iter().map(|(name, progress)| (Arc::clone(name), Arc::clone(progress))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Partition, Arc<Progress>>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a reader and the monitor tell each other of one partition.
#[derive(Debug, Default)]
pub(super) struct Progress {
    state: Mutex<State>,
    /// The monitor to the reader: this link is dead.
    pub(super) reopen: Notify,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct State {
    /// Where the reader is: everything up to here was handed on or is done. `None`: not known, where
    /// reading began at a time.
    pub(super) seen: Option<i64>,
    /// The last message that this reader handed on. It may still wait to be taken.
    pub(super) handed: Option<i64>,
    /// Since when nothing came although the reader wanted more. `None` while it hands on.
    pub(super) waiting: Option<Instant>,
    pub(super) received: Option<i64>,
    pub(super) lag: Option<i64>,
    pub(super) stalled: bool,
    /// The hub was asked after the last message and has nothing newer.
    pub(super) idle: bool,
    pub(super) disconnected: Option<Instant>,
}

impl Progress {
    pub(super) fn state(&self) -> State {
        *self.lock()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
    }

    fn health(&self, partition: &Partition) -> PartitionHealth {
        let state = self.state();
        PartitionHealth {
            partition: Arc::clone(partition),
            received: state.received,
            lag: state.lag,
            stalled: state.stalled,
            disconnected: state.disconnected.map(|since| since.elapsed()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
