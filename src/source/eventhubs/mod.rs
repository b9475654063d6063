//! Azure Event Hubs: partitions shared between replicas, receivers with a recovery of their own.
//!
//! ```text
//! ownership ── leases in the checkpoint store ── starts and stops ──→ reader (one a partition) ──→ next()
//!                                                                      ↑ reopen, lag
//!                                               monitor ── $management ┘
//! ```
//!
//! Nothing is skipped and nothing repeated by a connection that breaks; a partition that changes its reader
//! goes on at the last commit. Sequence numbers are the order. The pipeline is left to slow reading down by
//! keeping [`crate::source::Received::room`].

mod budget;
mod config;
mod fault;
mod gather;
mod health;
mod lease;
mod link;
mod management;
mod monitor;
mod ownership;
mod reader;
mod shared;
mod shares;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::budget::Budget;
use self::config::Backoff;
use self::link::Link;
use self::management::Management;
use self::ownership::Ownership;
use self::shared::Commits;
use self::shared::Held;
use self::shared::Shared;
use super::Commit;
use super::Incoming;
use super::Source;
use super::SourceError;
use crate::checkpoint::Checkpoints;
use crate::event::{Clock, Partition};
use crate::telemetry::Metrics;
use crate::telemetry::metrics;

pub use config::{Config, Start, Timing, Transport};
pub use health::{Health, PartitionHealth};

/// Batches between the readers and the pipeline. Few: while they wait, the next ones grow.
const WAITING: usize = 8;
/// For everything to stop and to be given back.
const FAREWELL: Duration = Duration::from_secs(4);

/// An event hub being read.
pub struct EventHubs {
    shared: Arc<Shared>,
    incoming: mpsc::Receiver<Result<Incoming, SourceError>>,
    ownership: Option<JoinHandle<()>>,
    /// The last sequence number of each partition that the pipeline took: what is behind it waits.
    taken: BTreeMap<Partition, i64>,
}

impl EventHubs {
    /// Connects, and begins to take partitions. Waits, with a log, for a hub that is away.
    ///
    /// # Errors
    ///
    /// What no waiting cures: a hub that does not exist, a sign-in that is refused, a host with no address.
    pub async fn open(
        config: Config,
        checkpoints: Checkpoints,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Result<Self, SourceError> {
        let budget = Budget::new(config.prefetch_bytes);
        let health = Arc::new(Health::new(config.timing.stall));
        let link = Arc::new(Link::open(config).await?);
        tracing::info!(
            namespace = link.config.namespace,
            hub = link.config.hub,
            sign_in = link.who(),
            "connecting to the event hub"
        );
        let management = Management::new(Arc::clone(&link));
        let partitions = first_partitions(&link, &management).await?;
        let (out, incoming) = mpsc::channel(WAITING);
        // Cannot be full or closed yet.
        let _ = out.try_send(Ok(Incoming::Partitions(partitions.clone())));
        let shared = Arc::new(Shared {
            link,
            management,
            checkpoints,
            metrics,
            clock,
            budget,
            health,
            held: Held::default(),
            partitions: Mutex::new(partitions),
            out,
            proven: AtomicBool::new(false),
            closing: CancellationToken::new(),
        });
        tokio::spawn(monitor::watch(Arc::clone(&shared)));
        let ownership = tokio::spawn(Ownership::new(Arc::clone(&shared)).run());
        Ok(Self { shared, incoming, ownership: Some(ownership), taken: BTreeMap::new() })
    }

    /// Asks the hub what it has, and takes nothing; how many partitions there are.
    pub async fn probe(config: Config) -> Result<usize, SourceError> {
        let link = Arc::new(Link::open(config).await?);
        let partitions = Management::new(link).partitions().await;
        Ok(partitions.map_err(|fault| SourceError(fault.text().to_owned()))?.len())
    }

    /// How each partition is doing; good for as long as anybody asks.
    pub fn health(&self) -> Arc<Health> {
        Arc::clone(&self.shared.health)
    }
}

async fn first_partitions(link: &Link, management: &Management) -> Result<Vec<Partition>, SourceError> {
    let config = &link.config;
    let mut backoff = Backoff::new(&config.timing);
    loop {
        match management.partitions().await {
            Ok(partitions) => {
                tracing::info!(partitions = partitions.len(), "connected to the event hub");
                return Ok(partitions);
            }
            Err(fault) if fault.is_permanent() => return Err(SourceError(fault.text().to_owned())),
            Err(fault) => {
                let retry = backoff.delay();
                tracing::warn!(
                    namespace = config.namespace,
                    hub = config.hub,
                    endpoint = config.endpoint.as_deref(),
                    error = fault.text(),
                    ?retry,
                    "the event hub cannot be reached yet"
                );
                sleep(retry).await;
            }
        }
    }
}

#[async_trait]
impl Source for EventHubs {
    async fn next(&mut self) -> Result<Option<Incoming>, SourceError> {
        let incoming = self.incoming.recv().await.transpose();
        match &incoming {
            Ok(Some(Incoming::Messages(received))) => {
                let span = &received.span;
                self.taken.insert(Partition::clone(&span.partition), span.last.sequence);
            }
            Ok(Some(Incoming::Lost(partition))) => {
                self.taken.remove(partition);
            }
            _ => {}
        }
        let queue = metrics::Queue { queue: "source" };
        let taken = i64::try_from(self.shared.budget.taken()).unwrap_or(i64::MAX);
        self.shared.metrics.queue_bytes.get_or_create(&queue).set(taken);
        incoming
    }

    fn is_idle(&self, partition: &str) -> bool {
        self.shared.health.is_idle(partition, self.taken.get(partition).copied())
    }

    fn trouble(&self) -> Option<String> {
        self.shared.health.trouble()
    }

    fn commits(&self) -> Arc<dyn Commit> {
        Arc::new(Commits(Arc::clone(&self.shared)))
    }

    async fn close(mut self: Box<Self>) {
        self.shared.closing.cancel();
        if let Some(ownership) = self.ownership.take()
            && timeout(FAREWELL, ownership).await.is_err()
        {
            tracing::warn!("the event hub was left without saying goodbye");
        }
    }
}

impl Drop for EventHubs {
    fn drop(&mut self) {
        self.shared.closing.cancel();
    }
}
