//! The detecting thread: a batch in, its rows judged, its alerts in the outbox, its rows in the archive.
//!
//! It owns decoder, duplicates, engine and everything else that has state, so nothing here is locked.
//! Work that must not be lost and cannot be done now (the outbox's disk is full) is tried again while
//! the source waits; a fault that leaves state in doubt ends the thread, and the service begins again
//! from the last commit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::commit::Group;
use super::figures::Told;
use super::keeper::Order;
use super::segment::Segment;
use super::watermark::Watermark;
use super::windows::Windows;
use super::{Control, Settings};
use crate::alert::Alert;
use crate::archive::Writer;
use crate::decode::{Decoded, Decoder, Dedup};
use crate::detect::{Engine, Matcher, Scope, Watermarks};
use crate::event::{Batch, Clock, HOUR, Partition, Reject, Span};
use crate::outbox::Outbox;
use crate::outbox::dead_letters::{DeadLetter, DeadLetters, Origin};
use crate::source::{Incoming, Received, Source, SourceError};
use crate::telemetry::{Health, Metrics};

/// Ids of events kept in memory to tell duplicates; the rest go to temporary files.
const IDS_IN_MEMORY: usize = 1_000_000;
/// Duplicates further apart than this are not told.
const DEDUP_HOURS: i64 = 48;
/// How far ahead of our clock another may be, microseconds.
const AHEAD: i64 = 300_000_000;
/// How often windows are looked at, and how often figures are renewed.
const TICK: Duration = Duration::from_millis(100);
const FIGURES: Duration = Duration::from_secs(5);
/// How often a replica that does not lead passes its rows on.
const PASS_ON: Duration = Duration::from_secs(1);
/// Rows waiting for the journal make a commit due.
const JOURNAL_WAITING: usize = 8 << 20;
/// Pause before a write that failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Why the thread ended, if not because it was told to or the source ended.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No trying again helps.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Beginning again from the last commit may.
    #[error("{0}")]
    Begin(String),
}

/// Everything the thread owns or talks to.
pub struct Detect {
    pub handle: Handle,
    pub settings: Settings,
    pub clock: Clock,
    pub stop: CancellationToken,
    pub metrics: Arc<Metrics>,
    pub health: Arc<Health>,
    pub outbox: Outbox,
    pub dead_letters: DeadLetters,
    pub archive: Option<Writer>,
    pub groups: mpsc::Sender<Group>,
    pub orders: mpsc::Sender<Order>,
    pub engine: Engine,
    pub windows: Windows,
    /// Whether the source ends: then windows are evaluated when everything was read, as in replay.
    pub finite: bool,
}

/// What changes from batch to batch.
pub(super) struct State {
    matcher: Arc<Matcher>,
    decoder: Decoder,
    dedup: Dedup,
    watermark: Watermark,
    /// What was processed and not handed on for commit.
    open: BTreeMap<Partition, Span>,
    pub since: Option<Instant>,
    /// A group with positions is on its way.
    pub committing: Option<Instant>,
    passed_on: Instant,
    looked: Instant,
    figures: Instant,
    latest: i64,
    /// What of the engine's figures is in the metrics.
    pub told: Told,
}

enum Next {
    Stop,
    Control(Control),
    Incoming(Result<Option<Incoming>, SourceError>),
    Tick,
}

impl Detect {
    /// Runs until told to stop, the source ends or a fault; then everything processed is handed on.
    pub fn run(
        mut self,
        source: &mut dyn Source,
        control: &mut mpsc::Receiver<Control>,
    ) -> Result<(), Fault> {
        // What kept the one before from its work is tried anew.
        ["outbox", "dead_letters"].into_iter().for_each(|what| self.health.set(what, None));
        let now = Instant::now();
        let mut state = State {
            matcher: self.engine.matcher(),
            decoder: Decoder::default(),
            dedup: Dedup::new(IDS_IN_MEMORY),
            watermark: Watermark::default(),
            open: BTreeMap::new(),
            since: None,
            committing: None,
            passed_on: now,
            looked: now,
            figures: now,
            latest: i64::MIN,
            told: Told::default(),
        };
        loop {
            self.health.tick("detect");
            let handle = self.handle.clone();
            let next = handle.block_on(self.next(&state, source, control));
            match next {
                Next::Stop => break,
                Next::Control(control) => self.control(&mut state, control)?,
                Next::Incoming(Ok(Some(Incoming::Messages(received)))) => {
                    self.messages(&mut state, received)?;
                }
                Next::Incoming(Ok(Some(Incoming::Partitions(all)))) => {
                    let now = Instant::now();
                    all.into_iter().for_each(|partition| state.watermark.expect(partition, now));
                }
                Next::Incoming(Ok(Some(Incoming::Owned(partition)))) => state.watermark.own(partition),
                Next::Incoming(Ok(Some(Incoming::Lost(partition)))) => {
                    // Whoever reads it now begins at the last commit.
                    state.open.remove(&partition);
                    state.watermark.lose(&partition, Instant::now());
                }
                Next::Incoming(Ok(None)) => {
                    let alerts = self.engine.finish_all();
                    let alerts =
                        alerts.map_err(|e| Fault::Begin(format!("evaluating the last windows: {e}")))?;
                    self.put(alerts)?;
                    break;
                }
                Next::Incoming(Err(error)) => {
                    self.hand_on(&mut state)?;
                    return Err(error.into());
                }
                Next::Tick => {}
            }
            self.turn(&mut state, source)?;
        }
        self.advance(&mut state, source)?;
        self.hand_on(&mut state)?;
        self.snapshot(true);
        Ok(())
    }

    async fn next(
        &mut self,
        state: &State,
        source: &mut dyn Source,
        control: &mut mpsc::Receiver<Control>,
    ) -> Next {
        // While a commit is stuck no more is taken than fits.
        let full = state.committing.is_some() && self.over_limits();
        tokio::select! {
            // Who leads is known before the first message: rows need no detour then.
            biased;
            () = self.stop.cancelled() => Next::Stop,
            Some(control) = control.recv() => Next::Control(control),
            incoming = source.next(), if !full => Next::Incoming(incoming),
            () = tokio::time::sleep(TICK) => Next::Tick,
        }
    }

    fn over_limits(&self) -> bool {
        self.windows.waiting() > JOURNAL_WAITING
            || self.archive.as_ref().is_some_and(|a| a.pending_bytes() > self.settings.archive_pending)
    }

    fn messages(&mut self, state: &mut State, received: Received) -> Result<(), Fault> {
        let Received { raw, span, received: at, room } = received;
        let begun = Instant::now();
        let decoded = state.decoder.decode(&raw);
        drop(raw);
        let kept = state.dedup.retain(decoded).map_err(|e| Fault::Begin(e.to_string()))?;
        self.metrics.decode_seconds.inc_by(begun.elapsed().as_secs_f64());
        let Decoded { batch, counts, rejects } = kept;
        self.count(&counts, at);
        self.bury(&span, rejects, at)?;

        let begun = Instant::now();
        let matches = state.matcher.evaluate(&batch);
        self.metrics.filter_seconds.inc_by(begun.elapsed().as_secs_f64());
        if self.windows.is_journaled() {
            let portion = self.engine.encode(&matches).map_err(|e| Fault::Begin(e.to_string()))?;
            if let Some(portion) = portion {
                self.windows.keep(&portion);
            }
        }
        let scope = if self.windows.leads() { Scope::All } else { Scope::SingleRows };
        let alerts = self.engine.absorb(matches, scope);
        self.put(alerts)?;
        self.archive(&batch)?;
        state.decoder.recycle(batch);
        drop(room);

        // An event dated in the future must not make all others late. The hub's clock is asked too: ours
        // may be set back, and then every event would be of the future.
        let now = at.max(span.last.enqueued);
        let latest = counts.last_event.map(|latest| latest.min(now.saturating_add(AHEAD)));
        state.watermark.note(&span.partition, latest);
        state.latest = state.latest.max(latest.unwrap_or(i64::MIN));
        match state.open.get_mut(&span.partition) {
            Some(open) => open.last = span.last,
            None => {
                state.open.insert(span.partition.clone(), span);
            }
        }
        state.since.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// What is due now, whatever came.
    fn turn(&mut self, state: &mut State, source: &dyn Source) -> Result<(), Fault> {
        if state.looked.elapsed() >= TICK {
            state.looked = Instant::now();
            self.advance(state, source)?;
        }
        let waited = state.since.is_some_and(|since| since.elapsed() >= self.settings.commit_every);
        if state.committing.is_none() && (waited || self.over_limits()) {
            self.hand_on(state)?;
        } else if !self.windows.leads() && state.passed_on.elapsed() >= PASS_ON {
            state.passed_on = Instant::now();
            self.pass_on(state);
        }
        if state.figures.elapsed() >= FIGURES {
            state.figures = Instant::now();
            self.figures(state);
            if state.open.is_empty() && state.committing.is_none() {
                self.health.set("pipeline", None);
            }
            self.health.set("source", source.trouble().as_deref());
        }
        Ok(())
    }

    fn advance(&mut self, state: &mut State, source: &dyn Source) -> Result<(), Fault> {
        state.watermark.look(|partition| source.is_idle(partition));
        if self.finite {
            return Ok(());
        }
        let Some(seen) = state.watermark.seen(Instant::now()) else { return Ok(()) };
        let lateness = self.settings.lateness;
        let watermarks = match state.watermark.is_all_seen() {
            true => Watermarks::settled(seen, lateness),
            false => Watermarks::behind(seen, lateness),
        };
        let alerts = self.engine.advance(watermarks);
        self.put(alerts)?;
        let horizon = state.latest.div_euclid(HOUR).saturating_sub(DEDUP_HOURS);
        state.dedup.forget(horizon).map_err(|e| Fault::Begin(e.to_string()))?;
        Ok(())
    }

    /// Hands everything processed so far to the committer.
    fn hand_on(&mut self, state: &mut State) -> Result<(), Fault> {
        self.insist("dead_letters", |this| this.dead_letters.sync())?;
        let files = match &mut self.archive {
            Some(archive) => archive.close_files().map_err(|e| Fault::Begin(e.to_string()))?,
            None => Vec::new(),
        };
        let segment = self.windows.cut(&state.watermark, Instant::now());
        let spans: Vec<Span> = std::mem::take(&mut state.open).into_values().collect();
        if spans.is_empty() && files.is_empty() && segment.is_none() {
            return Ok(());
        }
        state.committing = (!spans.is_empty()).then(Instant::now);
        state.since = None;
        self.send(Group { segment, files, spans });
        if self.windows.snapshot_due() {
            self.snapshot(false);
        }
        Ok(())
    }

    /// Hands on the journal's rows alone, if it has anything to say.
    fn pass_on(&mut self, state: &State) {
        let segment = self.windows.cut(&state.watermark, Instant::now());
        if segment.is_some() {
            self.send(Group { segment, ..Group::default() });
        }
    }

    fn send(&self, group: Group) {
        // The committer ends after this thread only.
        let _ = self.handle.block_on(self.groups.send(group));
    }

    /// Writes the state of windows down, at the end even if little changed.
    fn snapshot(&mut self, at_end: bool) {
        if !self.windows.can_snapshot() {
            return;
        }
        match self.engine.snapshot() {
            Ok(bytes) => {
                let applied = self.windows.snapshot_taken(bytes.len());
                let order = Order::Snapshot { bytes: bytes.into(), applied };
                if at_end {
                    let _ = self.handle.block_on(self.orders.send(order));
                } else if self.orders.try_send(order).is_err() {
                    tracing::warn!("the state of windows was not written: the store is slow");
                }
            }
            Err(error) => tracing::error!("the state of windows was not written: {error}"),
        }
    }

    fn control(&mut self, state: &mut State, control: Control) -> Result<(), Fault> {
        match control {
            Control::Committed { positions: true } => {
                state.committing = None;
                // What was begun again has come further than it had.
                self.health.set("pipeline", None);
            }
            Control::Committed { positions: false } => {}
            Control::Follow => {
                self.windows.follow();
                self.engine.reset();
            }
            Control::Lead { state: before, applied } => {
                // Rows kept as a follower come back through the store.
                self.pass_on(state);
                self.engine.reset();
                if let Some(before) = before {
                    self.restore(&before);
                }
                let direct = self.windows.lead(applied);
                let _ = self.handle.block_on(self.orders.send(Order::Direct(direct)));
                tracing::info!("this replica evaluates windows");
            }
            Control::Segment { replica, number, bytes } => {
                let size = bytes.len();
                self.segment(state, bytes);
                self.windows.absorbed(replica, number, size);
            }
            Control::Reload(engine) => self.reload(state, *engine),
        }
        Ok(())
    }

    fn restore(&mut self, before: &[u8]) {
        match self.engine.restore(before) {
            Ok(restored) => {
                for rule in restored.anew {
                    tracing::warn!(rule, "the rule has changed, its window begins empty");
                }
            }
            Err(error) => tracing::error!("the state of windows cannot be read, they begin empty: {error}"),
        }
    }

    fn segment(&mut self, state: &mut State, bytes: Bytes) {
        let segment = match Segment::read(bytes) {
            Ok(segment) => segment,
            Err(error) => {
                tracing::error!("{error}");
                return;
            }
        };
        let now = Instant::now();
        for (partition, mark) in segment.marks {
            state.watermark.hear(partition.into(), mark, now);
            state.latest = state.latest.max(mark.0.unwrap_or(i64::MIN));
        }
        for portion in segment.portions {
            match self.engine.absorb_encoded(&portion) {
                Ok(absorbed) if absorbed.left_out > 0 => tracing::warn!(
                    rows = absorbed.left_out,
                    "rows of rules that are not ours were left out: do all replicas have the same rules?"
                ),
                Ok(_) => {}
                Err(error) => tracing::error!("rows of the windows' journal cannot be read: {error}"),
            }
        }
    }

    fn reload(&mut self, state: &mut State, engine: Engine) {
        // What the old one counted, before it goes.
        self.figures(state);
        state.told = Told::default();
        let before = self.engine.snapshot();
        self.engine = engine;
        match before {
            Ok(before) => self.restore(&before),
            Err(error) => tracing::error!("windows begin empty after the reload: {error}"),
        }
        state.matcher = self.engine.matcher();
    }

    /// Makes alerts durable; tries again until they are.
    fn put(&mut self, alerts: Vec<Alert>) -> Result<(), Fault> {
        if alerts.is_empty() {
            return Ok(());
        }
        let now = (self.clock)();
        self.insist("outbox", |this| this.outbox.put(&alerts, now)).map(|_| ())
    }

    /// Puts rejected records aside with their reasons.
    fn bury(&mut self, span: &Span, rejects: Vec<Reject>, now: i64) -> Result<(), Fault> {
        if rejects.is_empty() {
            return Ok(());
        }
        if let Some(archive) = &mut self.archive {
            rejects.iter().for_each(|reject| archive.reject(now, reject.reason.as_str()));
        }
        let origin = Origin::Message { partition: span.partition.to_string(), sequence: span.last.sequence };
        let letters: Vec<DeadLetter> = rejects
            .into_iter()
            .map(|reject| DeadLetter {
                time: now,
                reason: reject.reason.as_str().into(),
                source: origin.clone(),
                detail: reject.detail,
                body: reject.body,
            })
            .collect();
        self.insist("dead_letters", |this| this.dead_letters.append(&letters))
    }

    fn archive(&mut self, batch: &Batch) -> Result<(), Fault> {
        match &mut self.archive {
            // A file half written is of no use: what it held is read again.
            Some(archive) => archive.append(batch).map_err(|e| Fault::Begin(e.to_string())),
            None => Ok(()),
        }
    }

    /// Does a local write until it succeeds; gives up, without loss, when the service is to stop.
    fn insist<T, E: std::fmt::Display>(
        &mut self,
        what: &'static str,
        mut step: impl FnMut(&mut Self) -> Result<T, E>,
    ) -> Result<T, Fault> {
        loop {
            match step(self) {
                Ok(done) => {
                    self.health.set(what, None);
                    return Ok(done);
                }
                Err(error) => {
                    tracing::error!("trying again in {AGAIN:?}: {error}");
                    self.health.set(what, Some(&error.to_string()));
                    self.health.tick("detect");
                    if self.stop.is_cancelled() {
                        return Err(Fault::Begin(error.to_string()));
                    }
                    let stop = self.stop.clone();
                    // The wait belongs to the runtime, so it is made inside.
                    let wait = async { tokio::time::timeout(AGAIN, stop.cancelled()).await };
                    let _ = self.handle.block_on(wait);
                }
            }
        }
    }
}
