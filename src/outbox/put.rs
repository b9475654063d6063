//! Putting alerts: one transaction that remembers their ids, queues them for their sinks, makes room
//! under the cap and forgets what is old.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use redb::{ReadableTable, WriteTransaction};

use super::dead_letters::{DeadLetter, Origin};
use super::file::Fault;
use super::tables::{self, Tables};
use super::{Key, Outbox, OutboxError, SinkRoute, queue};
use crate::alert::{Alert, Status};
use crate::telemetry::metrics::{Reason, RuleSeverity};

/// An id with its place in the order of forgetting takes about this much of the file.
const ID_BYTES: u64 = 160;
/// Ids may take this part of the room that alerts may.
const IDS_PART: u64 = 4;
/// However little room there is, so many ids are remembered.
const IDS_AT_LEAST: u64 = 1000;
/// How many remembered ids one `put` looks at, beside as many as it adds, to forget the old ones.
const PRUNE_STEP: usize = 256;
/// What a `put` has done.
#[derive(Debug, Default)]
struct Put<'a> {
    new: Vec<&'a Alert>,
    depth: BTreeMap<String, i64>,
    bytes: u64,
    evicted: u64,
    forgotten_early: u64,
    prune_from: u64,
}

/// An alert of a queue as a dead letter; `None` if it is not there.
pub(super) fn letter(
    tables: &Tables<'_>,
    sink: &str,
    key: Key,
    reason: &str,
    detail: &str,
    now: i64,
) -> Result<Option<DeadLetter>, Fault> {
    if tables.queue.get((sink, key.rank, key.sequence))?.is_none() {
        return Ok(None);
    }
    let Some((_, json)) = tables.alert(key.sequence)? else { return Ok(None) };
    let alert = queue::parse(&json)?;
    Ok(Some(DeadLetter {
        time: now,
        reason: reason.to_owned(),
        source: Origin::Sink { sink: sink.to_owned(), alert: alert.id },
        detail: detail.to_owned(),
        body: json.into(),
    }))
}

impl Outbox {
    /// Makes alerts durable and queues them for their sinks. Those whose id was put before are left out,
    /// shadow alerts are remembered and counted only. Returns how many are new. After an error nothing
    /// of it is certain: the same alerts are to be put again before anything is committed.
    pub fn put(&self, alerts: &[Alert], now: i64) -> Result<usize, OutboxError> {
        if alerts.is_empty() {
            return Ok(0);
        }
        let put = self.write(|database| {
            let transaction = database.begin_write()?;
            let put = self.put_in(&transaction, alerts, now)?;
            if put.new.is_empty() {
                // What is known already is durable already.
                transaction.abort()?;
            } else {
                transaction.commit()?;
            }
            Ok(put)
        })?;
        for alert in &put.new {
            let label = RuleSeverity { rule: alert.rule.clone(), severity: alert.severity.as_str() };
            self.inner.metrics.alerts.get_or_create(&label).inc();
        }
        {
            let mut state = self.state();
            for (sink, change) in &put.depth {
                let depth = state.depth.entry(sink.clone()).or_default();
                *depth = depth.saturating_add_signed(*change);
            }
            state.bytes = put.bytes;
            state.prune_from = put.prune_from;
        }
        self.note_room(&put);
        for (sink, _) in put.depth.iter().filter(|(_, change)| **change > 0) {
            self.wake(sink);
        }
        self.show();
        Ok(put.new.len())
    }

    fn put_in<'a>(
        &self,
        transaction: &WriteTransaction,
        alerts: &'a [Alert],
        now: i64,
    ) -> Result<Put<'a>, Fault> {
        let mut tables = Tables::of(transaction)?;
        let mut put = Put::default();
        for alert in alerts {
            let Some(sequence) = tables.remember(&alert.id, now)? else { continue };
            put.new.push(alert);
            if alert.status != Status::Stable {
                continue;
            }
            let takes = |route: &&SinkRoute| route.min_severity <= alert.severity;
            let sinks: Vec<&str> =
                self.inner.routes.iter().filter(takes).map(|route| route.name.as_str()).collect();
            if sinks.is_empty() {
                continue;
            }
            tables.enqueue(sequence, alert, &sinks, now)?;
            for sink in sinks {
                *put.depth.entry(sink.to_owned()).or_default() += 1;
            }
        }
        let letters = self.make_room(&mut tables, &mut put, now)?;
        self.forget_old(&mut tables, &mut put, now)?;
        put.bytes = tables.number(tables::BYTES)?;
        if !letters.is_empty() {
            // On disk before the alerts are gone from here.
            self.inner.dead.append(&letters)?;
            self.inner.dead.sync()?;
        }
        Ok(put)
    }

    /// Moves the least urgent alerts to dead letters while there is more than the cap.
    fn make_room(
        &self,
        tables: &mut Tables<'_>,
        put: &mut Put<'_>,
        now: i64,
    ) -> Result<Vec<DeadLetter>, Fault> {
        let mut letters = Vec::new();
        while tables.number(tables::BYTES)? > self.inner.config.max_bytes {
            let Some((key, sinks)) = tables.expendable()? else { break };
            let detail =
                format!("alerts that wait for delivery take more than {} bytes", self.inner.config.max_bytes);
            for sink in sinks {
                letters.extend(letter(tables, &sink, key, "outbox_full", &detail, now)?);
                tables.remove(&sink, key)?;
                *put.depth.entry(sink).or_default() -= 1;
            }
            put.evicted += 1;
        }
        Ok(letters)
    }

    /// Forgets ids that are old enough, or too many; never of an alert that still waits.
    fn forget_old(&self, tables: &mut Tables<'_>, put: &mut Put<'_>, now: i64) -> Result<(), Fault> {
        let config = &self.inner.config;
        let remember = i64::try_from(config.remember.as_micros()).unwrap_or(i64::MAX);
        let before = now.saturating_sub(remember);
        let most = (config.max_bytes / IDS_PART / ID_BYTES).max(IDS_AT_LEAST);
        let mut surplus = tables.number(tables::REMEMBERED)?.saturating_sub(most);
        let from = self.state().prune_from;
        let limit = PRUNE_STEP + put.new.len();
        let mut old = Vec::new();
        // From the start again next time, but if only waiting ones were met.
        put.prune_from = 0;
        for (walked, row) in tables.seen.range(from..)?.enumerate() {
            let (sequence, seen) = row?;
            let (sequence, (time, id)) = (sequence.value(), seen.value());
            if walked == limit {
                put.prune_from = sequence;
                break;
            }
            if time > before && surplus == 0 {
                break;
            }
            if tables.alerts.get(sequence)?.is_some() {
                continue;
            }
            if time > before {
                surplus -= 1;
                put.forgotten_early += 1;
            }
            old.push((sequence, id.to_owned()));
        }
        for (sequence, id) in old {
            tables.forget(sequence, &id)?;
        }
        Ok(())
    }

    fn note_room(&self, put: &Put<'_>) {
        let max_bytes = self.inner.config.max_bytes;
        if put.evicted > 0 {
            self.inner.full.store(true, Ordering::Relaxed);
            tracing::error!(
                alerts = put.evicted,
                max_bytes,
                "the outbox is full: the least urgent alerts were moved to dead letters; see to the sinks that do not take their alerts (aksentry outbox list)"
            );
        }
        if put.forgotten_early > 0 {
            let reason = Reason { reason: "alert_ids".to_owned() };
            self.inner.metrics.dropped.get_or_create(&reason).inc_by(put.forgotten_early);
            tracing::warn!(
                ids = put.forgotten_early,
                "more alerts than can be remembered: should their messages come again, they are sent again with the same ids"
            );
        }
    }
}
