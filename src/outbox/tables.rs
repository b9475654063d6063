//! The tables of the database and one transaction over all of them.
//!
//! An alert is stored once, with the number of sinks it still waits for; each of those has a row in the
//! queue, ordered by urgency and then by age. Age is a counter: the clock may jump.

use std::ops::Bound;

use redb::{ReadableTable, StorageError, Table, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::file::Fault;
use crate::alert::{Alert, Severity};

/// Sequence → when it was put (microseconds), the alert as JSON.
pub(super) const ALERTS: TableDefinition<u64, (i64, &[u8])> = TableDefinition::new("alerts");
/// Sequence → how many sinks have not got the alert yet.
const LEFT: TableDefinition<u64, u32> = TableDefinition::new("left");
/// Sink, rank, sequence → attempts, when the next is due (microseconds, for reading only), last reason.
pub(super) const QUEUE: TableDefinition<(&str, u8, u64), (u32, i64, &str)> = TableDefinition::new("queue");
/// Id of every alert put → its sequence.
pub(super) const IDS: TableDefinition<&str, u64> = TableDefinition::new("ids");
/// Sequence → when, id: the order in which ids are forgotten.
pub(super) const SEEN: TableDefinition<u64, (i64, &str)> = TableDefinition::new("seen");
pub(super) const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");
/// Configured sinks → the least severity they take.
pub(super) const ROUTES: TableDefinition<&str, &str> = TableDefinition::new("routes");

/// The next sequence.
const NEXT: &str = "next";
/// Bytes that all stored alerts take.
pub(super) const BYTES: &str = "bytes";
/// How many ids are remembered.
pub(super) const REMEMBERED: &str = "remembered";
/// Changes when the tables do.
const FORMAT: &str = "format";
const THIS_FORMAT: u64 = 1;

/// Bytes of the file that an alert of so many takes, measured: pages are half full, and a few sinks have
/// a row for it. Another formula needs another format, as sums of this one are stored.
pub(super) fn room(json: usize) -> u64 {
    2 * json as u64 + 512
}

/// How much of what a sink said is kept.
const MAX_REASON: usize = 500;

/// An alert in the queue of a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// 0 = critical.
    pub(super) rank: u8,
    pub(super) sequence: u64,
}

/// The most urgent first.
pub(super) fn rank(severity: Severity) -> u8 {
    match severity {
        Severity::Critical => 0,
        Severity::High => 1,
        Severity::Medium => 2,
        Severity::Low => 3,
        Severity::Informational => 4,
    }
}

/// Ranks from the most urgent to the least.
pub(super) const RANKS: std::ops::RangeInclusive<u8> = 0..=4;

/// The tables, all open in one transaction.
pub(super) struct Tables<'txn> {
    pub alerts: Table<'txn, u64, (i64, &'static [u8])>,
    left: Table<'txn, u64, u32>,
    pub queue: Table<'txn, (&'static str, u8, u64), (u32, i64, &'static str)>,
    pub ids: Table<'txn, &'static str, u64>,
    pub seen: Table<'txn, u64, (i64, &'static str)>,
    pub numbers: Table<'txn, &'static str, u64>,
    pub routes: Table<'txn, &'static str, &'static str>,
}

impl<'txn> Tables<'txn> {
    /// Opens the tables; in a new database this makes them.
    pub fn of(transaction: &'txn WriteTransaction) -> Result<Self, Fault> {
        Ok(Self {
            alerts: transaction.open_table(ALERTS)?,
            left: transaction.open_table(LEFT)?,
            queue: transaction.open_table(QUEUE)?,
            ids: transaction.open_table(IDS)?,
            seen: transaction.open_table(SEEN)?,
            numbers: transaction.open_table(NUMBERS)?,
            routes: transaction.open_table(ROUTES)?,
        })
    }

    /// Marks a new database with the format, and refuses one of another.
    pub fn check_format(&mut self) -> Result<(), Fault> {
        match self.number(FORMAT)? {
            0 => self.set(FORMAT, THIS_FORMAT),
            THIS_FORMAT => Ok(()),
            other => {
                let text = format!("it has format {other}, this aksentry knows format {THIS_FORMAT}");
                Err(StorageError::Corrupted(text).into())
            }
        }
    }

    pub fn number(&self, name: &str) -> Result<u64, Fault> {
        Ok(self.numbers.get(name)?.map_or(0, |value| value.value()))
    }

    fn set(&mut self, name: &str, value: u64) -> Result<(), Fault> {
        self.numbers.insert(name, value)?;
        Ok(())
    }

    fn add(&mut self, name: &str, change: i64) -> Result<(), Fault> {
        let value = self.number(name)?.saturating_add_signed(change);
        self.set(name, value)
    }

    /// Remembers an id under a new sequence; `None` if it is known.
    pub fn remember(&mut self, id: &str, now: i64) -> Result<Option<u64>, Fault> {
        if self.ids.get(id)?.is_some() {
            return Ok(None);
        }
        let sequence = self.number(NEXT)?;
        self.set(NEXT, sequence + 1)?;
        self.ids.insert(id, sequence)?;
        self.seen.insert(sequence, (now, id))?;
        self.add(REMEMBERED, 1)?;
        Ok(Some(sequence))
    }

    pub fn forget(&mut self, sequence: u64, id: &str) -> Result<(), Fault> {
        self.seen.remove(sequence)?;
        self.ids.remove(id)?;
        self.add(REMEMBERED, -1)
    }

    /// Stores an alert and queues it for sinks.
    pub fn enqueue(&mut self, sequence: u64, alert: &Alert, sinks: &[&str], now: i64) -> Result<(), Fault> {
        let json = serde_json::to_vec(alert).map_err(|error| StorageError::Corrupted(error.to_string()))?;
        self.add(BYTES, room(json.len()) as i64)?;
        self.alerts.insert(sequence, (now, json.as_slice()))?;
        self.left.insert(sequence, sinks.len() as u32)?;
        for sink in sinks {
            self.queue.insert((*sink, rank(alert.severity), sequence), (0, now, ""))?;
        }
        Ok(())
    }

    /// The alert of a sequence: when it was put, and its JSON.
    pub fn alert(&self, sequence: u64) -> Result<Option<(i64, Vec<u8>)>, Fault> {
        Ok(self.alerts.get(sequence)?.map(|value| {
            let (put_at, json) = value.value();
            (put_at, json.to_vec())
        }))
    }

    /// Notes a failed attempt; `false` if the alert is not in the queue any more.
    pub fn failed(&mut self, sink: &str, key: Key, next: i64, reason: &str) -> Result<bool, Fault> {
        let at = (sink, key.rank, key.sequence);
        let Some(attempts) = self.queue.get(at)?.map(|row| row.value().0) else { return Ok(false) };
        let end = reason.floor_char_boundary(MAX_REASON);
        let reason = reason.get(..end).unwrap_or_default();
        self.queue.insert(at, (attempts.saturating_add(1), next, reason))?;
        Ok(true)
    }

    /// Takes an alert out of one queue, and out of the store with the last; `false` if it was not there.
    pub fn remove(&mut self, sink: &str, key: Key) -> Result<bool, Fault> {
        if self.queue.remove((sink, key.rank, key.sequence))?.is_none() {
            return Ok(false);
        }
        let left = self.left.get(key.sequence)?.map_or(0, |value| value.value());
        if left > 1 {
            self.left.insert(key.sequence, left - 1)?;
            return Ok(true);
        }
        self.left.remove(key.sequence)?;
        let bytes = self.alerts.remove(key.sequence)?.map_or(0, |value| room(value.value().1.len()));
        self.add(BYTES, -(bytes as i64))?;
        Ok(true)
    }

    /// The least urgent alert, of those the oldest, and the sinks it waits for.
    pub fn expendable(&self) -> Result<Option<(Key, Vec<String>)>, Fault> {
        let sinks = sinks(&self.queue)?;
        for rank in RANKS.rev() {
            let mut oldest: Option<(u64, Vec<String>)> = None;
            for sink in &sinks {
                let Some(sequence) = first(&self.queue, sink, rank)? else { continue };
                match &mut oldest {
                    Some((least, waiting)) if *least == sequence => waiting.push(sink.clone()),
                    Some((least, _)) if *least < sequence => {}
                    _ => oldest = Some((sequence, vec![sink.clone()])),
                }
            }
            if let Some((sequence, waiting)) = oldest {
                return Ok(Some((Key { rank, sequence }, waiting)));
            }
        }
        Ok(None)
    }
}

/// All sinks with something in the queue.
pub(super) fn sinks(
    queue: &impl ReadableTable<(&'static str, u8, u64), (u32, i64, &'static str)>,
) -> Result<Vec<String>, Fault> {
    let mut names: Vec<String> = Vec::new();
    loop {
        let from =
            names.last().map_or(Bound::Unbounded, |name| Bound::Excluded((name.as_str(), u8::MAX, u64::MAX)));
        let Some(row) = queue.range::<(&str, u8, u64)>((from, Bound::Unbounded))?.next() else { break };
        let name = row?.0.value().0.to_owned();
        names.push(name);
    }
    Ok(names)
}

/// The oldest of a rank in the queue of a sink.
pub(super) fn first(
    queue: &impl ReadableTable<(&'static str, u8, u64), (u32, i64, &'static str)>,
    sink: &str,
    rank: u8,
) -> Result<Option<u64>, Fault> {
    match queue.range((sink, rank, 0)..=(sink, rank, u64::MAX))?.next() {
        Some(row) => Ok(Some(row?.0.value().2)),
        None => Ok(None),
    }
}
