//! What the detecting thread tells the metrics.

use std::collections::BTreeMap;

use super::detect::{Detect, State};
use crate::event::Counts;
use crate::telemetry::metrics::{self, Outcome, Queue};

/// How much of what an engine counts was added to the metrics. An engine counts from nothing, the
/// metrics go on over a reload; so another engine needs another of these.
#[derive(Debug, Default)]
pub(super) struct Told {
    seconds: BTreeMap<String, f64>,
    failures: BTreeMap<String, u64>,
}

impl Told {
    /// How many of the seconds spent on a rule are new.
    fn seconds(&mut self, rule: &str, all: f64) -> f64 {
        let before = self.seconds.insert(rule.to_owned(), all);
        (all - before.unwrap_or_default()).max(0.0)
    }

    /// How many of a rule's failures are new.
    fn failures(&mut self, rule: &str, all: u64) -> u64 {
        let before = self.failures.insert(rule.to_owned(), all);
        all.saturating_sub(before.unwrap_or_default())
    }
}

impl Detect {
    pub(super) fn count(&self, counts: &Counts, received: i64) {
        let add = |outcome: &str, n: u64| {
            if n > 0 {
                self.metrics.records.get_or_create(&Outcome { outcome: outcome.into() }).inc_by(n);
            }
        };
        add("event", counts.events);
        add("control_plane", counts.control_plane);
        add("duplicate", counts.duplicates);
        for (reason, n) in &counts.rejects {
            add(reason.as_str(), *n);
        }
        self.metrics.truncated.inc_by(counts.truncated);
        if let Some(latest) = counts.last_event {
            let delay = received.saturating_sub(latest).max(0);
            self.metrics.event_delay.0.observe(delay as f64 / 1e6);
        }
    }

    pub(super) fn figures(&mut self, state: &mut State) {
        let bytes = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let queue = |queue| self.metrics.queue_bytes.get_or_create_owned(&Queue { queue });
        queue("journal").set(bytes(self.windows.waiting()));
        if let Some(archive) = &self.archive {
            queue("archive").set(archive.pending_bytes() as i64);
        }
        let full = self.outbox.full().then_some(
            "the outbox is over its cap: low alerts become dead letters; see why sinks do not take them",
        );
        self.health.set("outbox_size", full);
        let age = [state.since, state.committing].into_iter().flatten().map(|since| since.elapsed()).max();
        self.metrics.commit_age_seconds.set(age.unwrap_or_default().as_secs_f64());
        for usage in self.engine.usage() {
            let rule = metrics::Rule { rule: usage.rule.to_owned() };
            self.metrics.window_rows.get_or_create(&rule).set(bytes(usage.rows));
            let more = state.told.seconds(usage.rule, usage.seconds);
            self.metrics.rule_seconds.get_or_create(&rule).inc_by(more);
        }
        for (rule, failure) in self.engine.failures() {
            let more = state.told.failures(rule, failure.times);
            if more > 0 {
                tracing::error!(rule, times = more, "a rule failed and went on: {}", failure.reason);
                let rule = metrics::Rule { rule: rule.clone() };
                self.metrics.rule_failures.get_or_create(&rule).inc_by(more);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_engine_counts_is_told_once_and_another_counts_from_nothing() {
        let mut told = Told::default();
        assert_eq!((told.seconds("a", 1.5), told.seconds("a", 2.0), told.seconds("b", 0.5)), (1.5, 0.5, 0.5));
        assert_eq!((told.failures("a", 3), told.failures("a", 3), told.failures("a", 5)), (3, 0, 2));
        // After a reload.
        told = Told::default();
        assert_eq!((told.seconds("a", 0.25), told.failures("a", 1)), (0.25, 1));
    }
}
