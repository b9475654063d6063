//! Windowed rules against a computation by brute force, with rows in order, shuffled, all at once and
//! one by one: the same alerts.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use aksentry::alert::{Alert, alert_id};
use aksentry::decode::Decoder;
use aksentry::detect::{Emission, Engine, EngineConfig, Watermarks};
use aksentry::event::value::rfc3339;
use aksentry::event::{Batch, RawBatch};
use aksentry::rules::{Catalog, Sources};
use chrono::TimeDelta;
use proptest::prelude::*;
use serde_json::json;

const SECOND: i64 = 1_000_000;
/// A whole hour, so also a step.
const BEGIN: i64 = 1_772_359_200 * SECOND;
const WINDOW: i64 = 600 * SECOND;
const STEP: i64 = 120 * SECOND;
const SUPPRESS: i64 = 900 * SECOND;
const SPAN: u32 = 2400;
const ENOUGH: usize = 3;

/// A rule without `suppress`, so an alert a window, and one with it.
const RULES: [(&str, Option<i64>); 2] = [("burst", None), ("burst-quiet", Some(SUPPRESS))];

/// An engine that holds that many bytes of rows in memory.
fn engine(memory: usize) -> Engine {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("impact");
    fs::create_dir_all(&place).unwrap();
    fs::create_dir_all(folder.path().join("lists")).unwrap();
    for (id, suppress) in RULES {
        let suppress = suppress.map_or(String::new(), |s| format!("-- suppress = \"{}s\"\n", s / SECOND));
        let rule = format!(
            "-- /// detection\n-- title = \"Many at once\"\n-- severity = \"low\"\n-- status = \"stable\"\n\
             -- key = [\"username\"]\n-- window = \"{}s\"\n-- step = \"{}s\"\n{suppress}\
             -- summary = \"{{username}}: {{n}}\"\n-- description = \"For a test.\"\n-- ///\n\
             SELECT username, count(*) AS n FROM audit WHERE status_code = 200\n\
             GROUP BY username HAVING count(*) >= {ENOUGH}\n",
            WINDOW / SECOND,
            STEP / SECOND
        );
        fs::write(place.join(format!("{id}.sql")), rule).unwrap();
    }
    let folder = folder.path();
    let sources = Sources { detections: Some(folder.to_path_buf()), lists: Some(folder.join("lists")) };
    let (catalog, problems) = Catalog::load(&sources);
    assert!(problems.is_empty(), "{problems:?}");
    let config = EngineConfig { lateness: TimeDelta::hours(2), memory, ..EngineConfig::default() };
    Engine::compile(&catalog, &config).unwrap()
}

/// Somebody does something at a second after [`BEGIN`], and is let or not.
#[derive(Debug, Clone)]
struct Deed {
    id: usize,
    user: u8,
    second: u32,
    allowed: bool,
}

impl Deed {
    fn time(&self) -> i64 {
        BEGIN + i64::from(self.second) * SECOND
    }

    fn name(&self) -> String {
        format!("user-{}", self.user)
    }

    fn audit_id(&self) -> String {
        format!("id-{}", self.id)
    }

    fn text(&self) -> String {
        json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
            "auditID": self.audit_id(), "stage": "ResponseComplete", "requestURI": "/api/v1/pods",
            "verb": "list", "user": { "username": self.name() }, "sourceIPs": ["10.0.0.4"],
            "objectRef": { "resource": "pods", "apiVersion": "v1" },
            "responseStatus": { "code": if self.allowed { 200 } else { 403 } },
            "stageTimestamp": rfc3339(self.time()),
        })
        .to_string()
    }
}

fn decode(deeds: &[Deed]) -> Batch {
    let text: Vec<String> = deeds.iter().map(Deed::text).collect();
    let decoded = Decoder::default().decode(&RawBatch { bodies: vec![text.join("\n").into()] });
    assert_eq!(decoded.counts.events as usize, deeds.len());
    decoded.batch
}

/// What is compared of an alert: id → rule, key, count, audit ids, first and last event.
type Found = BTreeMap<String, (String, String, u64, BTreeSet<String>, Option<String>, Option<String>)>;

/// Rule, key, and the events by time.
type Raised = (String, String, BTreeSet<(i64, String)>);

/// Every window that ends at a step, each looked at by itself.
fn brute_force(deeds: &[Deed]) -> Found {
    let kept: Vec<&Deed> = deeds.iter().filter(|d| d.allowed).collect();
    let mut raised: BTreeMap<String, Raised> = BTreeMap::new();
    let last = BEGIN + i64::from(SPAN) * SECOND + WINDOW;
    for end in (BEGIN..=last).step_by(STEP as usize) {
        if !kept.iter().any(|d| end - STEP < d.time() && d.time() <= end) {
            continue;
        }
        let inside = kept.iter().filter(|d| end - WINDOW < d.time() && d.time() <= end);
        let mut users: BTreeMap<String, BTreeSet<(i64, String)>> = BTreeMap::new();
        for deed in inside {
            users.entry(deed.name()).or_default().insert((deed.time(), deed.audit_id()));
        }
        for (user, events) in users.into_iter().filter(|(_, events)| events.len() >= ENOUGH) {
            let key = json!({ "username": user }).to_string();
            for (rule, suppress) in RULES {
                let id = match suppress {
                    None => alert_id([rule, "window", &key, &end.to_string()]),
                    Some(span) => alert_id([rule, "interval", &key, &(end / span).to_string()]),
                };
                let alert = raised.entry(id).or_insert((rule.into(), user.clone(), BTreeSet::new()));
                alert.2.extend(events.iter().cloned());
            }
        }
    }
    let shown = |(id, (rule, user, events)): (String, Raised)| {
        let time = |event: Option<&(i64, String)>| event.and_then(|e| rfc3339(e.0));
        let (first, last) = (time(events.first()), time(events.last()));
        let ids = events.iter().map(|e| e.1.clone()).collect();
        (id, (rule, user, events.len() as u64, ids, first, last))
    };
    raised.into_iter().map(shown).collect()
}

fn found(alerts: Vec<Alert>) -> Found {
    let shown = |a: Alert| {
        let user = a.key["username"].as_str().unwrap_or_default().to_owned();
        let ids = a.audit_ids.into_iter().collect();
        (a.id, (a.rule, user, a.count, ids, a.first_seen, a.last_seen))
    };
    let n = alerts.len();
    let found: Found = alerts.into_iter().map(shown).collect();
    assert_eq!(found.len(), n, "an id twice");
    found
}

fn deeds() -> impl Strategy<Value = (Vec<Deed>, Vec<Deed>)> {
    // Every other deed on the edge of a step, where windows begin and end.
    let step = (STEP / SECOND) as u32;
    let second = prop_oneof![0..SPAN, (0..SPAN / step).prop_map(move |n| n * step)];
    let deed = (0..3u8, second, prop::bool::weighted(0.8));
    prop::collection::vec(deed, 0..40)
        .prop_map(|deeds| {
            let mut deeds: Vec<Deed> = deeds
                .into_iter()
                .enumerate()
                .map(|(id, (user, second, allowed))| Deed { id, user, second, allowed })
                .collect();
            deeds.sort_by_key(Deed::time);
            deeds
        })
        .prop_flat_map(|deeds| (Just(deeds.clone()), Just(deeds).prop_shuffle()))
}

#[test]
fn windows_are_those_of_brute_force_however_rows_arrive() {
    let engine = RefCell::new(engine(1 << 20));
    let forgetful = RefCell::new(self::engine(0));
    let config = ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let alerts = Cell::new(0);
    let outcome = runner.run(&(deeds(), 1..1200i64), |((ordered, shuffled), lag)| {
        let expected = brute_force(&ordered);
        let mut engine = engine.borrow_mut();
        engine.set_emission(Emission::Complete);
        for deeds in [&ordered, &shuffled] {
            engine.reset();
            engine.process(&decode(deeds));
            prop_assert_eq!(&found(engine.finish_all().unwrap()), &expected, "all at once");
        }

        engine.reset();
        for deed in &shuffled {
            engine.process(&decode(std::slice::from_ref(deed)));
        }
        prop_assert_eq!(&found(engine.finish_all().unwrap()), &expected, "shuffled, looked at in the end");

        let mut forgetful = forgetful.borrow_mut();
        forgetful.reset();
        for deeds in shuffled.chunks(3) {
            forgetful.process(&decode(deeds));
        }
        prop_assert_eq!(&found(forgetful.finish_all().unwrap()), &expected, "all rows put aside on disk");
        prop_assert!(forgetful.failures().is_empty());

        engine.reset();
        for deed in &ordered {
            engine.process(&decode(std::slice::from_ref(deed)));
            let watermark = engine.latest() - lag * SECOND;
            engine.advance(Watermarks::at(watermark));
        }
        prop_assert_eq!(&found(engine.finish_all().unwrap()), &expected, "as the watermark moves");

        // Live: windows are looked at before late rows come, and alerts leave at their first event.
        engine.set_emission(Emission::First);
        engine.reset();
        let mut ids = BTreeSet::new();
        for deed in &shuffled {
            let mut left = engine.process(&decode(std::slice::from_ref(deed)));
            let watermark = engine.latest();
            left.extend(engine.advance(Watermarks::at(watermark)));
            ids.extend(left.into_iter().map(|a| a.id));
        }
        ids.extend(engine.finish_all().unwrap().into_iter().map(|a| a.id));
        prop_assert_eq!(ids, expected.keys().cloned().collect(), "late rows");
        prop_assert!(engine.failures().is_empty());
        alerts.set(alerts.get() + expected.len());
        Ok(())
    });
    outcome.unwrap();
    assert!(alerts.get() > 40, "the events hardly ever raise an alert: {}", alerts.get());
}
