//! The pack of detections that is shipped: no problem in it, every rule with cases, all of them right.

use std::path::Path;

use aksentry::detect::{Engine, EngineConfig};
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
    let compiled = |lazy| Engine::compile(&catalog, &EngineConfig { lazy, ..EngineConfig::default() }).unwrap();
    let mut lazy = compiled(true);
    let open: Vec<&str> = lazy.rules().map(|(rule, _)| rule.id.as_str()).collect();
    assert!(open.len() * 4 < lazy.running(), "planned at once, because their text lets any row in: {open:?}");
    assert_eq!(lazy.running(), compiled(false).running());
    lazy.wake_all();
    assert_eq!(lazy.matcher().asleep(), 0);
    assert_eq!(lazy.rules().count(), lazy.running());
}
