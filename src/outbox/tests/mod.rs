//! The outbox on real files.

mod algebra;
mod faults;
mod operator;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::dead_letters::{DEFAULT_CAP, DeadLetters, Letters, Origin, Stored};
use super::{Config, DEAD_LETTERS, Outbox, OutboxError, Settled, SinkRoute, tables};
use crate::alert::{Alert, Object, Severity, Status};
use crate::telemetry::Metrics;

pub const NOW: i64 = 1_770_000_000_000_000;
pub const HOUR: i64 = 3_600_000_000;

pub fn alert(id: &str, severity: Severity) -> Alert {
    Alert {
        id: id.to_owned(),
        rule: "secret-get".into(),
        title: "A secret was read".into(),
        severity,
        status: Status::Stable,
        cluster: Some("/subscriptions/x/managedclusters/prod".into()),
        key: Object::new(),
        summary: format!("alert {id}"),
        count: 1,
        first_seen: Some("2026-01-02T03:04:05Z".into()),
        last_seen: None,
        attack: vec!["T1552.007".into()],
        tactic: "credential-access".into(),
        audit_ids: vec!["a".into()],
        evidence: Object::new(),
        replayed: false,
    }
}

pub fn high(id: &str) -> Alert {
    alert(id, Severity::High)
}

pub fn route(name: &str, min_severity: Severity) -> SinkRoute {
    SinkRoute { name: name.to_owned(), min_severity }
}

pub fn open_with(state: &Path, config: Config, sinks: &[SinkRoute]) -> Result<Outbox, OutboxError> {
    let metrics = Arc::new(Metrics::new());
    let dead = DeadLetters::open(&state.join(DEAD_LETTERS), DEFAULT_CAP, Arc::clone(&metrics))?;
    Outbox::open(state, config, sinks, dead, metrics)
}

/// A state folder with two sinks: `all` and `urgent` (high and above).
pub struct Place {
    pub dir: TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub fn open(&self) -> Outbox {
        self.open_config(Config::default())
    }

    pub fn open_config(&self, config: Config) -> Outbox {
        let sinks = [route("all", Severity::Informational), route("urgent", Severity::High)];
        open_with(self.dir.path(), config, &sinks).unwrap()
    }

    pub fn letters(&self) -> Vec<Stored> {
        let letters = Letters::read(&self.dir.path().join(DEAD_LETTERS)).unwrap();
        letters.map(Result::unwrap).collect()
    }

    /// Sink, alert, reason and detail of the dead letters.
    pub fn refused(&self) -> Vec<(String, String, String)> {
        let of = |letter: Stored| match letter.source {
            Origin::Sink { sink, alert } => (sink, alert, letter.reason),
            Origin::Message { .. } => panic!("a message: {letter:?}"),
        };
        self.letters().into_iter().map(of).collect()
    }
}

pub fn due(outbox: &Outbox, sink: &str) -> Vec<String> {
    outbox.due(sink, 1000).unwrap().into_iter().map(|entry| entry.alert.id).collect()
}

pub fn settle(outbox: &Outbox, sink: &str, id: &str, settled: Settled) {
    let entries = outbox.due(sink, 1000).unwrap();
    let key = entries.iter().find(|entry| entry.alert.id == id).unwrap().key;
    outbox.settle(sink, &[(key, settled)], NOW).unwrap();
}

fn later() -> Settled {
    Settled::Retry { reason: "503".into(), after: Duration::from_secs(3600) }
}

#[test]
fn alerts_are_put_once_and_leave_when_every_sink_has_them() {
    let place = Place::new();
    let outbox = place.open();
    let batch = [high("a"), alert("b", Severity::Low), high("a")];
    assert_eq!(outbox.put(&batch, NOW).unwrap(), 2);
    assert_eq!(outbox.put(&batch, NOW).unwrap(), 0);
    assert_eq!(
        (due(&outbox, "all"), due(&outbox, "urgent")),
        (vec!["a".into(), "b".into()], vec!["a".into()])
    );
    assert_eq!(outbox.due("all", 1).unwrap()[0].alert, high("a"));
    settle(&outbox, "all", "a", Settled::Delivered);
    settle(&outbox, "all", "b", Settled::Delivered);
    assert!(outbox.usage().bytes > 0, "one sink has not got it");
    settle(&outbox, "urgent", "a", Settled::Delivered);
    assert_eq!((outbox.usage().bytes, outbox.depth("all"), outbox.depth("urgent")), (0, 0, 0));
    drop(outbox);
    let outbox = place.open();
    assert_eq!(outbox.put(&batch, NOW + HOUR).unwrap(), 0, "delivered ones are remembered");
    assert!(due(&outbox, "all").is_empty());
    assert!(place.letters().is_empty());
}

#[test]
fn shadow_alerts_and_those_nobody_wants_are_remembered_and_go_nowhere() {
    let place = Place::new();
    let outbox = open_with(place.dir.path(), Config::default(), &[route("urgent", Severity::High)]).unwrap();
    let shadow = Alert { status: Status::Shadow, ..high("s") };
    let batch = [shadow, alert("low", Severity::Low)];
    assert_eq!(outbox.put(&batch, NOW).unwrap(), 2);
    assert_eq!(outbox.put(&batch, NOW).unwrap(), 0);
    assert!(due(&outbox, "urgent").is_empty());
    let metrics = outbox.inner.metrics.render();
    assert!(metrics.contains("aksentry_alerts_total{rule=\"secret-get\",severity=\"high\"} 1"), "{metrics}");
}

#[test]
fn the_most_urgent_first_then_the_oldest_by_a_counter_whatever_the_clock_does() {
    let place = Place::new();
    let outbox = place.open();
    for (i, severity) in [Severity::Low, Severity::High, Severity::Low, Severity::Critical].iter().enumerate()
    {
        outbox.put(&[alert(&format!("{i}"), *severity)], NOW - i as i64 * HOUR).unwrap();
    }
    assert_eq!(due(&outbox, "all"), ["3", "1", "0", "2"]);
    assert_eq!(outbox.oldest().unwrap()["all"], Some(NOW - 3 * HOUR));
}

#[test]
fn a_retry_waits_on_the_monotonic_clock_and_is_due_at_once_after_a_restart() {
    let place = Place::new();
    let outbox = place.open();
    outbox.put(&[high("a"), high("b")], NOW).unwrap();
    settle(&outbox, "all", "a", later());
    assert_eq!((due(&outbox, "all"), due(&outbox, "urgent").len()), (vec!["b".into()], 2));
    assert!(outbox.next_due("all").is_some() && outbox.next_due("urgent").is_none());
    drop(outbox);
    let entries = place.open().due("all", 10).unwrap();
    let attempts: Vec<_> = entries.iter().map(|entry| (entry.alert.id.as_str(), entry.attempts)).collect();
    assert_eq!(attempts, [("a", 1), ("b", 0)]);
}

#[test]
fn a_refused_alert_goes_to_dead_letters_with_the_reason() {
    let place = Place::new();
    let outbox = place.open();
    outbox.put(&[high("a")], NOW).unwrap();
    settle(&outbox, "all", "a", Settled::Refused { reason: "400: no such stream".into() });
    assert!(due(&outbox, "all").is_empty());
    assert_eq!(due(&outbox, "urgent"), ["a"], "another sink has nothing to do with it");
    let letters = place.letters();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].reason.as_str(), letters[0].detail.as_str()), ("refused", "400: no such stream"));
    assert_eq!(letters[0].source, Origin::Sink { sink: "all".into(), alert: "a".into() });
    let body: Alert = serde_json::from_slice(&letters[0].body().unwrap()).unwrap();
    assert_eq!(body, high("a"));
}

#[test]
fn over_the_cap_the_oldest_of_the_least_urgent_go_to_dead_letters() {
    let place = Place::new();
    let size = serde_json::to_vec(&alert("00", Severity::Critical)).unwrap().len();
    let config = Config { max_bytes: 4 * tables::room(size), ..Config::default() };
    let outbox = place.open_config(config);
    outbox.put(&[alert("c0", Severity::Critical), alert("l0", Severity::Low)], NOW).unwrap();
    outbox.put(&[alert("l1", Severity::Low), high("h0")], NOW).unwrap();
    assert!(!outbox.full());
    outbox.put(&[high("h1")], NOW).unwrap();
    assert!(outbox.full());
    outbox.put(&[high("h2")], NOW).unwrap();
    outbox.put(&[alert("l2", Severity::Low)], NOW).unwrap();
    assert_eq!(due(&outbox, "all"), ["c0", "h0", "h1", "h2"]);
    let lost = |id: &str| ("all".to_owned(), id.to_owned(), "outbox_full".to_owned());
    assert_eq!(place.refused(), [lost("l0"), lost("l1"), lost("l2")]);
    outbox.put(&[high("h3")], NOW).unwrap();
    assert_eq!(place.refused().len(), 5, "h0 waited for two sinks");
    assert_eq!((outbox.depth("all"), outbox.depth("urgent")), (4, 4));
    for sink in ["all", "urgent"] {
        let keys = outbox.due(sink, 10).unwrap().into_iter().map(|entry| (entry.key, Settled::Delivered));
        outbox.settle(sink, &keys.collect::<Vec<_>>(), NOW).unwrap();
    }
    assert!(!outbox.full());
}

#[test]
fn ids_are_forgotten_by_age_but_not_while_the_alert_waits() {
    let place = Place::new();
    let config = Config { remember: Duration::from_secs(3600), ..Config::default() };
    let outbox = place.open_config(config);
    outbox.put(&[high("waits"), high("done")], NOW).unwrap();
    for sink in ["all", "urgent"] {
        settle(&outbox, sink, "done", Settled::Delivered);
    }
    outbox.put(&[high("x")], NOW + HOUR / 2).unwrap();
    assert_eq!(outbox.put(&[high("done")], NOW + HOUR / 2).unwrap(), 0);
    outbox.put(&[high("y")], NOW + HOUR + 1).unwrap();
    assert_eq!(outbox.put(&[high("done"), high("waits"), high("x")], NOW + HOUR + 1).unwrap(), 1);
    assert_eq!(due(&outbox, "all"), ["waits", "x", "y", "done"]);
}

#[test]
fn more_ids_than_there_is_room_for_are_forgotten_and_counted() {
    let place = Place::new();
    let outbox = place.open_config(Config { max_bytes: 64 << 10, ..Config::default() });
    let shadow = |i: usize| Alert { status: Status::Shadow, ..high(&format!("{i}")) };
    for batch in 0..3 {
        let alerts: Vec<Alert> = (batch * 500..batch * 500 + 500).map(shadow).collect();
        assert_eq!(outbox.put(&alerts, NOW).unwrap(), 500);
    }
    assert_eq!(outbox.put(&[shadow(1499)], NOW).unwrap(), 0);
    assert_eq!(outbox.put(&[shadow(0)], NOW).unwrap(), 1, "the first are forgotten");
    // However little the room, a thousand are remembered.
    assert!(outbox.inner.metrics.render().contains("aksentry_dropped_total{reason=\"alert_ids\"} 501"));
}

#[test]
fn a_second_process_is_told_whose_folder_it_is() {
    let place = Place::new();
    let _first = place.open();
    let error = open_with(place.dir.path(), Config::default(), &[]).unwrap_err().to_string();
    assert!(
        error.ends_with("is in use by another aksentry; each replica needs a state folder of its own"),
        "{error}"
    );
}

#[tokio::test]
async fn whoever_waits_for_a_sink_is_woken_also_for_what_came_before() {
    let place = Place::new();
    let outbox = place.open();
    outbox.put(&[high("a")], NOW).unwrap();
    outbox.changed("urgent").await;
    let waiting = tokio::spawn({
        let outbox = outbox.clone();
        async move { outbox.changed("urgent").await }
    });
    outbox.put(&[alert("b", Severity::Low)], NOW).unwrap();
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished(), "not of interest for this sink");
    outbox.put(&[high("c")], NOW).unwrap();
    tokio::time::timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap();
}

#[test]
fn gauges_follow() {
    let place = Place::new();
    let outbox = place.open();
    outbox.put(&[high("a"), high("b")], NOW).unwrap();
    outbox.observe(NOW + 90_000_000).unwrap();
    let text = outbox.inner.metrics.render();
    assert!(text.contains("aksentry_outbox_alerts{sink=\"all\"} 2"), "{text}");
    assert!(text.contains("aksentry_outbox_oldest_seconds{sink=\"urgent\"} 90.0"), "{text}");
    outbox.observe(NOW - HOUR).unwrap();
    assert!(outbox.inner.metrics.render().contains("aksentry_outbox_oldest_seconds{sink=\"all\"} 0.0"));
}
