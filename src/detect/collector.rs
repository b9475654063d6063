//! From firings to alerts: one alert per id, whatever the order firings came in.
//!
//! Replay wants each alert complete, so they are gathered until the end; live wants it at the first
//! event, so later firings of the same id are only counted as suppressed.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::emitted::Emitted;
use super::firing::{Event, Firing};
use crate::alert::{Alert, MAX_AUDIT_IDS, alert_id};
use crate::event::value::rfc3339;
use crate::rules::Detection;

/// When alerts leave the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Emission {
    /// At the end, each with its true count and times.
    #[default]
    Complete,
    /// At the first event of each id.
    First,
}

/// What gives an alert its id, beside the rule.
#[derive(Debug, Clone, Copy)]
pub enum Moment<'a> {
    /// A single row: its time and what it is called.
    Row { time: i64, cluster: Option<&'a str>, audit_id: Option<&'a str>, stage: Option<&'a str>, row: u64 },
    /// A window's end.
    WindowEnd(i64),
}

#[derive(Debug)]
struct Pending {
    rule: usize,
    firing: Firing,
    /// The firing with the lowest rank is shown: of windows the fullest, then the earliest; of rows the first.
    rank: Rank,
    count: u64,
    first: Option<i64>,
    last: Option<i64>,
    audit_ids: BTreeSet<(i64, u64, String)>,
    /// Windows overlap: events of windows up to here were counted.
    counted_to: Option<(i64, u64)>,
}

type Rank = (i64, i64, u64);

fn rank_of(moment: Moment, events: &[Event]) -> Rank {
    match moment {
        Moment::Row { time, row, .. } => (0, time, row),
        Moment::WindowEnd(end) => (-(events.len() as i64), end, 0),
    }
}

/// Alerts being made.
#[derive(Debug, Default)]
pub struct Collector {
    emission: Emission,
    pending: BTreeMap<String, Pending>,
    /// Ids that were emitted.
    pub emitted: Emitted,
    replayed: bool,
}

/// The id of an alert; see the contract.
pub fn id_of(rule: &Detection, firing: &Firing, moment: Moment) -> String {
    let key = serde_json::to_string(&firing.key).unwrap_or_default();
    let time = match moment {
        Moment::Row { time, .. } => time,
        Moment::WindowEnd(end) => end,
    };
    if let Some(suppress) = rule.suppress.and_then(|s| s.num_microseconds()) {
        let interval = time.div_euclid(suppress).to_string();
        return alert_id([rule.id.as_str(), "interval", &key, &interval]);
    }
    match moment {
        Moment::WindowEnd(end) => alert_id([rule.id.as_str(), "window", &key, &end.to_string()]),
        Moment::Row { cluster, audit_id: Some(id), stage, .. } => {
            alert_id([rule.id.as_str(), "event", cluster.unwrap_or_default(), id, stage.unwrap_or_default()])
        }
        Moment::Row { row, .. } => alert_id([rule.id.as_str(), "row", &row.to_string()]),
    }
}

impl Collector {
    pub fn new(emission: Emission, replayed: bool) -> Self {
        Self { emission, replayed, ..Self::default() }
    }

    /// Adds a firing; gives the alert that is to leave now, if one is.
    pub fn add(
        &mut self,
        index: usize,
        rule: &Detection,
        mut firing: Firing,
        moment: Moment,
    ) -> Option<Alert> {
        let id = id_of(rule, &firing, moment);
        let events = std::mem::take(&mut firing.events);
        if self.emission == Emission::First {
            let time = events.last().map_or(i64::MIN, |e| e.0);
            let keep = time.saturating_add(rule.suppress.and_then(|s| s.num_microseconds()).unwrap_or(0));
            let stateful = rule.window.is_some() || rule.baseline.is_some();
            if !self.emitted.insert(&id, keep, stateful) {
                return None;
            }
            let fresh = Pending::new(index, firing, moment, &events);
            return Some(fresh.into_alert(id, rule, self.replayed));
        }
        match self.pending.entry(id) {
            Entry::Vacant(entry) => {
                entry.insert(Pending::new(index, firing, moment, &events));
            }
            Entry::Occupied(entry) => entry.into_mut().merge(firing, moment, &events),
        }
        None
    }

    /// Every alert gathered, in order of `first_seen`, then rule and id.
    pub fn finish<'a>(&mut self, rule: impl Fn(usize) -> &'a Detection) -> Vec<Alert> {
        let pending = std::mem::take(&mut self.pending);
        let mut alerts: Vec<(Option<i64>, Alert)> = pending
            .into_iter()
            .map(|(id, p)| {
                (p.first, {
                    let rule = rule(p.rule);
                    p.into_alert(id, rule, self.replayed)
                })
            })
            .collect();
        alerts.sort_by(|(a, x), (b, y)| (a, &x.rule, &x.id).cmp(&(b, &y.rule, &y.id)));
        alerts.into_iter().map(|(_, alert)| alert).collect()
    }
}

impl Pending {
    fn new(rule: usize, firing: Firing, moment: Moment, events: &[Event]) -> Self {
        let rank = rank_of(moment, events);
        let (first, last) = (firing.first_seen, firing.last_seen);
        let mut made =
            Self { rule, firing, rank, count: 0, first, last, audit_ids: BTreeSet::new(), counted_to: None };
        made.count(moment, events);
        made
    }

    fn merge(&mut self, firing: Firing, moment: Moment, events: &[Event]) {
        self.first = earlier(self.first, firing.first_seen);
        self.last = self.last.max(firing.last_seen);
        let rank = rank_of(moment, events);
        if rank < self.rank {
            self.rank = rank;
            self.firing = firing;
        }
        self.count(moment, events);
    }

    fn count(&mut self, moment: Moment, events: &[Event]) {
        let windowed = matches!(moment, Moment::WindowEnd(_));
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

    fn into_alert(self, id: String, rule: &Detection, replayed: bool) -> Alert {
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

fn earlier(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
