//! What the tasks of one source have in common.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::budget::Budget;
use super::config::Timing;
use super::health::Health;
use super::link::Link;
use super::management::Management;
use crate::checkpoint::Checkpoints;
use crate::checkpoint::Lease;
use crate::event::Clock;
use crate::event::Partition;
use crate::event::Span;
use crate::source::Commit;
use crate::source::Incoming;
use crate::source::SourceError;
use crate::telemetry::Metrics;

pub(super) struct Shared {
    pub(super) link: Arc<Link>,
    pub(super) management: Management,
    pub(super) checkpoints: Checkpoints,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Clock,
    pub(super) budget: Budget,
    pub(super) health: Arc<Health>,
    pub(super) held: Held,
    pub(super) partitions: Mutex<Vec<Partition>>,
    pub(super) out: mpsc::Sender<Result<Incoming, SourceError>>,
    /// Messages came once, or none were there: what the service refuses now is worth waiting for.
    pub(super) proven: AtomicBool,
    pub(super) closing: CancellationToken,
}

impl Shared {
    pub(super) fn timing(&self) -> &Timing {
        &self.link.config.timing
    }

    /// For one operation of the checkpoint store: a lease must not run out behind one that hangs.
    pub(super) fn store_patience(&self) -> Duration {
        self.timing().patience.min(self.link.config.lease / 3)
    }

    pub(super) fn all_partitions(&self) -> Vec<Partition> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The leases this replica holds, by what it knows without asking.
#[derive(Debug, Default)]
pub(super) struct Held(Mutex<HashMap<Partition, Holding>>);

#[derive(Debug, Clone)]
pub(super) struct Holding {
    pub(super) lease: Lease,
    /// When it was asked for, last; a lease counts from there.
    pub(super) asked: Instant,
    pub(super) until: Instant,
}

impl Held {
    pub(super) fn set(&self, partition: &Partition, holding: Holding) {
        self.lock().insert(Partition::clone(partition), holding);
    }

    pub(super) fn get(&self, partition: &Partition) -> Option<Holding> {
        self.lock().get(partition).cloned()
    }

    pub(super) fn remove(&self, partition: &Partition) -> Option<Holding> {
        self.lock().remove(partition)
    }

    pub(super) fn drain(&self) -> Vec<Lease> {
        self.lock().drain().map(|(_, holding)| holding.lease).collect()
    }

    fn holds(&self, partition: &Partition) -> bool {
        self.lock().get(partition).is_some_and(|holding| holding.until > Instant::now())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Partition, Holding>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes positions of partitions whose lease is ours.
pub(super) struct Commits(pub(super) Arc<Shared>);

#[async_trait]
impl Commit for Commits {
    async fn commit(&self, span: &Span) -> Result<bool, SourceError> {
        let Self(shared) = self;
        if !shared.held.holds(&span.partition) {
            return Ok(false);
        }
        let partition = &span.partition;
        let patience = shared.timing().patience;
        match timeout(patience, shared.checkpoints.write_position(partition, &span.last)).await {
            Ok(Ok(())) => Ok(true),
            Ok(Err(error)) => {
                Err(SourceError(format!("writing the position of partition {partition}: {error}")))
            }
            Err(_) => Err(SourceError(format!(
                "writing the position of partition {partition}: no answer in {patience:?}"
            ))),
        }
    }
}
