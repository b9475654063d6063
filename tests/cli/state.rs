//! The outbox and the dead letters of a state folder, from the operator's side.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aksentry::alert::{Alert, Object, Severity, Status};
use aksentry::outbox::control;
use aksentry::outbox::dead_letters::{DEFAULT_CAP, DeadLetter, DeadLetters, Origin};
use aksentry::outbox::{Config, DEAD_LETTERS, Outbox, Settled, SinkRoute};
use aksentry::telemetry::Metrics;
use serde_json::Value;

use super::{Place, record};

/// 2026-03-01T10:00:00Z.
const NOW: i64 = 1_772_359_200_000_000;

fn alert(id: &str) -> Alert {
    Alert {
        id: id.to_owned(),
        rule: "secret-get".into(),
        title: "A secret was read".into(),
        severity: Severity::High,
        status: Status::Stable,
        cluster: None,
        key: Object::new(),
        summary: "alice read a secret".into(),
        count: 1,
        first_seen: None,
        last_seen: None,
        attack: Vec::new(),
        tactic: "credential-access".into(),
        audit_ids: Vec::new(),
        evidence: Object::new(),
        replayed: false,
    }
}

fn dead_letters(state: &Path) -> DeadLetters {
    DeadLetters::open(&state.join(DEAD_LETTERS), DEFAULT_CAP, Arc::new(Metrics::new())).unwrap()
}

/// An outbox with `a1` and `b2` waiting for `email`, the first of them tried once, and both for `siem`.
fn outbox(state: &Path) -> Outbox {
    let sinks = ["email", "siem"]
        .map(|name| SinkRoute { name: name.to_owned(), min_severity: Severity::Informational });
    let metrics = Arc::new(Metrics::new());
    let outbox = Outbox::open(state, Config::default(), &sinks, dead_letters(state), metrics).unwrap();
    outbox.put(&[alert("a1"), alert("b2")], NOW).unwrap();
    let first = outbox.due("email", 1).unwrap()[0].key;
    let retry = Settled::Retry { reason: "451 try later".into(), after: Duration::from_secs(60) };
    outbox.settle("email", &[(first, retry)], NOW).unwrap();
    outbox
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_outbox_of_a_service_that_does_not_run() {
    let place = Place::new();
    let state = place.path("state");
    place.run("outbox list --state state").code(2).says("no state folder state");
    drop(outbox(&state));
    let listed = lines(&place.run("outbox list --state state --format ndjson").code(0).out);
    assert_eq!(listed.len(), 4);
    assert_eq!(
        listed[0],
        serde_json::json!({
            "sink": "email", "state": "retrying", "attempts": 1, "since": "2026-03-01T10:00:00Z",
            "next_try": "2026-03-01T10:01:00Z", "severity": "high", "rule": "secret-get", "id": "a1",
            "last_error": "451 try later",
        })
    );
    assert_eq!((&listed[1]["state"], &listed[1]["next_try"]), (&Value::from("waiting"), &Value::Null));
    let table = place.run("outbox list --sink siem --state state --format table").code(0).out;
    assert_eq!(
        table.lines().nth(1).unwrap(),
        "siem  waiting         0  2026-03-01 10:00:00            high      secret-get  a1"
    );
    place.run("outbox retry --state state").code(2);
    place.run("outbox retry --state state nobody").code(1).says("none of these alerts waits");
    place.run("outbox retry --state state --all").code(0).says("its next start tries all 4 deliveries");
    place.run("outbox drop --state state").code(2);
    place.run("outbox drop --state state --all").code(2).says("--sink");
    place
        .run("outbox drop --state state --all --sink email")
        .code(2)
        .says("all 2 alerts that wait for email");
    place
        .run("outbox drop --state state --all --sink email --yes")
        .code(0)
        .says("2 deliveries were given up");
    place.run("outbox drop --state state a1").code(0).says("1 deliveries were given up");
    place.run("outbox drop --state state a1").code(1).says("none of these alerts waits");
    let left = lines(&place.run("outbox list --state state --format ndjson").code(0).out);
    assert_eq!(left.iter().map(|l| &l["id"]).collect::<Vec<_>>(), ["b2"]);
    let letters = place.run("dead-letters list --state state --format ndjson").code(0);
    assert!(letters.err.contains("3 dead letters: dropped_by_operator 3"), "{}", letters.err);
    assert_eq!(lines(&letters.out)[2]["source"], serde_json::json!({"sink": "siem", "alert": "a1"}));
}

#[test]
fn the_outbox_of_a_running_service() {
    let place = Place::new();
    let state = place.path("state");
    let held = outbox(&state);
    let error = place.run("outbox list --state state").code(2).err;
    assert!(error.contains("no aksentry answers at") && error.contains("in use by another"), "{error}");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (served, folder) = (held.clone(), state.clone());
    runtime.spawn(async move { control::serve(served, &folder, Arc::new(|| NOW)).await });
    runtime.block_on(async {
        while tokio::net::UnixStream::connect(state.join(control::SOCKET)).await.is_err() {
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(lines(&place.run("outbox list --state state --format ndjson").code(0).out).len(), 4);
    assert_eq!(held.due("email", 9).unwrap().len(), 1);
    place.run("outbox retry --state state --sink email").code(0).says("2 deliveries are tried now");
    assert_eq!(held.due("email", 9).unwrap().len(), 2);
    place.run("outbox drop --state state b2").code(0).says("2 deliveries were given up");
    assert_eq!((held.depth("email"), held.depth("siem")), (1, 1));
}

#[test]
fn dead_letters_are_listed_by_reason_and_exported_to_be_replayed() {
    let place = Place::new();
    place.put("state/none", "");
    place.run("dead-letters list --state state").code(0).says("no dead letters");
    let body = record("alice", "db-password", 1).replace(",\"category\"", ",\r\n \"category\"");
    let message = |reason: &str, time: i64, sequence: i64, body: &[u8]| DeadLetter {
        time,
        reason: reason.to_owned(),
        source: Origin::Message { partition: "2".into(), sequence },
        detail: "what was wrong".into(),
        body: body.to_vec().into(),
    };
    let refused = DeadLetter {
        reason: "refused".into(),
        source: Origin::Sink { sink: "siem".into(), alert: "a1".into() },
        ..message("", NOW, 0, b"{}")
    };
    let letters = [
        message("not_json", NOW - 3_600_000_000, 6, b"\xff\x00"),
        message("malformed_json", NOW, 7, body.as_bytes()),
        refused,
    ];
    let dead = dead_letters(&place.path("state"));
    dead.append(&letters).unwrap();
    dead.sync().unwrap();

    let run = place.run("dead-letters list --state state --format table").code(0);
    assert!(run.err.contains("3 dead letters: malformed_json 1, not_json 1, refused 1"), "{}", run.err);
    let row = run.out.lines().nth(1).unwrap();
    assert_eq!(row, "2026-03-01 09:00:00  not_json        partition 2, sequence 6  what was wrong     2");
    let later = place.run("dead-letters list --state state --since 2026-03-01T09:30:00Z --format ndjson");
    assert_eq!(lines(&later.code(0).out).len(), 2);
    let only = place.run("dead-letters list --state state --reason not_json --format ndjson").code(0);
    assert_eq!(lines(&only.out)[0]["size"], 2);

    let exported = lines(&place.run("dead-letters export --state state").code(0).out);
    assert_eq!(exported[0]["body_base64"], "/wA=");
    assert_eq!(exported[1]["body"], body);
    let run = place.run("dead-letters export --state state --bodies --output again.ndjson").code(0);
    run.says("1 dead letters exported; 2 left out");
    let replayed = place.run("replay again.ndjson --format ndjson").code(0);
    assert_eq!(lines(&replayed.out)[0]["key"]["username"], "alice");
}
