//! From firings to alerts: one alert per id, whatever the order firings came in.
//!
//! Replay wants each alert complete, so they are gathered until the end; live wants it at the first
//! event, so later firings of the same id are only counted as suppressed.

use std::io;

use super::emitted::Emitted;
use super::firing::Firing;
use super::gathered::{Gathered, Pending};
use crate::alert::{Alert, alert_id};
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

/// Alerts being made.
#[derive(Debug)]
pub struct Collector {
    emission: Emission,
    gathered: Gathered,
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
    /// `memory` is about how many bytes of gathered alerts it holds; more go to disk.
    pub fn new(emission: Emission, replayed: bool, memory: usize) -> Self {
        Self { emission, gathered: Gathered::new(memory), emitted: Emitted::default(), replayed }
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
            let fresh = Pending::new(index, rule, firing, moment, &events);
            return Some(fresh.into_alert(id, rule, self.replayed));
        }
        self.gathered.add(id, index, rule, firing, moment, &events);
        None
    }

    /// Puts gathered alerts on disk where there are more than memory is for; rule number `index` was
    /// evaluated up to `time`.
    pub fn keep_to_budget(&mut self, index: usize, time: i64) -> io::Result<()> {
        self.gathered.keep_to_budget(index, time).map_err(|error| {
            let message = format!("cannot put alerts aside in a temporary folder: {error}");
            io::Error::new(error.kind(), message)
        })
    }

    /// No window of rule number `index` is being evaluated any more.
    pub fn evaluated(&mut self, index: usize) {
        self.gathered.evaluated(index);
    }

    /// Gives every alert gathered, in order of `first_seen`, then rule and id.
    pub fn finish<'a, E: From<io::Error>>(
        &mut self,
        rule: &dyn Fn(usize) -> &'a Detection,
        each: &mut dyn FnMut(Alert) -> Result<(), E>,
    ) -> Result<(), E> {
        let replayed = self.replayed;
        self.gathered.drain(rule, &mut |id, pending| {
            let rule = rule(pending.rule);
            each(pending.into_alert(id, rule, replayed))
        })
    }
}
