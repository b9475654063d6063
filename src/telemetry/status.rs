//! The state of a running service as one JSON object: what `/status` answers and `aksentry top` shows.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::samples::Samples;
use super::{Health, Metrics};

/// Who runs, which does not change while it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    pub version: String,
    /// The name under which partitions are owned; empty where none are.
    pub replica: String,
}

/// Everything at a glance. Counts are since the start.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub replica: String,
    pub uptime_seconds: f64,
    pub ready: bool,
    /// Why it is not ready.
    pub troubles: Vec<String>,
    pub messages: u64,
    pub bytes: u64,
    /// By what became of them: `event`, `control_plane`, `duplicate`, or the reason of the reject.
    pub records: BTreeMap<String, u64>,
    pub alerts: u64,
    pub partitions: Vec<Partition>,
    /// Rules with alerts, most alerts first.
    pub rules: Vec<Rule>,
    pub sinks: Vec<Sink>,
    pub window_rows: u64,
    pub outbox_bytes: u64,
    pub commit_age_seconds: f64,
    pub dead_letters: BTreeMap<String, u64>,
    /// What was given up for want of room.
    pub dropped: BTreeMap<String, u64>,
    /// What components said that keeps nobody from work, by component.
    pub notes: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Partition {
    pub partition: String,
    pub messages: u64,
    /// Messages of the hub not taken yet.
    pub lag: u64,
    pub stalled: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    pub rule: String,
    pub alerts: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sink {
    pub sink: String,
    /// Alerts not delivered yet, and the age of the oldest.
    pub waiting: u64,
    pub oldest_seconds: f64,
    pub delivered: u64,
    pub retries: u64,
    pub refused: u64,
    /// What went wrong last, if it has not gone well since.
    pub error: Option<String>,
}

impl Status {
    /// Takes stock.
    pub fn of(about: &About, uptime: Duration, metrics: &Metrics, health: &Health) -> Self {
        let samples = Samples::parse(&metrics.render());
        let troubles = health.troubles();
        let notes = health.notes();
        let by = |name: &str, label: &str| samples.counts(&format!("aksentry_{name}"), label);
        let count = |name: &str| samples.count(&format!("aksentry_{name}"));
        Self {
            version: about.version.clone(),
            replica: about.replica.clone(),
            uptime_seconds: uptime.as_secs_f64(),
            ready: troubles.is_empty(),
            troubles,
            messages: count("messages_total"),
            bytes: count("bytes_total"),
            records: by("records_total", "outcome"),
            alerts: count("alerts_total"),
            partitions: partitions(&samples),
            rules: rules(&samples),
            sinks: sinks(&samples, &notes),
            window_rows: count("window_rows"),
            outbox_bytes: count("outbox_bytes"),
            commit_age_seconds: samples.sum("aksentry_commit_age_seconds"),
            dead_letters: by("dead_letters_total", "reason"),
            dropped: by("dropped_total", "reason"),
            notes,
        }
    }
}

fn partitions(samples: &Samples) -> Vec<Partition> {
    let messages = samples.counts("aksentry_messages_total", "partition");
    let lag = samples.counts("aksentry_partition_lag_messages", "partition");
    let stalled = samples.counts("aksentry_partition_stalled", "partition");
    let mut names: Vec<&String> = messages.keys().chain(lag.keys()).collect();
    // Partitions are numbers, so 10 comes behind 9.
    names.sort_by_key(|name| (name.parse::<u64>().unwrap_or(u64::MAX), name.as_str()));
    names.dedup();
    let value = |map: &BTreeMap<String, u64>, name: &str| map.get(name).copied().unwrap_or(0);
    names
        .into_iter()
        .map(|name| Partition {
            partition: name.clone(),
            messages: value(&messages, name),
            lag: value(&lag, name),
            stalled: value(&stalled, name) > 0,
        })
        .collect()
}

fn rules(samples: &Samples) -> Vec<Rule> {
    let alerts = samples.counts("aksentry_alerts_total", "rule");
    let mut rules: Vec<Rule> = alerts.into_iter().map(|(rule, alerts)| Rule { rule, alerts }).collect();
    rules.sort_by(|a, b| b.alerts.cmp(&a.alerts).then_with(|| a.rule.cmp(&b.rule)));
    rules
}

fn sinks(samples: &Samples, notes: &BTreeMap<String, String>) -> Vec<Sink> {
    let waiting = samples.counts("aksentry_outbox_alerts", "sink");
    let oldest = samples.by("aksentry_outbox_oldest_seconds", "sink");
    let mut sinks: BTreeMap<String, Sink> = BTreeMap::new();
    for name in waiting.keys() {
        sinks.entry(name.clone()).or_default();
    }
    for sample in samples.0.iter().filter(|sample| sample.name == "aksentry_sends_total") {
        let Some(name) = sample.labels.get("sink") else { continue };
        let sink = sinks.entry(name.clone()).or_default();
        match sample.labels.get("outcome").map(String::as_str) {
            Some("delivered") => sink.delivered += sample.value as u64,
            Some("retry") => sink.retries += sample.value as u64,
            Some("refused") => sink.refused += sample.value as u64,
            _ => {}
        }
    }
    sinks
        .into_iter()
        .map(|(name, sink)| Sink {
            waiting: waiting.get(&name).copied().unwrap_or(0),
            oldest_seconds: oldest.get(&name).copied().unwrap_or(0.0),
            error: notes.get(&format!("sink {name}")).cloned(),
            sink: name,
            ..sink
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::{self, SinkOutcome};

    #[test]
    fn the_state_is_that_of_metrics_and_health() {
        let (metrics, health) = (Metrics::new(), Health::default());
        for (name, lag) in [("10", 5), ("9", 7)] {
            let partition = metrics::Partition { partition: name.into() };
            metrics.messages.get_or_create(&partition).inc_by(2);
            metrics.lag.get_or_create(&partition).set(lag);
            metrics.stalled.get_or_create(&partition).set(i64::from(name == "9"));
        }
        let sink = metrics::Sink { sink: "email".into() };
        metrics.outbox_alerts.get_or_create(&sink).set(3);
        metrics.outbox_oldest_seconds.get_or_create(&sink).set(90.0);
        let sent = SinkOutcome { sink: "email".into(), outcome: "retry" };
        metrics.sends.get_or_create(&sent).inc_by(4);
        health.note("sink email", Some("451 try later"));
        health.set("partition 9", Some("stalled"));
        let about = About { version: "1".into(), replica: "r".into() };
        let status = Status::of(&about, Duration::from_secs(5), &metrics, &health);
        let partition =
            |name: &str, lag, stalled| Partition { partition: name.into(), messages: 2, lag, stalled };
        assert_eq!(status.partitions, [partition("9", 7, true), partition("10", 5, false)]);
        let expected = Sink {
            sink: "email".into(),
            waiting: 3,
            oldest_seconds: 90.0,
            retries: 4,
            error: Some("451 try later".into()),
            ..Sink::default()
        };
        assert_eq!(status.sinks, [expected]);
        assert_eq!((status.ready, status.messages), (false, 4));
        assert_eq!(status.troubles, ["partition 9: stalled"]);
        let text = serde_json::to_string(&status).unwrap();
        assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status);
    }
}
