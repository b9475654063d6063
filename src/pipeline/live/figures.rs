//! What the detecting thread tells the metrics.

use super::detect::{Detect, State};
use crate::event::Counts;
use crate::telemetry::metrics::{self, Outcome, Queue};

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

    pub(super) fn figures(&mut self, state: &State) {
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
            let seconds = self.metrics.rule_seconds.get_or_create_owned(&rule);
            seconds.inc_by((usage.seconds - seconds.get()).max(0.0));
        }
        for (rule, failure) in self.engine.failures() {
            let counter =
                self.metrics.rule_failures.get_or_create_owned(&metrics::Rule { rule: rule.clone() });
            let more = failure.times.saturating_sub(counter.get());
            if more > 0 {
                tracing::error!(rule, times = more, "a rule failed and went on: {}", failure.reason);
                counter.inc_by(more);
            }
        }
    }
}
