//! The worker of one sink: which alerts to send now, sending them, and what to make of the answers.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Telling, Timing};
use crate::alert::Alert;
use crate::event::Clock;
use crate::event::value::rfc3339;
use crate::outbox::{Entry, Key, Outbox, OutboxError, Settled};
use crate::sink::breaker::Breaker;
use crate::sink::{Outcome, Sink};
use crate::telemetry::metrics;

/// An alert that failed so often is sent alone: it may be what the sink fails at, and then the others
/// are not to fail with it. In an outage of the sink few get there, as those with fewer tries go first.
const ALONE_AFTER: u32 = 8;
/// Of so many due alerts the ones tried least often are taken while the sink fails.
const POOL: usize = 100;
/// The outbox is looked at this often even if nothing is heard of it.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Between two tries of an outbox that the disk fails.
const DISK_PAUSE: Duration = Duration::from_secs(1);
/// A failure that goes on is logged so often.
const LOG_EVERY: u32 = 10;

pub(super) struct Worker {
    sink: Arc<dyn Sink>,
    name: String,
    outbox: Outbox,
    telling: Telling,
    clock: Clock,
    timing: Timing,
    stop: CancellationToken,
    breaker: Breaker,
    /// Until when more alerts are waited for.
    linger: Option<Instant>,
    /// Sends in a row of which a part is to be tried again.
    partial: u32,
    /// Since when not everything goes well, microseconds since the epoch.
    failing: Option<i64>,
    /// Failures of the disk in a row.
    faults: u32,
}

impl Worker {
    pub fn new(
        sink: Arc<dyn Sink>,
        outbox: Outbox,
        telling: Telling,
        clock: Clock,
        timing: Timing,
        stop: CancellationToken,
    ) -> Self {
        let name = sink.name().to_owned();
        let breaker = Breaker::new(timing.threshold);
        Self {
            sink,
            name,
            outbox,
            telling,
            clock,
            timing,
            stop,
            breaker,
            linger: None,
            partial: 0,
            failing: None,
            faults: 0,
        }
    }

    /// Delivers until it is told to stop, then what is due once more.
    pub async fn run(mut self) {
        while !self.stop.is_cancelled() {
            let Some(next) = self.step().await else { continue };
            let latest = Instant::now() + LOOK_EVERY;
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = self.outbox.changed(&self.name) => {}
                () = tokio::time::sleep_until(next.unwrap_or(latest).min(latest)) => {}
            }
            if self.outbox.take_hurry(&self.name) {
                self.breaker.hurry();
                self.linger = self.linger.map(|_| Instant::now());
            }
        }
        self.flush().await;
    }

    /// Sends what is to be sent now. `None`: there may be more; else when to look again, if that is known.
    async fn step(&mut self) -> Option<Option<Instant>> {
        let now = Instant::now();
        if let Some(until) = self.breaker.wait(now) {
            return Some(Some(until));
        }
        let most = self.sink.portion().max_alerts.max(1);
        let failing = self.breaker.failures() > 0;
        let pool = if failing { most.max(POOL) } else { most };
        let entries = match self.due(pool).await {
            Ok(entries) => entries,
            Err(error) => {
                self.note_fault(&error);
                return Some(Some(now + DISK_PAUSE));
            }
        };
        self.faults = 0;
        if entries.is_empty() {
            self.linger = None;
            return Some(self.outbox.next_due(&self.name));
        }
        if let Some(until) = self.lingering(&entries, most, now) {
            return Some(Some(until));
        }
        self.linger = None;
        let entries = choose(entries, failing, if self.breaker.is_open() { 1 } else { most });
        self.deliver(entries).await;
        None
    }

    /// Until when to wait for more alerts before the first is sent.
    fn lingering(&mut self, entries: &[Entry], most: usize, now: Instant) -> Option<Instant> {
        let linger = self.sink.portion().linger;
        let tried = entries.iter().any(|entry| entry.attempts > 0);
        if linger.is_zero() || tried || entries.len() >= most {
            return None;
        }
        // What it has waited already, in this process or the one before; a clock that jumps shortens or
        // prolongs it by no more than the whole.
        let oldest = entries.iter().map(|entry| entry.put_at).min().unwrap_or_default();
        let waited = Duration::from_micros((self.clock)().saturating_sub(oldest).max(0).unsigned_abs());
        let until = *self.linger.get_or_insert(now + linger.saturating_sub(waited));
        Some(until).filter(|until| *until > now)
    }

    /// Delivers what is due, in full portions or not, until something fails.
    async fn flush(&mut self) {
        if self.breaker.wait(Instant::now()).is_some() {
            return;
        }
        let most = self.sink.portion().max_alerts.max(1);
        loop {
            match self.due(most).await {
                Ok(entries) if entries.is_empty() => return,
                Ok(entries) => {
                    if !self.deliver(choose(entries, false, most)).await {
                        return;
                    }
                }
                Err(error) => return self.note_fault(&error),
            }
        }
    }

    /// Sends alerts and notes what became of them; whether the sink took or refused any.
    async fn deliver(&mut self, entries: Vec<Entry>) -> bool {
        let (keys, alerts): (Vec<(Key, u32, i64)>, Vec<Alert>) =
            entries.into_iter().map(|e| ((e.key, e.attempts, e.put_at), e.alert)).unzip();
        let started = Instant::now();
        let mut outcomes = self.send(alerts).await;
        let label = metrics::Sink { sink: self.name.clone() };
        self.telling.metrics.send_seconds.0.get_or_create(&label).observe(started.elapsed().as_secs_f64());
        let silent =
            || Outcome::Retry { reason: "the sink did not say what became of it".into(), after: None };
        outcomes.resize_with(keys.len(), silent);

        self.note(&outcomes);
        let wait = self.judge(&outcomes);
        let now = (self.clock)();
        let mut results = Vec::with_capacity(keys.len());
        let mut refusal = None;
        for ((key, attempts, put_at), outcome) in keys.into_iter().zip(outcomes) {
            let (name, settled) = match outcome {
                Outcome::Delivered => {
                    let delay = Duration::from_micros(now.saturating_sub(put_at).max(0).unsigned_abs());
                    self.telling.metrics.alert_delay.0.get_or_create(&label).observe(delay.as_secs_f64());
                    ("delivered", Settled::Delivered)
                }
                Outcome::Retry { reason, after } => {
                    let own = self.timing.backoff.wait(attempts.saturating_add(1), after);
                    ("retry", Settled::Retry { reason, after: wait.map_or(own, |wait| wait.max(own)) })
                }
                Outcome::Refused { reason } => {
                    let (count, _) = refusal.get_or_insert((0u64, reason.clone()));
                    *count += 1;
                    ("refused", Settled::Refused { reason })
                }
            };
            let label = metrics::SinkOutcome { sink: self.name.clone(), outcome: name };
            self.telling.metrics.sends.get_or_create(&label).inc();
            results.push((key, settled));
        }
        if let Some((alerts, reason)) = refusal {
            tracing::warn!(
                sink = self.name,
                alerts,
                reason,
                "the sink refused alerts; dead letters have them"
            );
        }
        self.settle(results).await;
        wait.is_none()
    }

    /// Says what the sink fails at and since when, or that it does not any more.
    fn note(&mut self, outcomes: &[Outcome]) {
        let component = format!("sink {}", self.name);
        let again = outcomes.iter().find_map(|outcome| match outcome {
            Outcome::Retry { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        let refused = outcomes.iter().find_map(|outcome| match outcome {
            Outcome::Refused { reason } => Some(format!("refused for good, see dead letters: {reason}")),
            _ => None,
        });
        let Some(reason) = again.or(refused) else {
            self.failing = None;
            return self.telling.health.note(&component, None);
        };
        let since = *self.failing.get_or_insert_with(|| (self.clock)());
        let since = rfc3339(since - since.rem_euclid(1_000_000)).unwrap_or_default();
        self.telling.health.note(&component, Some(&format!("since {since}: {reason}")));
    }

    /// What the answers say of the sink itself; how long to leave it alone if it took nothing.
    fn judge(&mut self, outcomes: &[Outcome]) -> Option<Duration> {
        let sink = self.name.as_str();
        let mut asked: Option<Duration> = None;
        let (mut again, mut reason) = (0, "");
        for outcome in outcomes {
            if let Outcome::Retry { reason: why, after } = outcome {
                asked = asked.max(*after);
                reason = if again == 0 { why } else { reason };
                again += 1;
            }
        }
        let now = Instant::now();
        if again == outcomes.len() {
            let wait = self.timing.backoff.wait(self.breaker.failures().saturating_add(1), asked);
            let was_open = self.breaker.is_open();
            let failures = self.breaker.failed(wait, now);
            if failures == 1 || failures.is_multiple_of(LOG_EVERY) {
                tracing::warn!(sink, failures, reason, wait = ?wait, "sending failed and is tried again");
            }
            if self.breaker.is_open() && !was_open {
                tracing::warn!(
                    sink,
                    failures,
                    reason,
                    "the sink does not answer: one alert is tried at a time"
                );
            }
            return Some(wait);
        }
        if let Some(recovery) = self.breaker.succeeded(now) {
            let failures = recovery.failures;
            tracing::info!(sink, failures, outage = ?recovery.outage, "the sink takes alerts again");
            if recovery.was_open {
                self.outbox.hasten(sink);
            }
        }
        self.partial = if again > 0 { self.partial.saturating_add(1) } else { 0 };
        if again > 0 && (self.partial == 1 || self.partial.is_multiple_of(LOG_EVERY)) {
            tracing::warn!(
                sink,
                alerts = again,
                reason,
                "the sink did not take some alerts; they are tried again"
            );
        }
        None
    }

    /// The sink's answers, or what stands for them if it does not come to any.
    async fn send(&self, alerts: Vec<Alert>) -> Vec<Outcome> {
        let (sink, count) = (Arc::clone(&self.sink), alerts.len());
        // A task of its own: a panic stays in there, and it ends with this worker.
        let mut task = JoinSet::new();
        task.spawn(async move { sink.send(&alerts).await });
        let reason = match tokio::time::timeout(self.timing.send, task.join_next()).await {
            Ok(Some(Ok(outcomes))) => return outcomes,
            Ok(Some(Err(_)) | None) => {
                tracing::error!(sink = self.name, "the sink panicked, which is a fault of aksentry");
                "the sink panicked".to_owned()
            }
            Err(_) => format!("no answer within {:?}", self.timing.send),
        };
        vec![Outcome::Retry { reason, after: None }; count]
    }

    async fn due(&self, most: usize) -> Result<Vec<Entry>, OutboxError> {
        let (outbox, name) = (self.outbox.clone(), self.name.clone());
        let work = tokio::task::spawn_blocking(move || outbox.due(&name, most));
        // Cancelled only when the runtime ends, and this task with it.
        work.await.unwrap_or_else(|_| Ok(Vec::new()))
    }

    /// Notes what became of alerts, however long the disk does not let it: sending goes on only behind
    /// it, so that a full disk does not make anybody get the same alerts again and again.
    async fn settle(&mut self, results: Vec<(Key, Settled)>) {
        let results = Arc::new(results);
        loop {
            let (outbox, name, results) = (self.outbox.clone(), self.name.clone(), Arc::clone(&results));
            let now = (self.clock)();
            match tokio::task::spawn_blocking(move || outbox.settle(&name, &results, now)).await {
                Ok(Err(error)) => self.note_fault(&error),
                Ok(Ok(())) | Err(_) => break,
            }
            tokio::time::sleep(DISK_PAUSE).await;
        }
        self.faults = 0;
    }

    fn note_fault(&mut self, error: &OutboxError) {
        self.faults = self.faults.saturating_add(1);
        if self.faults == 1 || self.faults.is_multiple_of(LOG_EVERY) {
            tracing::error!(sink = self.name, failures = self.faults, %error, "delivery waits for the disk");
        }
    }
}

/// At most `most` of the due alerts. While the sink fails those go first that were tried least often:
/// should one of them be the cause, the others get their chance.
fn choose(mut entries: Vec<Entry>, failing: bool, most: usize) -> Vec<Entry> {
    if failing {
        entries.sort_by_key(|entry| entry.attempts);
    }
    let together = entries.iter().take(most).take_while(|entry| entry.attempts < ALONE_AFTER).count();
    entries.truncate(together.max(1));
    entries
}
