//! Sinks against servers on loopback: what is sent, and what becomes of every answer.

mod file;
mod sentinel;
mod tls;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use aksentry::alert::{Alert, Severity, Status};
use aksentry::event::Clock;
use aksentry::sink::Outcome;
use aksentry::sink::http::Timeouts;
use serde_json::{Value, json};

/// 2026-03-01T12:00:00Z.
const NOW: i64 = 1_772_366_400_000_000;

fn clock() -> Clock {
    Arc::new(|| NOW)
}

/// Long enough for loopback, short enough for a server that never answers.
const SHORT: Timeouts = Timeouts { connect: Duration::from_millis(500), total: Duration::from_millis(500) };

fn alert(id: &str) -> Alert {
    let object = |value: Value| value.as_object().unwrap().clone();
    Alert {
        id: id.to_owned(),
        rule: "secret-access-bulk".to_owned(),
        title: "One identity touched many secrets".to_owned(),
        severity: Severity::Critical,
        status: Status::Stable,
        cluster: Some(
            "/subscriptions/1/resourcegroups/rg/providers/microsoft.containerservice/managedclusters/shop"
                .to_owned(),
        ),
        key: object(json!({"username": "alice@contoso.com"})),
        summary: "alice@contoso.com asked for 15 secrets".to_owned(),
        count: 15,
        first_seen: Some("2026-02-10T09:00:00Z".to_owned()),
        last_seen: Some("2026-02-10T09:14:00.5Z".to_owned()),
        attack: vec!["T1552.007".to_owned()],
        tactic: "credential-access".to_owned(),
        audit_ids: vec!["f236677f-559f-4ec7-8318-97d606cb0d3a".to_owned(), "5b289e29".to_owned()],
        evidence: object(json!({"secrets": 15, "client_ip": "203.0.113.7"})),
        replayed: false,
    }
}

fn retry(outcome: &Outcome) -> (&str, Option<Duration>) {
    match outcome {
        Outcome::Retry { reason, after } => (reason, *after),
        other => panic!("not to be tried again: {other:?}"),
    }
}

fn refused(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Refused { reason } => reason,
        other => panic!("not refused: {other:?}"),
    }
}
