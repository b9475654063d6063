//! Correlations, run over events in and out of their windows.

use serde_json::{Value, json};

use super::{alerts, event, import};

const BASE: &str = "\
title: Exec
name: exec
logsource: {product: kubernetes, service: audit}
detection:
  sel: {verb: create, objectRef.subresource: exec}
  condition: sel
---
title: Secret
name: secret
id: 22222222-0000-0000-0000-000000000000
logsource: {product: kubernetes, service: audit}
detection:
  sel: {verb: get, objectRef.resource: secrets}
  condition: sel
---
title: Binding
name: binding
logsource: {product: kubernetes, service: audit}
detection:
  sel: {verb: create, objectRef.resource: rolebindings}
  condition: sel
---
title: Together
tags: [attack.execution]
correlation:
";

fn with(correlation: &str) -> String {
    let lines: String = correlation.lines().map(|line| format!("  {line}\n")).collect();
    format!("{BASE}{lines}")
}

/// An event at a minute: `exec`, `secret` or `binding`, by somebody.
fn at(minute: u32, what: &str, who: &str) -> Value {
    let (verb, object) = match what {
        "exec" => ("create", json!({"resource": "pods", "subresource": "exec", "name": "p"})),
        "binding" => ("create", json!({"resource": "rolebindings", "name": "b"})),
        name => ("get", json!({"resource": "secrets", "name": name})),
    };
    let time = format!("2026-11-02T10:{minute:02}:00.000000Z");
    event(
        &format!("{minute}-{what}-{who}"),
        &json!({"verb": verb, "objectRef": object, "user": {"username": who}, "requestReceivedTimestamp": time, "stageTimestamp": time}),
    )
}

/// Whom the correlation speaks of.
#[track_caller]
fn fires(correlation: &str, events: &[Value]) -> Vec<String> {
    let outcome = import(&with(correlation));
    assert!(outcome.refused.is_empty(), "{:?}", outcome.refused);
    let made = outcome.detections.iter().find(|made| made.title == "Together").unwrap();
    let mut who: Vec<String> = alerts(&outcome, events)
        .iter()
        .filter(|alert| alert.rule == made.id)
        .map(|alert| alert.key.values().filter_map(Value::as_str).collect::<Vec<_>>().join(","))
        .collect();
    who.sort();
    who.dedup();
    who
}

#[test]
fn events_counted() {
    let correlation =
        "type: event_count\nrules: [secret]\ngroup-by: [user.username]\ntimespan: 10m\ncondition: {gte: 3}";
    let events = [
        at(1, "a", "eve"),
        at(2, "a", "eve"),
        at(3, "a", "eve"),
        at(1, "b", "bob"),
        at(2, "b", "bob"),
        at(2, "exec", "bob"),
        at(1, "c", "slow"),
        at(20, "c", "slow"),
        at(40, "c", "slow"),
    ];
    assert_eq!(fires(correlation, &events), ["eve"]);
    let by_body = correlation.replace("user.username", "requestObject.metadata.name");
    assert_eq!(fires(&by_body, &events).len(), 1, "all of them have no body");
    let ranged = correlation.replace("{gte: 3}", "{gt: 1, lt: 3}");
    assert!(fires(&ranged, &events).contains(&"bob".to_owned()));
    let two = correlation.replace("[secret]", "[secret, exec]");
    assert_eq!(fires(&two, &events), ["bob", "eve"]);
}

#[test]
fn values_counted() {
    let correlation = "type: value_count\nrules: [22222222-0000-0000-0000-000000000000]\ngroup-by: [user.username]\ntimespan: 10m\ncondition: {gte: 3, field: objectRef.name}";
    let events = [
        at(1, "a", "eve"),
        at(2, "b", "eve"),
        at(3, "c", "eve"),
        at(1, "a", "bob"),
        at(2, "a", "bob"),
        at(3, "a", "bob"),
        at(4, "b", "bob"),
    ];
    assert_eq!(fires(correlation, &events), ["eve"]);
}

#[test]
fn together_in_any_order() {
    let correlation = "type: temporal\nrules: [exec, secret]\ngroup-by: [user.username]\ntimespan: 10m";
    let events = [
        at(3, "exec", "eve"),
        at(1, "s", "eve"),
        at(1, "exec", "bob"),
        at(2, "exec", "bob"),
        at(1, "exec", "slow"),
        at(30, "s", "slow"),
    ];
    assert_eq!(fires(correlation, &events), ["eve"]);
    let some = "type: temporal\nrules: [exec, secret, binding]\ngroup-by: [user.username]\ntimespan: 10m\ncondition: {gte: 2}";
    assert_eq!(fires(some, &events), ["eve"]);
    let aliased = "type: temporal\nrules: [exec, secret]\ngroup-by: [who]\ntimespan: 10m\naliases:\n  who:\n    exec: user.username\n    secret: objectRef.name";
    assert_eq!(fires(aliased, &[at(1, "exec", "eve"), at(2, "eve", "bob"), at(3, "bob", "eve")]), ["eve"]);
}

#[test]
fn one_after_the_other() {
    let correlation =
        "type: temporal_ordered\nrules: [exec, secret, binding]\ngroup-by: [user.username]\ntimespan: 10m";
    let events = [
        at(1, "exec", "eve"),
        at(2, "s", "eve"),
        at(3, "binding", "eve"),
        at(1, "s", "bob"),
        at(2, "exec", "bob"),
        at(3, "binding", "bob"),
        at(1, "binding", "late"),
        at(2, "exec", "late"),
        at(3, "s", "late"),
        at(4, "binding", "late"),
        at(1, "exec", "slow"),
        at(9, "s", "slow"),
        at(18, "binding", "slow"),
    ];
    assert_eq!(fires(correlation, &events), ["eve", "late"]);
    let everybody = correlation.replace("\ngroup-by: [user.username]", "");
    assert_eq!(fires(&everybody, &[at(1, "exec", "a"), at(2, "s", "b"), at(3, "binding", "c")]).len(), 1);
}

#[test]
fn rules_that_stand_for_themselves_too() {
    let text = "type: temporal\nrules: [exec, secret]\ngroup-by: [user.username]\ntimespan: 10m";
    let outcome = import(&with(text));
    assert_eq!((outcome.detections.len(), outcome.parts), (2, 2), "the binding's rule is in no correlation");
    let outcome = import(&with(&format!("{text}\ngenerate: true")));
    assert_eq!((outcome.detections.len(), outcome.parts), (4, 0));
}

#[test]
fn refused() {
    let correlation =
        |more: &str| format!("type: event_count\nrules: [secret]\ngroup-by: [user.username]\n{more}");
    for (text, said) in [
        (correlation("timespan: 10m\ncondition: {lt: 5}"), "a bound from below"),
        (correlation("timespan: 10m"), "no condition"),
        (correlation("condition: {gte: 5}"), "no timespan"),
        (correlation("timespan: 10x\ncondition: {gte: 5}"), "duration"),
        (correlation("timespan: 900d\ncondition: {gte: 5}"), "400d"),
        (correlation("timespan: 10m\ncondition: {gte: many}"), "no number"),
        (correlation("timespan: 10m\ncondition: exec and secret"), "write a map"),
        (
            correlation("timespan: 10m\ncondition: {gte: 5}").replace("event_count", "value_sum"),
            "\"value_sum\" is not supported",
        ),
        (
            correlation("timespan: 10m\ncondition: {gte: 5}").replace("event_count", "value_count"),
            "needs the field",
        ),
        (
            correlation("timespan: 10m\ncondition: {gte: 5}").replace("user.username", "user.groups"),
            "no single value",
        ),
        (correlation("timespan: 10m\ncondition: {gte: 5}").replace("user.username", "host.name"), "no field"),
        (
            correlation("timespan: 10m\ncondition: {gte: 5}").replace("[secret]", "[nobody]"),
            "no rule \"nobody\"",
        ),
        (correlation("timespan: 10m\ncondition: {gte: 5}").replace("[secret]", "[]"), "names no rules"),
        (correlation("timespan: 10m").replace("event_count", "temporal"), "two rules"),
    ] {
        let outcome = import(&with(&text));
        let problem = outcome
            .refused
            .first()
            .and_then(|refused| refused.problems.first())
            .unwrap_or_else(|| panic!("{text}"));
        assert!(problem.message.contains(said), "{said}: {}", problem.message);
    }
}
