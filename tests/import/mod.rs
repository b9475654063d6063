//! Sigma rules of our own making, imported and run: what a rule means is seen on events that match and on
//! events that nearly do, never on the text alone.

mod command;
mod conditions;
mod correlations;
mod fields;
mod patterns;
mod refusals;

use std::collections::BTreeSet;
use std::path::Path;

use aksentry::alert::{Alert, Status};
use aksentry::decode::Decoder;
use aksentry::detect::{Engine, EngineConfig};
use aksentry::event::{Batch, RawBatch};
use aksentry::import::{Import, Outcome};
use aksentry::rules::{Catalog, List, parse_detection};
use serde_json::{Value, json};

/// What becomes of one file.
pub fn import(text: &str) -> Outcome {
    let mut import = Import::new(["jump_hosts".to_owned()], Status::Draft);
    import.add(Path::new("rules/own.yml"), text);
    import.finish()
}

/// A rule with this detection, each of whose lines is indented by two.
pub fn rule(title: &str, detection: &str) -> String {
    let detection: String = detection.lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "title: {title}\ntags: [attack.discovery]\nlevel: low\nlogsource: {{product: kubernetes, service: audit}}\ndetection:\n{detection}"
    )
}

/// An event that differs from a plain one by `change`; null takes a field away.
pub fn event(id: &str, change: &Value) -> Value {
    let mut event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/web/pods/a", "verb": "get",
        "user": {"username": "alice@contoso.com", "uid": "u1", "groups": ["system:authenticated"], "extra": {"oid": ["o-1"]}},
        "sourceIPs": ["203.0.113.7", "10.1.2.3"], "userAgent": "kubectl/v1.31.0 (linux/amd64)",
        "objectRef": {"resource": "pods", "namespace": "web", "name": "a", "apiVersion": "v1"},
        "responseStatus": {"code": 200},
        "requestReceivedTimestamp": "2026-11-02T10:00:00.000000Z", "stageTimestamp": "2026-11-02T10:00:01.000000Z",
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": "RBAC: allowed"}
    });
    merge(&mut event, change);
    event["auditID"] = id.into();
    event
}

fn merge(into: &mut Value, change: &Value) {
    let (Some(fields), Some(changes)) = (into.as_object_mut(), change.as_object()) else {
        *into = change.clone();
        return;
    };
    for (name, change) in changes {
        match change {
            Value::Null => {
                fields.remove(name);
            }
            change => merge(fields.entry(name.clone()).or_insert(Value::Null), change),
        }
    }
}

pub fn batch(events: &[Value]) -> Batch {
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    let raw = RawBatch { bodies: vec![bytes::Bytes::from(lines.join("\n"))] };
    let decoded = Decoder::default().decode(&raw);
    assert_eq!(decoded.batch.audit.num_rows(), events.len());
    decoded.batch
}

/// An engine with every detection of an import; each must be one the engine takes.
pub fn engine(outcome: &Outcome) -> Engine {
    let mut catalog = Catalog::default();
    let (list, problems) =
        List::parse("jump_hosts", Path::new("x"), "value,reason\nbastion,ours\n*-jump,ours\n");
    assert_eq!(problems, []);
    catalog.lists.insert("jump_hosts".into(), std::sync::Arc::new(list));
    for made in &outcome.detections {
        let path = Path::new(made.tactic).join(format!("{}.sql", made.id));
        let detection = parse_detection(&path, made.tactic, &made.id, &made.text);
        catalog.detections.push(detection.unwrap_or_else(|problems| panic!("{problems:#?}\n{}", made.text)));
    }
    let config = EngineConfig { drafts: true, ..EngineConfig::default() };
    let texts = || outcome.detections.iter().map(|made| made.text.clone()).collect::<String>();
    Engine::compile(&catalog, &config).unwrap_or_else(|problems| panic!("{problems:#?}\n{}", texts()))
}

pub fn alerts(outcome: &Outcome, events: &[Value]) -> Vec<Alert> {
    let mut engine = engine(outcome);
    engine.process(&batch(events));
    let alerts = engine.finish_all().unwrap();
    assert!(engine.failures().is_empty(), "{:?}", engine.failures());
    alerts
}

/// A detection, and events with whether they match.
pub type Case<'a> = (&'a str, &'a [(Value, bool)]);

/// Imports each detection as a rule of its own and compares on which of its events it fires.
#[track_caller]
pub fn check(cases: &[Case]) {
    let (mut text, mut events) = (String::new(), Vec::new());
    for (at, (detection, own)) in cases.iter().enumerate() {
        text += &format!("---\n{}", rule(&format!("Case {at} end"), detection));
        for (n, (change, _)) in own.iter().enumerate() {
            events.push(event(&format!("{at}-{n}"), change));
        }
    }
    let outcome = import(&text);
    assert!(outcome.refused.is_empty(), "{:#?}", outcome.refused);
    let fired: BTreeSet<(String, String)> = alerts(&outcome, &events)
        .into_iter()
        .flat_map(|alert| {
            alert.audit_ids.iter().map(|id| (alert.rule.clone(), id.clone())).collect::<Vec<_>>()
        })
        .collect();
    let mut wrong = Vec::new();
    for (at, (detection, own)) in cases.iter().enumerate() {
        let id = format!("sigma-case-{at}-end");
        let made = outcome.detections.iter().find(|made| made.id == id).unwrap();
        for (n, (change, expected)) in own.iter().enumerate() {
            let matched = fired.contains(&(id.clone(), format!("{at}-{n}")));
            if matched != *expected {
                let (_, sql) = made.text.split_once("WHERE").unwrap();
                wrong.push(format!("{detection}\non {change}: {matched}, not {expected}; WHERE{sql}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `check` for a search of one line.
#[track_caller]
pub fn check_items(cases: &[Case]) {
    let detections: Vec<String> = cases
        .iter()
        .map(|(item, _)| format!("sel:\n  {}\ncondition: sel", item.replace('\n', "\n  ")))
        .collect();
    let cases: Vec<Case> =
        detections.iter().zip(cases).map(|(text, (_, events))| (text.as_str(), *events)).collect();
    check(&cases);
}

pub fn user(name: &str) -> Value {
    json!({"user": {"username": name}})
}
