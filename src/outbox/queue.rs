//! The queue of one sink: what is due, and what became of it.

use std::collections::BTreeMap;
use std::time::Duration;

use redb::StorageError;
use tokio::time::Instant;

use super::file::Fault;
use super::put::letter;
use super::tables::{self, RANKS, Tables};
use super::{Key, Outbox, OutboxError, State};
use crate::alert::Alert;

/// An alert that is due for a sink.
#[derive(Debug, Clone)]
pub struct Entry {
    pub key: Key,
    pub alert: Alert,
    /// How often it was tried in vain.
    pub attempts: u32,
    /// Microseconds since the epoch.
    pub put_at: i64,
}

/// What became of an alert that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// Acknowledged: it leaves this sink's queue.
    Delivered,
    /// To be tried again, not before so long from now.
    Retry { reason: String, after: Duration },
    /// It goes to dead letters.
    Refused { reason: String },
}

/// A stored alert.
pub(super) fn parse(json: &[u8]) -> Result<Alert, Fault> {
    let parsed = serde_json::from_slice(json);
    parsed.map_err(|error| StorageError::Corrupted(format!("an alert: {error}")).into())
}

impl State {
    /// Whether an alert may be tried; a wait that is over is forgotten.
    fn is_due(&mut self, sink: &str, key: Key, now: Instant) -> bool {
        let Some(waits) = self.not_before.get_mut(sink) else { return true };
        match waits.get(&key) {
            Some(until) if *until > now => false,
            Some(_) => {
                waits.remove(&key);
                true
            }
            None => true,
        }
    }

    fn forget(&mut self, sink: &str, key: Key) {
        if let Some(waits) = self.not_before.get_mut(sink) {
            waits.remove(&key);
        }
    }

    /// Notes that alerts have left the queue of a sink.
    pub(super) fn gone(&mut self, sink: &str, keys: &[Key], bytes: u64) {
        for key in keys {
            self.forget(sink, *key);
        }
        if let Some(depth) = self.depth.get_mut(sink) {
            *depth = depth.saturating_sub(keys.len() as u64);
        }
        self.bytes = bytes;
    }
}

impl Outbox {
    /// At most `max` alerts that may be tried now, the most urgent first and of those the oldest.
    pub fn due(&self, sink: &str, max: usize) -> Result<Vec<Entry>, OutboxError> {
        let now = Instant::now();
        self.read(|database| {
            let transaction = database.begin_read()?;
            let queue = transaction.open_table(tables::QUEUE)?;
            let alerts = transaction.open_table(tables::ALERTS)?;
            let mut due = Vec::new();
            for row in queue.range((sink, 0, 0)..=(sink, u8::MAX, u64::MAX))? {
                if due.len() >= max {
                    break;
                }
                let (at, value) = row?;
                let (_, rank, sequence) = at.value();
                let key = Key { rank, sequence };
                if !self.state().is_due(sink, key, now) {
                    continue;
                }
                let Some(stored) = alerts.get(sequence)? else {
                    let text = format!("the queue of {sink} names an alert that is not stored");
                    return Err(StorageError::Corrupted(text).into());
                };
                let (put_at, json) = stored.value();
                due.push(Entry { key, alert: parse(json)?, attempts: value.value().0, put_at });
            }
            Ok(due)
        })
    }

    /// When the next alert that waits for its next try is due; `None` if none does.
    pub fn next_due(&self, sink: &str) -> Option<Instant> {
        self.state().not_before.get(sink)?.values().min().copied()
    }

    /// Makes what waits for its next try due now, as its sink answers again.
    pub fn hasten(&self, sink: &str) {
        self.state().not_before.remove(sink);
    }

    /// Notes what became of alerts of a sink; durable when it returns. Those that have left the queue
    /// meanwhile are passed over.
    pub fn settle(&self, sink: &str, results: &[(Key, Settled)], now: i64) -> Result<(), OutboxError> {
        if results.is_empty() {
            return Ok(());
        }
        let instant = Instant::now();
        let (gone, waits, bytes) = self.write(|database| {
            let transaction = database.begin_write()?;
            let (mut gone, mut waits, mut letters) = (Vec::new(), Vec::new(), Vec::new());
            let bytes;
            {
                let mut tables = Tables::of(&transaction)?;
                for (key, settled) in results {
                    match settled {
                        Settled::Delivered => {}
                        Settled::Refused { reason } => {
                            letters.extend(letter(&tables, sink, *key, "refused", reason, now)?);
                        }
                        Settled::Retry { reason, after } => {
                            let next = now.saturating_add_unsigned(after.as_micros() as u64);
                            if tables.failed(sink, *key, next, reason)? {
                                waits.push((*key, instant + *after));
                            }
                            continue;
                        }
                    }
                    if tables.remove(sink, *key)? {
                        gone.push(*key);
                    }
                }
                bytes = tables.number(tables::BYTES)?;
            }
            if !letters.is_empty() {
                // On disk before the alerts are gone from here.
                self.inner.dead.append(&letters)?;
                self.inner.dead.sync()?;
            }
            transaction.commit()?;
            Ok((gone, waits, bytes))
        })?;
        {
            let mut state = self.state();
            state.gone(sink, &gone, bytes);
            state.not_before.entry(sink.to_owned()).or_default().extend(waits);
        }
        self.show();
        Ok(())
    }

    /// For each sink when its oldest alert was put, microseconds since the epoch.
    pub fn oldest(&self) -> Result<BTreeMap<String, Option<i64>>, OutboxError> {
        let mut oldest: BTreeMap<String, Option<i64>> =
            self.state().depth.keys().map(|sink| (sink.clone(), None)).collect();
        self.read(|database| {
            let transaction = database.begin_read()?;
            let queue = transaction.open_table(tables::QUEUE)?;
            let alerts = transaction.open_table(tables::ALERTS)?;
            for (sink, least) in &mut oldest {
                for rank in RANKS {
                    let Some(sequence) = tables::first(&queue, sink, rank)? else { continue };
                    let put_at = alerts.get(sequence)?.map(|value| value.value().0);
                    *least = match (*least, put_at) {
                        (Some(a), Some(b)) => Some(a.min(b)),
                        (a, b) => a.or(b),
                    };
                }
            }
            Ok(())
        })?;
        Ok(oldest)
    }
}
