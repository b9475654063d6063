//! Keeps leases, takes partitions and gives them up: one task, which starts and stops the readers. When the
//! store is away partitions are read on until their leases run out by our own clock, and then given up,
//! because somebody else may take them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream;
use tokio::task::AbortHandle;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::lease;
use super::reader::End;
use super::reader::Reader;
use super::shared::Holding;
use super::shared::Shared;
use super::shares::Board;
use super::shares::Claim;
use super::shares::Why;
use crate::event::Partition;

/// Requests to the store under way at once.
const AT_ONCE: usize = 8;
const QUICKEST: Duration = Duration::from_secs(1);
/// For readers to stop, and then for leases to be given back.
const FAREWELL: Duration = Duration::from_millis(1500);

pub(super) struct Ownership {
    shared: Arc<Shared>,
    board: Board,
    running: HashMap<Partition, Running>,
    readers: JoinSet<(Partition, End)>,
    /// Taken away by a receiver that holds no lease of ours: not fought for at once.
    contested: HashMap<Partition, Instant>,
}

/// A reader at work.
struct Running {
    stop: CancellationToken,
    task: AbortHandle,
}

impl Ownership {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let config = &shared.link.config;
        let board = Board::new(&config.replica, config.lease);
        Self { board, running: HashMap::new(), readers: JoinSet::new(), contested: HashMap::new(), shared }
    }

    /// Until the source is closed; then everything is given back.
    pub(super) async fn run(mut self) {
        let closing = self.shared.closing.clone();
        let lease = self.shared.link.config.lease;
        loop {
            let restless = tokio::select! {
                biased;
                () = closing.cancelled() => break,
                restless = self.round() => restless,
            };
            // Replicas that started together need not meet in the store each time.
            let pause = if restless { (lease / 10).min(QUICKEST) } else { lease / 3 };
            tokio::select! {
                () = closing.cancelled() => break,
                () = sleep(pause.mul_f64(0.8 + fastrand::f64() / 5.0)) => {}
                Some(ended) = self.readers.join_next() => self.ended(ended.ok()),
            }
        }
        self.close().await;
    }

    /// Renews, looks around, takes. Whether another round is worth it soon.
    async fn round(&mut self) -> bool {
        while let Some(ended) = self.readers.try_join_next() {
            self.ended(ended.ok());
        }
        self.renew().await;
        let patience = self.shared.store_patience();
        let leases = match timeout(patience, self.shared.checkpoints.leases()).await {
            Ok(Ok(leases)) => leases,
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot see who reads what: no partition is taken");
                return true;
            }
            Err(_) => {
                tracing::warn!(?patience, "cannot see who reads what, no answer: no partition is taken");
                return true;
            }
        };
        let now = Instant::now();
        self.board.observe(leases, now);
        let mine: Vec<Partition> = self.running.keys().cloned().collect();
        let mut claims = self.board.claims(&self.shared.all_partitions(), &mine, now);
        let rest = self.shared.link.config.lease / 3;
        self.contested.retain(|_, since| now.duration_since(*since) < rest);
        claims.retain(|claim| !self.contested.contains_key(&claim.partition));
        let restless = !claims.is_empty();
        let taken: Vec<_> = stream::iter(claims)
            .map(|claim| take(&self.shared, claim))
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        for (claim, holding) in taken.into_iter().flatten() {
            self.start(claim, holding);
        }
        restless
    }

    fn start(&mut self, claim: Claim, holding: Holding) {
        let partition = claim.partition;
        let from = claim.seen.map(|lease| lease.owner).unwrap_or_default();
        let why = match claim.why {
            Why::Ours => "it was ours",
            Why::Free => "nobody had it",
            Why::RunOut => "its owner is gone",
            Why::Share => "its owner has more than its share",
        };
        tracing::info!(%partition, owner = from, why, "taking a partition");
        self.shared.held.set(&partition, holding);
        let stop = CancellationToken::new();
        let reader = Reader::new(Arc::clone(&self.shared), Partition::clone(&partition));
        let (name, stopped) = (Partition::clone(&partition), stop.clone());
        let task = self.readers.spawn(async move { (name, reader.run(stopped).await) });
        self.running.insert(partition, Running { stop, task });
        self.count();
    }

    fn ended(&mut self, ended: Option<(Partition, End)>) {
        if let Some((partition, End::Stolen)) = &ended {
            self.contested.insert(Partition::clone(partition), Instant::now());
        }
        // Also of a reader that panicked, which cannot say which it was.
        let held = &self.shared.held;
        self.running.retain(|partition, running| {
            let gone =
                ended.as_ref().is_some_and(|(ended, _)| ended == partition) || running.task.is_finished();
            if gone {
                held.remove(partition);
            }
            !gone
        });
        self.count();
    }

    fn count(&self) {
        let count = self.running.len();
        self.shared.budget.readers(count);
        self.shared.metrics.partitions_owned.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    async fn renew(&self) {
        // Quick rounds in between leave leases alone that were renewed just now.
        let rest = self.shared.link.config.lease / 4;
        let due = self.running.iter().filter_map(|(partition, running)| {
            let holding = self.shared.held.get(partition)?;
            (holding.asked.elapsed() >= rest).then_some((partition, running, holding))
        });
        let shared = &self.shared;
        join_all(due.map(|(partition, running, holding)| async move {
            if !lease::renew(shared, partition, &holding).await {
                running.stop.cancel();
            }
        }))
        .await;
    }

    async fn close(mut self) {
        for running in self.running.values() {
            running.stop.cancel();
        }
        let stopped = async { while self.readers.join_next().await.is_some() {} };
        if timeout(FAREWELL, stopped).await.is_err() {
            self.readers.abort_all();
        }
        let shared = &self.shared;
        let leases = shared.held.drain();
        let releases = leases.iter().map(|lease| async move {
            if let Err(error) = shared.checkpoints.release(lease).await {
                tracing::warn!(%error, name = ?lease.name, "a lease was not given back: it runs out by itself");
            }
        });
        if timeout(FAREWELL, join_all(releases)).await.is_err() {
            tracing::warn!("leases were not given back in time: they run out by themselves");
        }
        shared.metrics.partitions_owned.set(0);
        shared.management.close().await;
    }
}

async fn take(shared: &Shared, wanted: Claim) -> Option<(Claim, Holding)> {
    match lease::claim(shared, &wanted.partition, wanted.seen.as_ref()).await {
        Ok(Some(holding)) => Some((wanted, holding)),
        // Somebody was faster.
        Ok(None) => None,
        Err(error) => {
            tracing::warn!(partition = %wanted.partition, error, "a partition could not be taken");
            None
        }
    }
}
