//! What the view of `top` looks like.

use std::sync::Arc;

use super::*;
use crate::cli::top::poll::Client;
use crate::telemetry::metrics::{self, Outcome, Queue, Reason, Rule, RuleSeverity, Sink, SinkOutcome};
use crate::telemetry::status::About;
use crate::telemetry::{Health, Metrics, http};

/// A service in the middle of trouble, as it would be asked.
async fn troubled() -> Snapshot {
    let metrics = Metrics::new();
    for (name, messages, lag) in [("0", 1_234_567, 50), ("1", 10, 100), ("2", 0, 0)] {
        let partition = metrics::Partition { partition: name.into() };
        metrics.messages.get_or_create(&partition).inc_by(messages);
        metrics.lag.get_or_create(&partition).set(lag);
        metrics.stalled.get_or_create(&partition).set(i64::from(name == "1"));
    }
    let outcome = |outcome: &str| Outcome { outcome: outcome.into() };
    metrics.records.get_or_create(&outcome("event")).inc_by(5000);
    metrics.records.get_or_create(&outcome("not_json")).inc_by(7);
    metrics.event_delay.0.observe(200.0);
    let waiting = Sink { sink: "email".into() };
    metrics.outbox_alerts.get_or_create(&waiting).set(1200);
    metrics.outbox_oldest_seconds.get_or_create(&waiting).set(7260.0);
    metrics.outbox_bytes.set(3 << 20);
    let sent = |sink: &str, outcome| SinkOutcome { sink: sink.into(), outcome };
    metrics.sends.get_or_create(&sent("email", "retry")).inc_by(31);
    metrics.sends.get_or_create(&sent("sentinel", "delivered")).inc_by(88);
    let alerts = RuleSeverity { rule: "secret-access-bulk".into(), severity: "high" };
    metrics.alerts.get_or_create(&alerts).inc_by(12);
    metrics.rule_seconds.get_or_create(&Rule { rule: "secret-access-bulk".into() }).inc_by(0.25);
    metrics.window_rows.get_or_create(&Rule { rule: "secret-access-bulk".into() }).set(4321);
    metrics.queue_bytes.get_or_create(&Queue { queue: "source" }).set(2048);
    metrics.dropped.get_or_create(&Reason { reason: "dead_letters".into() }).inc_by(2);
    metrics.commit_age_seconds.set(14.0);
    let health = Health::default();
    health.set("partition 1", Some("stalled since 08:00"));
    health.note("sink email", Some("since 08:00: 451 try \x1b[2Jlater"));
    let about = About { version: "1.2.3".into(), replica: "aksentry-0".into() };
    let any = ([127, 0, 0, 1], 0).into();
    let server = http::serve(any, about, Arc::new(metrics), Arc::new(health)).await.unwrap();
    let client = Client::new(&server.address().to_string()).unwrap();
    let mut snapshot = client.snapshot(None).await.unwrap();
    server.close().await;
    snapshot.status.uptime_seconds = 11_520.0;
    snapshot.per_second.messages = 1204.0;
    snapshot.per_second.bytes = 12_900_000.0;
    snapshot.per_second.alerts = 0.25;
    snapshot
}

fn shown(snapshot: &Snapshot, lost: Option<&str>, width: Option<usize>) -> Vec<String> {
    let lines = frame(snapshot, "http://x:9464", lost, Room { width, height: None });
    lines.iter().map(|line| line.render(Style::default(), width)).collect()
}

#[tokio::test]
async fn everything_that_matters_is_there() {
    let text = shown(&troubled().await, None, None).join("\n");
    let expected = "\
aksentry 1.2.3  aksentry-0  up 3 h 12 min  NOT READY  http://x:9464
  partition 1: stalled since 08:00

messages         1,204/s   records            0.0/s   events             0.0/s
bytes          12.3 MB/s   alerts             0.2/s   since start           12
commit age          14 s   window rows        4,321   outbox            3.0 MB
queues      source 2.0 KB
event delay half within 4 min, 99 % within 4 min
alert delay not measured yet

PARTITION         MESSAGES         LAG
0                1,234,567          50  ████████████············
1                       10         100  ████████████████████████  STALLED
2                        0           0  ························

SINK              WAITING      OLDEST  DELIVERED  RETRIES  REFUSED
email               1,200   2 h 1 min          0       31        0
  since 08:00: 451 try \\u{1b}[2Jlater
sentinel                0           -         88        0        0

RULE                                        ALERTS        BUSY
secret-access-bulk                              12      250 ms

REJECTS       not_json 7
DROPPED       dead_letters 2";
    assert_eq!(text, expected, "\n{text}");
}

#[tokio::test]
async fn a_narrow_terminal_cuts_and_a_lost_service_is_said() {
    let snapshot = troubled().await;
    let lines = shown(&snapshot, Some("nothing answers at http://x:9464"), Some(40));
    assert!(lines.iter().all(|line| line.width() <= 40), "{lines:#?}");
    assert_eq!(lines[1], "  nothing answers at http://x:9464");
    let long = "no role: ".to_owned() + &"give the identity the role ".repeat(9);
    let lines = shown(&snapshot, Some(&long), Some(40));
    assert_eq!(
        lines[1..3],
        ["  no role: give the identity the role", "  give the identity the role give the"]
    );
    assert!(lines[4].ends_with('…') && !lines[5].contains("role"), "{lines:#?}");
    let colours = frame(&snapshot, "x", Some("gone"), Room::default())[0]
        .render(Style { color: true, width: None }, None);
    assert!(colours.contains("\x1b[1;37;41m LOST \x1b[0m"), "{colours:?}");
}

#[test]
fn numbers_as_people_read_them() {
    let counts = [0, 999, 1000, 1_234_567].map(count);
    assert_eq!(counts, ["0", "999", "1,000", "1,234,567"]);
    assert_eq!([0.0, 1023.0, 1536.0, 5e6, 5e8].map(bytes), ["0 B", "1023 B", "1.5 KB", "4.8 MB", "477 MB"]);
    let spans = [0.0, 0.0004, 0.0415, 1.0, 45.0, 600.0, 7260.0, 259_200.0].map(span);
    assert_eq!(spans, ["0 s", "< 1 ms", "42 ms", "1.0 s", "45 s", "10 min", "2 h 1 min", "3 d 0 h"]);
    assert_eq!(fit("abcdefgh", 6), "abcd… ");
    assert_eq!(fit("日本語", 6), "日… ".to_owned() + "  ");
}

#[tokio::test]
async fn a_low_terminal_shows_what_needs_looking_at() {
    let mut snapshot = troubled().await;
    for n in 3..32 {
        let partition = Partition { partition: n.to_string(), messages: 5, lag: 1, stalled: false };
        snapshot.status.partitions.push(partition);
    }
    let room = Room { width: Some(80), height: Some(24) };
    let lines: Vec<String> = frame(&snapshot, "x", None, room)
        .iter()
        .map(|line| line.render(Style::default(), Some(80)))
        .collect();
    assert_eq!(lines.len(), 24, "{lines:#?}");
    let begins = |text: &str| lines.iter().position(|line| line.starts_with(text)).unwrap();
    let first = begins("PARTITION");
    // The stalled one, then those furthest behind, and all others together.
    assert!(lines[first + 1].starts_with("1   ") && lines[first + 1].ends_with("STALLED"), "{lines:#?}");
    assert!(lines[first + 2].starts_with("0   "), "{lines:#?}");
    assert_eq!(lines[begins("27 others")], "27 others              130          26");
    assert!(begins("email") < 24 && lines[23].starts_with("… the terminal is too low"), "{lines:#?}");
}
