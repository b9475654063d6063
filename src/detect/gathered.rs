//! Alerts that replay gathers until it has seen everything, each with its true count and times.
//!
//! Firings with the same id are one alert. Beyond a budget of bytes, entries go to disk ([`super::runs`])
//! and are merged with later ones of their id at the end, so that a rule that matches everything costs
//! disk and not memory. Which alerts come, and in which order, does not depend on the budget.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

use serde_json::Value;

use super::codec::{Reader, SavedError, Writer};
use super::collector::Moment;
use super::firing::{Event, Firing};
use super::runs::Runs;
use crate::alert::{Alert, MAX_AUDIT_IDS, Object};
use crate::event::value::rfc3339;
use crate::rules::Detection;

/// One alert so far.
#[derive(Debug)]
pub struct Pending {
    pub rule: usize,
    firing: Firing,
    /// The firing with the lowest rank is shown: of windows the fullest, then the earliest; of rows the first.
    rank: Rank,
    count: u64,
    first: Option<i64>,
    last: Option<i64>,
    audit_ids: BTreeSet<(i64, u64, String)>,
    /// Windows overlap: events of windows up to here were counted.
    counted_to: Option<(i64, u64)>,
    /// Windows that end before this may have the same id; `i64::MIN` where single rows have it.
    open_until: i64,
}

type Rank = (i64, i64, u64);

fn rank_of(moment: Moment, events: &[Event]) -> Rank {
    match moment {
        Moment::Row { time, row, .. } => (0, time, row),
        Moment::WindowEnd(end) => (-(events.len() as i64), end, 0),
    }
}

/// An alert so far, and its id.
#[derive(Debug)]
pub struct Entry {
    pub id: String,
    pub pending: Pending,
}

/// Alerts by id, of which those that do not fit are on disk.
#[derive(Debug)]
pub struct Gathered {
    pending: BTreeMap<String, Pending>,
    /// About how much `pending` holds.
    bytes: usize,
    budget: usize,
    /// How far the rules have come that are being evaluated, by number.
    under_way: BTreeMap<usize, i64>,
    /// In order of id.
    runs: Runs,
}

fn by_id(a: &Entry, b: &Entry) -> Ordering {
    a.id.cmp(&b.id)
}

impl Gathered {
    /// Nothing yet; about `budget` bytes stay in memory.
    pub fn new(budget: usize) -> Self {
        Self { pending: BTreeMap::new(), bytes: 0, budget, under_way: BTreeMap::new(), runs: Runs::default() }
    }

    /// Adds a firing of rule number `index`.
    pub fn add(
        &mut self,
        id: String,
        index: usize,
        rule: &Detection,
        firing: Firing,
        moment: Moment,
        events: &[Event],
    ) {
        self.under_way.entry(index).or_insert(i64::MIN);
        let fresh = Pending::new(index, rule, firing, moment, events);
        self.bytes += fresh.bytes();
        match self.pending.entry(id) {
            std::collections::btree_map::Entry::Vacant(entry) => {
                self.bytes += entry.key().len();
                entry.insert(fresh);
            }
            std::collections::btree_map::Entry::Occupied(mut entry) => {
                let before = entry.get().bytes() + fresh.bytes();
                entry.get_mut().merge(fresh, events);
                self.bytes = self.bytes.saturating_sub(before) + entry.get().bytes();
            }
        }
    }

    /// Puts entries on disk where there are more than the budget allows. Rule number `index` was evaluated
    /// up to `time`: a window counts events only once, so an alert to which later windows may add stays in
    /// memory until its rule is [`Gathered::evaluated`].
    pub fn keep_to_budget(&mut self, index: usize, time: i64) -> io::Result<()> {
        self.under_way.insert(index, time);
        if self.bytes <= self.budget {
            return Ok(());
        }
        let stays = |pending: &Pending| {
            self.under_way.get(&pending.rule).is_some_and(|time| pending.open_until > *time)
        };
        let (kept, out): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.pending).into_iter().partition(|(_, pending)| stays(pending));
        let out: Vec<Entry> = out.into_iter().map(|(id, pending)| Entry { id, pending }).collect();
        let written = self.runs.put(&out, &by_id);
        self.pending = kept;
        if written.is_err() {
            // A full disk must lose nothing: all stays in memory, and is not tried again at every row.
            self.pending.extend(out.into_iter().map(|entry| (entry.id, entry.pending)));
            self.budget = self.budget.max(self.bytes).saturating_mul(2);
            return written;
        }
        self.bytes = self.pending.iter().map(|(id, pending)| id.len() + pending.bytes()).sum();
        // Where nearly all of it may still grow, it would be gone through at every step.
        self.budget = self.budget.max(self.bytes * 2);
        Ok(())
    }

    /// Rule number `index` adds nothing any more.
    pub fn evaluated(&mut self, index: usize) {
        self.under_way.remove(&index);
    }

    /// Gives every alert, in order of `first_seen`, then rule and id; nothing is left.
    pub fn drain<'r, E: From<io::Error>>(
        &mut self,
        rule: &dyn Fn(usize) -> &'r Detection,
        each: &mut dyn FnMut(String, Pending) -> Result<(), E>,
    ) -> Result<(), E> {
        let left = std::mem::take(&mut self.pending);
        self.bytes = 0;
        let name = |entry: &Entry| &rule(entry.pending.rule).id;
        let shown =
            |a: &Entry, b: &Entry| (a.pending.first, name(a), &a.id).cmp(&(b.pending.first, name(b), &b.id));
        let mut entries: Vec<Entry> = left.into_iter().map(|(id, pending)| Entry { id, pending }).collect();
        if self.runs.is_empty() {
            entries.sort_by(shown);
            return entries.into_iter().try_for_each(|entry| each(entry.id, entry.pending));
        }
        let mut runs = std::mem::take(&mut self.runs);
        runs.put(&entries, &by_id)?;
        entries.clear();
        // Equal ids follow each other now; whole alerts are sorted anew by when they were first seen.
        let (mut sorted, mut bytes) = (Runs::default(), 0);
        let mut flush = |entries: &mut Vec<Entry>| {
            entries.sort_by(shown);
            sorted.put(&*entries, &shown)?;
            entries.clear();
            Ok::<(), E>(())
        };
        runs.merge(&by_id, &mut |entry: Entry| {
            match entries.last_mut().filter(|last| last.id == entry.id) {
                Some(last) => last.pending.add(entry.pending),
                None => {
                    if bytes > self.budget {
                        bytes = 0;
                        flush(&mut entries)?;
                    }
                    bytes += entry.id.len() + entry.pending.bytes();
                    entries.push(entry);
                }
            }
            Ok::<(), E>(())
        })?;
        flush(&mut entries)?;
        sorted.merge(&shown, &mut |entry| each(entry.id, entry.pending))
    }
}

impl Pending {
    pub fn new(rule: usize, detection: &Detection, firing: Firing, moment: Moment, events: &[Event]) -> Self {
        let rank = rank_of(moment, events);
        let (first, last) = (firing.first_seen, firing.last_seen);
        let open_until = match (moment, detection.suppress.and_then(|s| s.num_microseconds())) {
            (Moment::WindowEnd(end), Some(suppress)) => {
                end.div_euclid(suppress).saturating_add(1).saturating_mul(suppress)
            }
            (Moment::WindowEnd(end), None) => end.saturating_add(1),
            (Moment::Row { .. }, _) => i64::MIN,
        };
        let mut made = Self {
            rule,
            firing,
            rank,
            count: 0,
            first,
            last,
            audit_ids: BTreeSet::new(),
            counted_to: None,
            open_until,
        };
        made.count(events);
        made
    }

    /// A later firing, with the events it was made of.
    fn merge(&mut self, later: Pending, events: &[Event]) {
        self.first = earlier(self.first, later.firing.first_seen);
        self.last = self.last.max(later.firing.last_seen);
        if later.rank < self.rank {
            self.rank = later.rank;
            self.firing = later.firing;
        }
        self.count(events);
    }

    /// Another part of the same alert, of other events.
    fn add(&mut self, other: Pending) {
        self.first = earlier(self.first, other.first);
        self.last = self.last.max(other.last);
        self.count += other.count;
        self.counted_to = self.counted_to.max(other.counted_to);
        self.audit_ids.extend(other.audit_ids);
        while self.audit_ids.len() > MAX_AUDIT_IDS {
            self.audit_ids.pop_last();
        }
        if other.rank < self.rank {
            self.rank = other.rank;
            self.firing = other.firing;
        }
    }

    fn count(&mut self, events: &[Event]) {
        let windowed = self.open_until != i64::MIN;
        for (time, row, audit_id) in events {
            if windowed && self.counted_to.is_some_and(|to| (*time, *row) <= to) {
                continue;
            }
            self.count += 1;
            let known = (*time != i64::MIN).then_some(*time);
            if self.firing.first_seen.is_none() {
                self.first = earlier(self.first, known);
            }
            if self.firing.last_seen.is_none() {
                self.last = self.last.max(known);
            }
            if let Some(id) = audit_id {
                self.audit_ids.insert((*time, *row, id.clone()));
                if self.audit_ids.len() > MAX_AUDIT_IDS {
                    self.audit_ids.pop_last();
                }
            }
        }
        self.counted_to = self.counted_to.max(events.last().map(|(time, row, _)| (*time, *row)));
    }

    /// About what it holds in memory.
    fn bytes(&self) -> usize {
        /// A map's entry with its key, and a value.
        const NODE: usize = 96;
        fn value_bytes(value: &Value) -> usize {
            NODE + match value {
                Value::String(text) => text.len(),
                Value::Array(items) => items.iter().map(value_bytes).sum(),
                Value::Object(object) => object_bytes(object),
                _ => 0,
            }
        }
        fn object_bytes(object: &Object) -> usize {
            object.iter().map(|(name, value)| name.len() + value_bytes(value)).sum()
        }
        let Firing { cluster, key, summary, evidence, .. } = &self.firing;
        let texts = cluster.as_ref().map_or(0, String::len) + summary.len();
        let ids: usize = self.audit_ids.iter().map(|(_, _, id)| NODE + id.len()).sum();
        size_of::<(String, Self)>() + texts + object_bytes(key) + object_bytes(evidence) + ids
    }

    pub fn into_alert(self, id: String, rule: &Detection, replayed: bool) -> Alert {
        Alert {
            id,
            rule: rule.id.clone(),
            title: rule.title.clone(),
            severity: rule.severity,
            status: rule.status,
            cluster: self.firing.cluster,
            key: self.firing.key,
            summary: self.firing.summary,
            count: self.count,
            first_seen: self.first.and_then(rfc3339),
            last_seen: self.last.and_then(rfc3339),
            attack: rule.attack.clone(),
            tactic: rule.tactic.clone(),
            audit_ids: self.audit_ids.into_iter().map(|(_, _, id)| id).collect(),
            evidence: self.firing.evidence,
            replayed,
        }
    }
}

impl Entry {
    /// Writes it whole; only this process reads it.
    pub fn save(&self, to: &mut Writer) {
        let Pending { rule, firing, rank, count, first, last, audit_ids, counted_to, open_until } =
            &self.pending;
        to.text(&self.id);
        to.count(*rule);
        to.value(&firing.cluster.clone().map_or(Value::Null, Value::String));
        to.object(&firing.key);
        to.text(&firing.summary);
        to.object(&firing.evidence);
        let (at, row) = counted_to.unwrap_or((i64::MIN, 0));
        for time in [firing.first_seen, firing.last_seen, *first, *last] {
            to.i64(time.unwrap_or(i64::MIN));
        }
        for number in [rank.0, rank.1, *open_until, at] {
            to.i64(number);
        }
        for number in [rank.2, row, u64::from(counted_to.is_some()), *count] {
            to.u64(number);
        }
        to.count(audit_ids.len());
        for (time, row, id) in audit_ids {
            to.i64(*time);
            to.u64(*row);
            to.text(id);
        }
    }

    /// What [`Entry::save`] wrote.
    pub fn load(from: &mut Reader) -> Result<Entry, SavedError> {
        let (id, rule) = (from.text()?.to_string(), from.u64()? as usize);
        let cluster = from.value()?.as_str().map(String::from);
        let key = from.object()?;
        let summary = from.text()?.to_string();
        let evidence = from.object()?;
        let mut time = || from.i64().map(|time| (time != i64::MIN).then_some(time));
        let [first_seen, last_seen, first, last] = [time()?, time()?, time()?, time()?];
        let [kind, of, open_until, at] = [from.i64()?, from.i64()?, from.i64()?, from.i64()?];
        let [row, counted_row, counted, count] = [from.u64()?, from.u64()?, from.u64()?, from.u64()?];
        let mut audit_ids = BTreeSet::new();
        for _ in 0..from.count(24)? {
            audit_ids.insert((from.i64()?, from.u64()?, from.text()?.to_string()));
        }
        let firing = Firing { cluster, key, summary, evidence, first_seen, last_seen, events: Vec::new() };
        let rank = (kind, of, row);
        let counted_to = (counted != 0).then_some((at, counted_row));
        let pending = Pending { rule, firing, rank, count, first, last, audit_ids, counted_to, open_until };
        Ok(Entry { id, pending })
    }
}

fn earlier(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
