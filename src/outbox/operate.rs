//! What an operator does with the outbox: look at it, have alerts tried now, give them up.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::put::letter;
use super::tables::{self, Tables};
use super::{Key, Outbox, OutboxError, queue};
use crate::alert::Severity;

/// How many alerts one transaction gives up.
const DROP_STEP: usize = 500;

/// What an alert in a queue waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Waiting {
    /// Its turn: it was not tried yet.
    Waiting,
    /// The next try.
    Retrying,
    /// Its sink, which is not configured any more.
    Orphaned,
}

impl Waiting {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Retrying => "retrying",
            Self::Orphaned => "orphaned",
        }
    }
}

/// An alert in the queue of a sink, as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    pub sink: String,
    pub state: Waiting,
    pub attempts: u32,
    /// When it was put, microseconds since the epoch.
    pub since: i64,
    /// When it is tried next, microseconds since the epoch; `None` if as soon as its sink can.
    pub next_try: Option<i64>,
    pub severity: Severity,
    pub rule: String,
    pub id: String,
    pub last_error: Option<String>,
}

/// Where a listing goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(String, Key);

/// Which alerts are meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    All,
    /// By the alerts' ids.
    Ids(Vec<String>),
}

impl Outbox {
    /// At most `max` alerts from a place on, by sink, urgency and age, and the place to go on from;
    /// `sink` limits it to one.
    pub fn list(
        &self,
        sink: Option<&str>,
        from: Option<&Place>,
        max: usize,
    ) -> Result<(Vec<Listed>, Option<Place>), OutboxError> {
        self.read(|database| {
            let transaction = database.begin_read()?;
            let queue = transaction.open_table(tables::QUEUE)?;
            let alerts = transaction.open_table(tables::ALERTS)?;
            let start = match (from, sink) {
                (Some(Place(sink, key)), _) => Bound::Excluded((sink.as_str(), key.rank, key.sequence)),
                (None, Some(sink)) => Bound::Included((sink, 0, 0)),
                (None, None) => Bound::Unbounded,
            };
            let end = sink.map_or(Bound::Unbounded, |sink| Bound::Included((sink, u8::MAX, u64::MAX)));
            let (mut listed, mut last) = (Vec::new(), None);
            for row in queue.range::<(&str, u8, u64)>((start, end))? {
                if listed.len() >= max {
                    return Ok((listed, last));
                }
                let (at, value) = row?;
                let ((name, rank, sequence), (attempts, next, reason)) = (at.value(), value.value());
                let Some(stored) = alerts.get(sequence)? else { continue };
                let (since, json) = stored.value();
                let alert = queue::parse(json)?;
                let state = match attempts {
                    _ if !self.inner.signals.contains_key(name) => Waiting::Orphaned,
                    0 => Waiting::Waiting,
                    _ => Waiting::Retrying,
                };
                listed.push(Listed {
                    sink: name.to_owned(),
                    state,
                    attempts,
                    since,
                    next_try: Some(next).filter(|_| state == Waiting::Retrying && next > 0),
                    severity: alert.severity,
                    rule: alert.rule,
                    id: alert.id,
                    last_error: Some(reason.to_owned()).filter(|reason| !reason.is_empty()),
                });
                last = Some(Place(name.to_owned(), Key { rank, sequence }));
            }
            Ok((listed, None))
        })
    }

    /// Makes alerts due now, and has their sinks tried even if they are being left alone. Returns how
    /// many alerts (of a sink each) were meant.
    pub fn retry(&self, sink: Option<&str>, which: &Which) -> Result<u64, OutboxError> {
        let sinks: Vec<&str> = match sink {
            Some(sink) => self.inner.signals.contains_key(sink).then_some(sink).into_iter().collect(),
            None => self.inner.signals.keys().map(String::as_str).collect(),
        };
        let chosen = match which {
            Which::All => None,
            Which::Ids(ids) => Some(self.find(&sinks, ids)?),
        };
        let mut count = 0;
        for sink in sinks {
            let meant = {
                let mut state = self.state();
                match &chosen {
                    None => {
                        state.not_before.remove(sink);
                        state.depth.get(sink).copied().unwrap_or(0)
                    }
                    Some(chosen) => {
                        let keys = chosen.get(sink).map_or(&[][..], Vec::as_slice);
                        if let Some(waits) = state.not_before.get_mut(sink) {
                            waits.retain(|key, _| !keys.contains(key));
                        }
                        keys.len() as u64
                    }
                }
            };
            if meant > 0
                && let Some(signal) = self.inner.signals.get(sink)
            {
                signal.hurry.store(true, Ordering::Release);
                signal.changed.notify_one();
            }
            count += meant;
        }
        Ok(count)
    }

    /// Moves alerts to dead letters. Returns how many (of a sink each).
    pub fn drop(&self, sink: Option<&str>, which: &Which, now: i64) -> Result<u64, OutboxError> {
        let names: Vec<String> = match sink {
            Some(sink) => vec![sink.to_owned()],
            None => self.state().depth.keys().cloned().collect(),
        };
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut count = 0;
        match which {
            Which::Ids(ids) => {
                for (sink, keys) in self.find(&names, ids)? {
                    for keys in keys.chunks(DROP_STEP) {
                        count += self.drop_keys(&sink, keys, now)?;
                    }
                }
            }
            Which::All => {
                for sink in names {
                    loop {
                        let keys = self.front(sink)?;
                        if keys.is_empty() {
                            break;
                        }
                        count += self.drop_keys(sink, &keys, now)?;
                    }
                }
            }
        }
        if count > 0 {
            tracing::warn!(
                alerts = count,
                sink,
                "alerts were dropped by the operator; dead letters have them"
            );
        }
        Ok(count)
    }

    fn drop_keys(&self, sink: &str, keys: &[Key], now: i64) -> Result<u64, OutboxError> {
        let (gone, bytes) = self.write(|database| {
            let transaction = database.begin_write()?;
            let (mut gone, mut letters) = (Vec::new(), Vec::new());
            let bytes;
            {
                let mut tables = Tables::of(&transaction)?;
                for key in keys {
                    let detail = "given up with aksentry outbox drop";
                    letters.extend(letter(&tables, sink, *key, "dropped_by_operator", detail, now)?);
                    if tables.remove(sink, *key)? {
                        gone.push(*key);
                    }
                }
                bytes = tables.number(tables::BYTES)?;
            }
            self.inner.dead.append(&letters)?;
            self.inner.dead.sync()?;
            transaction.commit()?;
            Ok((gone, bytes))
        })?;
        self.state().gone(sink, &gone, bytes);
        self.show();
        Ok(gone.len() as u64)
    }

    /// The first alerts of a queue.
    fn front(&self, sink: &str) -> Result<Vec<Key>, OutboxError> {
        self.read(|database| {
            let transaction = database.begin_read()?;
            let queue = transaction.open_table(tables::QUEUE)?;
            let mut keys = Vec::new();
            for row in queue.range((sink, 0, 0)..=(sink, u8::MAX, u64::MAX))?.take(DROP_STEP) {
                let (_, rank, sequence) = row?.0.value();
                keys.push(Key { rank, sequence });
            }
            Ok(keys)
        })
    }

    /// The places of alerts in the queues of sinks.
    fn find(&self, sinks: &[&str], ids: &[String]) -> Result<BTreeMap<String, Vec<Key>>, OutboxError> {
        self.read(|database| {
            let transaction = database.begin_read()?;
            let known = transaction.open_table(tables::IDS)?;
            let alerts = transaction.open_table(tables::ALERTS)?;
            let queue = transaction.open_table(tables::QUEUE)?;
            let mut found: BTreeMap<String, Vec<Key>> = BTreeMap::new();
            for id in ids {
                let Some(sequence) = known.get(id.as_str())?.map(|value| value.value()) else { continue };
                let Some(stored) = alerts.get(sequence)? else { continue };
                let alert = queue::parse(stored.value().1)?;
                let rank = tables::rank(alert.severity);
                for sink in sinks {
                    if queue.get((*sink, rank, sequence))?.is_some() {
                        found.entry((*sink).to_owned()).or_default().push(Key { rank, sequence });
                    }
                }
            }
            Ok(found)
        })
    }
}
