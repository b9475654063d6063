//! The pack of detections that is shipped: no problem in it, every rule with cases, all of them right.

use std::path::Path;

use aksentry::decode::Decoder;
use aksentry::detect::{Engine, EngineConfig};
use aksentry::event::RawBatch;
use aksentry::rules::{Catalog, Sources};
use serde_json::Value;

use crate::cli::{ROOT, run_at_root};

#[test]
fn nothing_is_wrong_with_the_pack() {
    let run = run_at_root(["check"]).code(0).says("0 errors, 0 warnings");
    assert_eq!(run.out, "");
}

#[test]
fn every_case_passes_three_ways() {
    let run = run_at_root(["test"]).code(0).says(" 0 failed");
    assert_eq!(run.out, "");
}

#[test]
fn every_rule_has_cases_of_both_kinds() {
    let run = run_at_root(["rules", "list", "--format", "json"]).code(0);
    let rules: Vec<Value> = serde_json::from_str(&run.out).unwrap();
    assert!(!rules.is_empty());
    for rule in &rules {
        let (tactic, id) = (rule["tactic"].as_str().unwrap(), rule["id"].as_str().unwrap());
        let folder = Path::new(ROOT).join("detections").join(tactic).join(id);
        for kind in ["fires", "silent"] {
            let cases = glob::glob(&format!("{}/{kind}-*.ndjson", folder.display())).unwrap().count();
            assert!(cases > 0, "{id} has no case that {kind}");
            let expected = glob::glob(&format!("{}/{kind}-*.alerts.json", folder.display())).unwrap().count();
            assert_eq!(
                expected,
                if kind == "fires" { cases } else { expected },
                "{id}: run aksentry test --bless"
            );
        }
    }
}

/// Start-up is planning: a record of a kind that most rules do not ask for must not pay for them.
#[test]
fn most_rules_sleep_until_a_row_concerns_them() {
    let (catalog, problems) = Catalog::load(&Sources::default());
    assert!(problems.is_empty(), "{problems:?}");
    let compiled =
        |lazy| Engine::compile(&catalog, &EngineConfig { lazy, ..EngineConfig::default() }).unwrap();
    let (mut lazy, mut eager) = (compiled(true), compiled(false));
    assert_eq!((lazy.rules().count(), lazy.running()), (0, eager.running()));
    let lease = r#"{"records":[{"category":"kube-audit","time":"2026-03-10T00:00:01Z","resourceId":"/X/MANAGEDCLUSTERS/C","properties":{"log":"{\"kind\":\"Event\",\"level\":\"Metadata\",\"auditID\":\"5a1d7c0e-0001-4c1a-9a55-0123456789ab\",\"stage\":\"ResponseComplete\",\"verb\":\"update\",\"user\":{\"username\":\"system:node:a\"},\"objectRef\":{\"resource\":\"leases\",\"namespace\":\"kube-node-lease\",\"name\":\"a\"},\"stageTimestamp\":\"2026-03-10T00:00:01.000000Z\"}"}}]}"#;
    let decoded = Decoder::default().decode(&RawBatch { bodies: vec![lease.into()] });
    assert_eq!(decoded.counts.events, 1);
    lazy.process(&decoded.batch);
    let awake: Vec<&str> = lazy.rules().map(|(rule, _)| rule.id.as_str()).collect();
    assert!(!awake.is_empty() && awake.len() * 2 < lazy.running(), "planned for a lease: {awake:?}");
    // What is said of rules that sleep is what is said of them awake.
    for columns in [
        &["impersonated_username", "impersonated_groups"][..],
        &["cluster"],
        &["user_agent"],
        &["request_object", "response_object", "object"],
    ] {
        assert_eq!(compiled(true).without(columns), eager.without(columns), "{columns:?}");
    }
    assert_eq!(compiled(true).kinds(), eager.kinds());
    lazy.wake_those(&|_| true);
    assert_eq!((lazy.matcher().asleep(), lazy.rules().count()), (0, eager.rules().count()));
}
