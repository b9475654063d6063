//! What the state of rules withstands: rows delivered again, late and in another order; restarts; rows of
//! other replicas. A pack with a rule of each kind, and random deeds for it to judge.

mod eager;
mod gathered;
mod redelivery;
mod restart;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use aksentry::alert::Alert;
use aksentry::decode::Decoder;
use aksentry::detect::{Emission, Engine, EngineConfig, Watermarks};
use aksentry::event::value::rfc3339;
use aksentry::event::{Batch, RawBatch};
use aksentry::rules::{Catalog, Sources};
use chrono::TimeDelta;
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use serde_json::json;

const SECOND: i64 = 1_000_000;
/// A whole hour, so also a step.
const BEGIN: i64 = 1_772_359_200 * SECOND;
/// Seconds in which deeds happen.
const SPAN: u32 = 2400;
/// How late a row may come.
const LATENESS: i64 = 600 * SECOND;

/// Id, header and statement of each rule.
const RULES: &[(&str, &str, &str)] = &[
    (
        "burst",
        "key = [\"username\"]\nwindow = \"10m\"\nstep = \"2m\"",
        "SELECT username, count(*) AS n FROM audit WHERE status_code = 200\n\
         GROUP BY username HAVING count(*) >= 3",
    ),
    (
        "kinds",
        "key = [\"username\"]\nwindow = \"10m\"\nsuppress = \"15m\"",
        "SELECT username, count(DISTINCT resource) AS n, min(time) AS first_seen FROM audit\n\
         WHERE status_code = 403 GROUP BY username HAVING count(DISTINCT resource) >= 2",
    ),
    (
        "lines",
        "key = [\"category\"]\nwindow = \"5m\"\nstep = \"1m\"",
        "SELECT category, count(*) AS n FROM control_plane GROUP BY category HAVING count(*) >= 2",
    ),
    (
        "pair",
        "key = [\"username\", \"resource\"]\nwindow = \"10m\"\nsuppress = \"20m\"",
        "SELECT a.username, a.resource, max(b.time) AS last_seen FROM audit AS a\n\
         JOIN audit AS b ON b.username = a.username AND b.resource = a.resource AND b.time > a.time\n\
         WHERE a.status_code = 403 AND b.status_code = 200 GROUP BY a.username, a.resource",
    ),
    (
        "few",
        "key = [\"username\"]\nwindow = \"5m\"\nstep = \"1m\"",
        "SELECT username, count(*) AS n FROM audit GROUP BY username HAVING count(*) <= 1",
    ),
    (
        "alone",
        "key = [\"username\"]\nwindow = \"10m\"\nstep = \"1m\"\nsuppress = \"10m\"",
        "SELECT a.username, count(*) AS n FROM audit AS a LEFT JOIN audit AS b\n\
         ON b.username = a.username AND b.time < a.time AND b.status_code = 403\n\
         WHERE a.status_code = 200 AND b.username IS NULL GROUP BY a.username",
    ),
    (
        "silent",
        "key = [\"username\"]\nwindow = \"10m\"\nstep = \"1m\"",
        "SELECT username, max(time) AS last_seen FROM audit GROUP BY username\n\
         HAVING max(time) <= window_end() - INTERVAL '5 minutes'\n\
         AND max(time) > window_end() - INTERVAL '6 minutes'",
    ),
    (
        "thinned",
        "key = [\"username\"]\nwindow = \"10m\"\nstep = \"1m\"\nthin = \"1m\"",
        "SELECT username, count(*) AS n FROM audit GROUP BY username HAVING count(*) >= 4",
    ),
    (
        "first",
        "key = [\"username\"]\nbaseline = \"10m\"\nlearn = \"3m\"",
        "SELECT username, resource FROM audit WHERE status_code = 200",
    ),
    (
        "denied",
        "key = [\"username\"]\nsuppress = \"10m\"",
        "SELECT username FROM audit WHERE status_code = 403",
    ),
];

/// The rules whose text `change` gives (`None`: without that rule), with that much memory for rows.
fn engine_of(memory: usize, change: impl Fn(&str, &str) -> Option<String>) -> Engine {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("impact");
    fs::create_dir_all(&place).unwrap();
    fs::create_dir_all(folder.path().join("lists")).unwrap();
    for (id, header, sql) in RULES {
        let header: String = header.lines().map(|line| format!("-- {line}\n")).collect();
        let rule = format!(
            "-- /// detection\n-- title = \"A rule\"\n-- severity = \"low\"\n-- status = \"stable\"\n{header}\
             -- summary = \"It happened\"\n-- description = \"For a test.\"\n-- ///\n{sql}\n"
        );
        if let Some(rule) = change(id, &rule) {
            fs::write(place.join(format!("{id}.sql")), rule).unwrap();
        }
    }
    let folder = folder.path();
    let sources = Sources { detections: Some(folder.to_path_buf()), lists: Some(folder.join("lists")) };
    let (catalog, problems) = Catalog::load(&sources);
    assert!(problems.is_empty(), "{problems:?}");
    let lateness = TimeDelta::microseconds(LATENESS);
    let config = EngineConfig { lateness, memory, ..EngineConfig::default() };
    Engine::compile(&catalog, &config).unwrap()
}

/// All rules.
fn engine(memory: usize) -> Engine {
    engine_of(memory, |_, rule| Some(rule.into()))
}

/// Something a person did, or a line some component wrote.
#[derive(Debug, Clone)]
struct Deed {
    id: usize,
    user: u8,
    resource: u8,
    second: u32,
    /// A line in `control_plane` instead of an event in `audit`.
    line: bool,
    allowed: bool,
}

impl Deed {
    fn time(&self) -> i64 {
        BEGIN + i64::from(self.second) * SECOND
    }

    fn record(&self) -> String {
        let log = match self.line {
            true => format!("line {}", self.id),
            false => json!({
                "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
                "auditID": format!("id-{}", self.id), "stage": "ResponseComplete",
                "requestURI": "/api/v1/things", "verb": "list",
                "user": { "username": format!("user-{}", self.user) }, "sourceIPs": ["10.0.0.4"],
                "objectRef": { "resource": format!("kind-{}", self.resource), "apiVersion": "v1" },
                "responseStatus": { "code": if self.allowed { 200 } else { 403 } },
                "stageTimestamp": rfc3339(self.time()),
            })
            .to_string(),
        };
        let category = if self.line { "kube-scheduler" } else { "kube-audit" };
        let resource =
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/c";
        let (time, properties) = (rfc3339(self.time()), json!({ "log": log }));
        json!({ "time": time, "category": category, "resourceId": resource, "properties": properties })
            .to_string()
    }
}

fn decode(deeds: &[Deed]) -> Batch {
    let text: Vec<String> = deeds.iter().map(Deed::record).collect();
    let decoded = Decoder::default().decode(&RawBatch { bodies: vec![text.join("\n").into()] });
    assert_eq!((decoded.counts.events + decoded.counts.control_plane) as usize, deeds.len());
    decoded.batch
}

/// Deeds in order of time.
fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    // Every other deed on a whole minute, where windows begin and end.
    let second = prop_oneof![0..SPAN, (0..SPAN / 60).prop_map(|n| n * 60)];
    let deed = (0..3u8, 0..2u8, second, prop::bool::weighted(0.2), prop::bool::weighted(0.6));
    prop::collection::vec(deed, 1..40).prop_map(|deeds| {
        let mut deeds: Vec<Deed> = deeds
            .into_iter()
            .enumerate()
            .map(|(id, (user, resource, second, line, allowed))| Deed {
                id,
                user,
                resource,
                second,
                line,
                allowed,
            })
            .collect();
        deeds.sort_by_key(Deed::time);
        deeds
    })
}

/// Runs a property, and fails unless every rule raised some alert in it.
fn check<S: Strategy>(
    cases: u32,
    input: S,
    property: impl Fn(S::Value, &mut BTreeSet<String>) -> Result<(), TestCaseError>,
) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let raised = RefCell::new(BTreeSet::new());
    let runs = Cell::new(0);
    let outcome = TestRunner::new(config).run(&input, |value| {
        runs.set(runs.get() + 1);
        property(value, &mut raised.borrow_mut())
    });
    outcome.unwrap();
    let all: BTreeSet<String> = RULES.iter().map(|(id, _, _)| id.to_string()).collect();
    assert_eq!(raised.into_inner(), all, "a rule that never speaks in {} runs proves nothing", runs.get());
}

/// Whether these are the same alerts by id, each once or more often.
fn same(alerts: &[Alert], expected: &[Alert]) -> Result<(), TestCaseError> {
    let ids = |alerts: &[Alert]| -> BTreeMap<String, String> {
        alerts.iter().map(|a| (a.id.clone(), format!("{} {:?} {:?}", a.rule, a.key, a.first_seen))).collect()
    };
    let (found, expected) = (ids(alerts), ids(expected));
    let missing: Vec<_> = expected.iter().filter(|(id, _)| !found.contains_key(*id)).collect();
    let added: Vec<_> = found.iter().filter(|(id, _)| !expected.contains_key(*id)).collect();
    prop_assert!(missing.is_empty() && added.is_empty(), "missing {missing:#?}, added {added:#?}");
    Ok(())
}

/// Every alert of the deeds, all at once as in replay.
fn replayed(engine: &mut Engine, deeds: &[Deed]) -> Vec<Alert> {
    engine.set_emission(Emission::Complete);
    engine.reset();
    engine.process(&decode(deeds));
    engine.finish_all().unwrap()
}

/// Deeds as they may arrive: each late by less than is allowed, some of them twice.
fn arrivals(deeds: Vec<Deed>) -> impl Strategy<Value = Vec<Deed>> {
    let late = prop_oneof![3 => Just(0), 2 => 0..LATENESS / SECOND];
    let again = prop::option::weighted(0.2, 0..LATENESS / SECOND);
    prop::collection::vec((late, again), deeds.len()).prop_map(move |delays| {
        let mut arrivals = Vec::new();
        for (deed, (late, again)) in deeds.iter().zip(delays) {
            let at = i64::from(deed.second) + late;
            arrivals.push((at, deed.clone()));
            arrivals.extend(again.map(|more| (at + more, deed.clone())));
        }
        arrivals.sort_by_key(|(at, _)| *at);
        arrivals.into_iter().map(|(_, deed)| deed).collect()
    })
}

/// What a live engine is told of event time: nothing is later than the allowed lateness.
fn watermarks(engine: &Engine) -> Watermarks {
    Watermarks::behind(engine.latest(), TimeDelta::microseconds(LATENESS))
}

/// Live: batch by batch, windows looked at after each.
fn lived(engine: &mut Engine, deeds: &[Deed], size: usize) -> Vec<Alert> {
    let mut alerts = Vec::new();
    for deeds in deeds.chunks(size) {
        alerts.extend(engine.process(&decode(deeds)));
        alerts.extend(engine.advance(watermarks(engine)));
    }
    alerts
}

fn live(engine: &mut Engine) {
    engine.set_emission(Emission::First);
    engine.reset();
}

fn note(raised: &mut BTreeSet<String>, alerts: &[Alert]) {
    raised.extend(alerts.iter().map(|a| a.rule.clone()));
}
