//! Which replica evaluates windows, and what it needs to go on where another stopped.
//!
//! Every replica filters the messages of its own partitions and journals the rows that windowed rules
//! keep, in the checkpoint store. One of them, the leader, holds a lease there; it takes everybody's
//! rows and is the only one whose windows move. A new leader begins with the last snapshot and the
//! segments written since. Rows that come twice count once, so nothing here has to be exact about who
//! gave which row first; nothing may be missing, that is all.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::Control;
use crate::checkpoint::{CheckpointError, Checkpoints, Journal, Lease, LeaseName, Segment};

/// How often a leader looks for rows of others.
const LOOK: Duration = Duration::from_secs(2);

/// Replica → number of the last segment whose rows are in.
pub type Applied = BTreeMap<String, u64>;

/// What the detecting thread tells.
pub enum Order {
    /// Segments of ours from this number on were absorbed before they were written.
    Direct(u64),
    /// The state of all windows, with what it holds of whom.
    Snapshot { bytes: Bytes, applied: Applied },
    /// Gives the lease back.
    Stop(oneshot::Sender<()>),
}

/// Holds the lease, or waits for it.
pub struct Keeper {
    checkpoints: Checkpoints,
    journal: Journal,
    replica: String,
    /// A lease that did not change for so long is free.
    expiry: Duration,
    control: mpsc::Sender<Control>,
    lease: Option<Lease>,
    /// When we last held or renewed it.
    renewed: Instant,
    /// Another's lease, and since when it looks like that.
    other: Option<(String, Instant)>,
    applied: Applied,
    /// Segments of ours from here on need not be read.
    direct: u64,
    snapshot: Option<String>,
}

impl Keeper {
    pub fn new(
        checkpoints: Checkpoints,
        replica: String,
        expiry: Duration,
        control: mpsc::Sender<Control>,
    ) -> Self {
        Self {
            journal: checkpoints.journal(),
            checkpoints,
            replica,
            expiry,
            control,
            lease: None,
            renewed: Instant::now(),
            other: None,
            applied: Applied::new(),
            direct: u64::MAX,
            snapshot: None,
        }
    }

    /// The number behind all segments this replica ever wrote.
    pub async fn next_number(&self) -> Result<u64, CheckpointError> {
        let written = self.journal.list().await?;
        let written = written.iter().filter(|segment| segment.replica == self.replica);
        let written = written.map(|segment| segment.number).max();
        let snapshot = self.journal.read_snapshot().await?;
        let applied = snapshot.and_then(|(bytes, _)| read_snapshot(&bytes)?.0.get(&self.replica).copied());
        Ok(written.max(applied).map_or(0, |last| last + 1))
    }

    /// Takes the lease if it is free, before anything is read.
    pub async fn begin(&mut self) -> Result<(), CheckpointError> {
        self.look().await
    }

    /// Runs until told to stop.
    pub async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut look = tokio::time::interval(LOOK.min(self.expiry / 3));
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Direct(number)) => self.direct = number,
                    Some(Order::Snapshot { bytes, applied }) => self.write(bytes, applied).await,
                    Some(Order::Stop(done)) => {
                        if let Some(lease) = self.lease.take()
                            && let Err(error) = self.checkpoints.release(&lease).await
                        {
                            tracing::warn!("the lease on windows was not given back: {error}");
                        }
                        let _ = done.send(());
                        return;
                    }
                    None => return,
                },
                _ = look.tick() => {
                    if let Err(error) = self.look().await {
                        tracing::warn!("the journal of windows cannot be reached: {error}");
                        self.step_down_if_expired().await;
                    }
                }
            }
        }
    }

    async fn look(&mut self) -> Result<(), CheckpointError> {
        if self.lease.is_some() {
            if self.renewed.elapsed() >= self.expiry / 3 {
                self.renew().await?;
            }
            if self.lease.is_some() {
                self.take_segments().await?;
            }
            return Ok(());
        }
        let leases = self.checkpoints.leases().await?;
        let seen = leases.into_iter().find(|lease| lease.name == LeaseName::Leader);
        if !self.is_free(seen.as_ref()) {
            return Ok(());
        }
        let claimed = self.checkpoints.claim(&LeaseName::Leader, &self.replica, seen.as_ref()).await?;
        if let Some(lease) = claimed {
            self.lease = Some(lease);
            self.renewed = Instant::now();
            self.lead().await?;
        }
        Ok(())
    }

    /// Nobody's, ours from before a restart, or not renewed for long.
    fn is_free(&mut self, seen: Option<&Lease>) -> bool {
        let Some(lease) = seen else { return true };
        if lease.owner.is_empty() || lease.owner == self.replica {
            return true;
        }
        match &self.other {
            Some((etag, since)) if *etag == lease.etag => since.elapsed() >= self.expiry,
            _ => {
                self.other = Some((lease.etag.clone(), Instant::now()));
                false
            }
        }
    }

    async fn renew(&mut self) -> Result<(), CheckpointError> {
        let renewed = self.checkpoints.claim(&LeaseName::Leader, &self.replica, self.lease.as_ref()).await?;
        match renewed {
            Some(lease) => {
                self.lease = Some(lease);
                self.renewed = Instant::now();
            }
            None => self.step_down("another replica took the lease").await,
        }
        Ok(())
    }

    async fn step_down_if_expired(&mut self) {
        if self.lease.is_some() && self.renewed.elapsed() >= self.expiry {
            self.step_down("the lease could not be renewed").await;
        }
    }

    async fn step_down(&mut self, why: &str) {
        tracing::warn!("this replica evaluates windows no more: {why}");
        self.lease = None;
        self.direct = u64::MAX;
        let _ = self.control.send(Control::Follow).await;
    }

    /// Hands over the last snapshot; the segments since follow as others' rows do.
    async fn lead(&mut self) -> Result<(), CheckpointError> {
        let found = self.journal.read_snapshot().await;
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                // Leading without what came before would forget it.
                self.lease = None;
                return Err(error);
            }
        };
        self.applied = Applied::new();
        self.direct = u64::MAX;
        let mut state = None;
        self.snapshot = None;
        if let Some((bytes, etag)) = found {
            match read_snapshot(&bytes) {
                Some((applied, rest)) => {
                    self.applied = applied;
                    state = Some(rest);
                }
                None => {
                    tracing::error!("the snapshot of windows cannot be read; they begin with the journal")
                }
            }
            self.snapshot = Some(etag);
        }
        let applied = self.applied.clone();
        let _ = self.control.send(Control::Lead { state, applied }).await;
        self.take_segments().await
    }

    /// Reads what others, or we ourselves before we led, have written since.
    async fn take_segments(&mut self) -> Result<(), CheckpointError> {
        for segment in self.journal.list().await? {
            let known = self.applied.get(&segment.replica).is_some_and(|last| segment.number <= *last);
            let ours = segment.replica == self.replica && segment.number >= self.direct;
            if known || ours {
                continue;
            }
            let bytes = self.journal.read(&segment).await?;
            self.applied.insert(segment.replica.clone(), segment.number);
            let Segment { replica, number, .. } = segment;
            let _ = self.control.send(Control::Segment { replica, number, bytes }).await;
        }
        Ok(())
    }

    async fn write(&mut self, bytes: Bytes, applied: Applied) {
        if self.lease.is_none() {
            return;
        }
        let whole = write_snapshot(&applied, &bytes);
        match self.journal.write_snapshot(whole, self.snapshot.as_deref()).await {
            Ok(Some(etag)) => {
                self.snapshot = Some(etag);
                if let Err(error) = self.forget(&applied).await {
                    tracing::warn!("old segments of the windows' journal were not removed: {error}");
                }
            }
            Ok(None) => self.step_down("another replica wrote the state of windows").await,
            Err(error) => tracing::warn!("the state of windows was not written, the journal grows: {error}"),
        }
    }

    /// Removes the segments a snapshot holds.
    async fn forget(&self, applied: &Applied) -> Result<(), CheckpointError> {
        let mut segments = self.journal.list().await?;
        segments.retain(|segment| applied.get(&segment.replica).is_some_and(|last| segment.number <= *last));
        self.journal.delete(&segments).await
    }
}

/// A snapshot's first line says what of whom is in it; the engine's bytes follow.
fn write_snapshot(applied: &Applied, state: &[u8]) -> Bytes {
    let mut bytes = serde_json::to_vec(applied).unwrap_or_default();
    bytes.push(b'\n');
    bytes.extend_from_slice(state);
    bytes.into()
}

fn read_snapshot(bytes: &Bytes) -> Option<(Applied, Bytes)> {
    let end = memchr::memchr(b'\n', bytes)?;
    let applied = serde_json::from_slice(bytes.get(..end)?).ok()?;
    Some((applied, bytes.slice(end + 1..)))
}
