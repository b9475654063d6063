//! Windows that are looked at before late rows have come: the same alerts as with all rows at hand.

use std::cell::RefCell;

use aksentry::detect::{Engine, EngineConfig};
use aksentry::rules::{Catalog, Sources};
use proptest::prelude::*;

use super::{arrivals, check, decode, deeds, engine, live, lived, note, replayed, same, watermarks};

/// Deeds and how they arrive, in batches of that size.
fn input() -> impl Strategy<Value = (Vec<super::Deed>, Vec<super::Deed>, usize)> {
    deeds().prop_flat_map(|deeds| (Just(deeds.clone()), arrivals(deeds), 1..6usize))
}

#[test]
fn looking_early_raises_the_alerts_of_replay() {
    let (engine, forgetful) = (RefCell::new(engine(1 << 20)), RefCell::new(engine(0)));
    assert_eq!(engine.borrow().eager().collect::<Vec<_>>(), ["burst", "kinds", "lines", "pair"]);
    check(25, input(), |(deeds, arrived, size), raised| {
        let expected = replayed(&mut engine.borrow_mut(), &deeds);
        note(raised, &expected);
        for engine in [&engine, &forgetful] {
            let mut engine = engine.borrow_mut();
            live(&mut engine);
            let mut alerts = lived(&mut engine, &arrived, size);
            alerts.extend(engine.finish_all().unwrap());
            same(&alerts, &expected)?;
            prop_assert!(engine.failures().is_empty(), "{:?}", engine.failures());
        }
        Ok(())
    });
}

#[test]
fn a_burst_is_told_when_its_step_is_over() {
    let mut engine = engine(1 << 20);
    live(&mut engine);
    let deed =
        |id: usize, second: u32| super::Deed { id, user: 0, resource: 0, second, line: false, allowed: true };
    let burst: Vec<_> = (0..3).map(|id| deed(id, 130 + id as u32)).collect();
    assert!(lived(&mut engine, &burst, 1).iter().all(|a| a.rule != "burst"));
    let told = lived(&mut engine, &[deed(3, 240)], 1);
    assert!(told.iter().any(|a| a.rule == "burst"), "{told:?}");
}

#[test]
fn which_rules_of_the_pack_need_not_wait_for_late_rows() {
    let (catalog, problems) = Catalog::load(&Sources::default());
    assert!(problems.is_empty(), "{problems:?}");
    let engine =
        Engine::compile(&catalog, &EngineConfig { drafts: true, ..EngineConfig::default() }).unwrap();
    let mut eager: Vec<&str> = engine.eager().collect();
    eager.sort_unstable();
    // Counts with a lower bound, and sequences. Those that wait are not here: `cluster-silent` speaks of
    // silence, and `psa-label-removed` compares with the last state before, which a late row may be.
    let expected = [
        "anon-endpoint-enumeration",
        "anon-request-any",
        "anon-scan-threshold",
        "api-denied-distinct-resources",
        "api-discovery-burst",
        "apiserver-authn-failure-burst",
        "apiserver-rate-limited",
        "azure-policy-denied-burst",
        "binding-create-then-delete",
        "ca-rotation-observed",
        "cert-expiry-or-x509-error",
        "cluster-mi-authorization-failed",
        "csi-storage-key-or-authz-error",
        "csr-self-approved",
        "denied-burst-public-ip",
        "exec-burst",
        "guard-authn-failure-burst",
        "guard-checkaccess-error",
        "image-pull-failure-burst",
        "multi-resource-recon-burst",
        "node-cross-node-access",
        "node-drain-burst",
        "node-unattended-reboot-needed",
        "permission-enumeration-mixed",
        "pod-creation-rate",
        "pod-log-sweep",
        "pods-mass-deleted",
        "psa-denied-burst",
        "scheduler-failure-burst",
        "secret-access-bulk",
        "secret-cross-namespace-sweep",
        "secret-get-burst",
        "secret-get-denied-burst",
        "seq-anon-then-auth",
        "seq-rbac-then-workload",
        "seq-recon-then-secret",
        "tls-handshake-error-burst",
        "upgrade-outside-window",
        "user-multi-ip-window",
        "write-then-delete-pod",
    ];
    assert_eq!(eager, expected);
}

#[test]
fn what_a_rule_holds_is_told_and_let_go() {
    let mut engine = engine(1 << 20);
    live(&mut engine);
    let deeds: Vec<_> = (0..7200u32)
        .step_by(60)
        .map(|second| super::Deed {
            id: second as usize,
            user: 0,
            resource: 0,
            second,
            line: false,
            allowed: true,
        })
        .collect();
    let mut most = 0;
    for deeds in deeds.chunks(3) {
        engine.process(&decode(deeds));
        engine.advance(watermarks(&engine));
        most = most.max(engine.usage().find(|usage| usage.rule == "few").unwrap().rows);
    }
    // Five minutes of window and ten of lateness, before the ten for which rows may come late; twice that
    // before the rows are copied.
    assert!((25..55).contains(&most), "{most} of {} rows held", deeds.len());
    let usage = engine.usage().find(|usage| usage.rule == "few").unwrap();
    assert!(usage.bytes > 0 && usage.seconds > 0.0 && usage.too_late == 0, "{usage:?}");
    engine.process(&decode(&deeds[..5]));
    let usage = engine.usage().find(|usage| usage.rule == "few").unwrap();
    assert_eq!(usage.too_late, 5);
}
