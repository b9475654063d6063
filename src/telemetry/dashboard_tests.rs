//! Whether the dashboard and the alert rules of `deploy/grafana` ask for metrics that there are.

use std::collections::BTreeSet;
use std::path::Path;

use super::Metrics;
use super::metrics::{Outcome, Partition, Queue, Reason, Rule, RuleSeverity, Sink, SinkOutcome};
use super::samples::Samples;

/// Every name that `/metrics` can show, once each has been counted.
fn names() -> BTreeSet<String> {
    let metrics = Metrics::new();
    let partition = Partition { partition: "0".into() };
    metrics.messages.get_or_create(&partition).inc();
    metrics.lag.get_or_create(&partition).set(1);
    metrics.stalled.get_or_create(&partition).set(1);
    let outcome = Outcome { outcome: "done".into() };
    for family in [&metrics.records, &metrics.commits, &metrics.reloads] {
        family.get_or_create(&outcome).inc();
    }
    let reason = Reason { reason: "error".into() };
    for family in [&metrics.reconnects, &metrics.dead_letters, &metrics.dropped] {
        family.get_or_create(&reason).inc();
    }
    metrics.alerts.get_or_create(&RuleSeverity { rule: "r".into(), severity: "low" }).inc();
    let rule = Rule { rule: "r".into() };
    metrics.rule_failures.get_or_create(&rule).inc();
    metrics.rule_seconds.get_or_create(&rule).inc();
    metrics.window_rows.get_or_create(&rule).set(1);
    metrics.queue_bytes.get_or_create(&Queue { queue: "source" }).set(1);
    let sink = Sink { sink: "s".into() };
    metrics.outbox_alerts.get_or_create(&sink).set(1);
    metrics.outbox_oldest_seconds.get_or_create(&sink).set(1.0);
    metrics.sends.get_or_create(&SinkOutcome { sink: "s".into(), outcome: "retry" }).inc();
    metrics.send_seconds.0.get_or_create(&sink).observe(1.0);
    metrics.alert_delay.0.get_or_create(&sink).observe(1.0);
    Samples::parse(&metrics.render()).0.into_iter().map(|sample| sample.name).collect()
}

/// Names of metrics in a text.
fn asked(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
    text.match_indices("aksentry_")
        .map(|(at, _)| text[at..].chars().take_while(|c| is_name(*c)).collect())
        .collect()
}

#[test]
fn dashboard_and_alert_rules_ask_for_metrics_that_there_are() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/grafana");
    let names = names();
    for (file, least) in [("aksentry.json", 28), ("README.md", 8)] {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        let asked = asked(&text);
        let unknown: Vec<&String> = asked.difference(&names).collect();
        assert!(unknown.is_empty(), "{file} asks for {unknown:?}; there are {names:#?}");
        assert!(asked.len() >= least, "{file} asks for {} metrics only", asked.len());
    }
    let text = std::fs::read_to_string(folder.join("aksentry.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().filter_map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "an id stands twice");
}
