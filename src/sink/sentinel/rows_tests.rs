//! Any alert becomes a row that fits, each row is in exactly one body, and bodies keep to their limit.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use serde_json::{Map, Value, json};

use super::rows::{COLUMNS, MAX_BODY, Row, body, pack, row};
use crate::alert::{Alert, Object, Severity, Status};

const NOW: &str = "2026-03-01T12:00:00Z";

/// Text of any length up to far more than a field takes; controls are six times as long in JSON.
fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![Just("\u{1}"), Just("é"), Just("x"), Just("😀"), Just("\"")];
    let times = prop_oneof![30 => 0..60usize, 1 => 0..100_000usize];
    (piece, times).prop_map(|(piece, times)| piece.repeat(times))
}

fn any_object() -> impl Strategy<Value = Object> {
    let value = prop_oneof![
        any_text().prop_map(Value::String),
        any::<i64>().prop_map(Value::from),
        prop::collection::vec(any_text(), 0..4).prop_map(|texts| json!({"texts": texts, "none": null})),
    ];
    prop::collection::vec((any_text(), value), 0..6).prop_map(|members| members.into_iter().collect())
}

prop_compose! {
    fn any_alert()(
        texts in prop::collection::vec(any_text(), 6),
        lists in prop::collection::vec(prop::collection::vec(any_text(), 0..30), 2),
        objects in prop::collection::vec(any_object(), 2),
        count in any::<u64>(),
        known in any::<bool>(),
    ) -> Alert {
        Alert {
            id: String::new(),
            rule: texts[0].clone(),
            title: texts[1].clone(),
            severity: Severity::Critical,
            status: Status::Stable,
            cluster: known.then(|| texts[2].clone()),
            key: objects[0].clone(),
            summary: texts[3].clone(),
            count,
            first_seen: known.then(|| "2026-02-10T09:00:00.123456Z".to_owned()),
            last_seen: known.then(|| texts[4].clone()),
            attack: lists[0].clone(),
            tactic: texts[5].clone(),
            audit_ids: lists[1].clone(),
            evidence: objects[1].clone(),
            replayed: known,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_alert_is_in_one_body_and_every_body_fits(mut alerts in prop::collection::vec(any_alert(), 0..8)) {
        for (i, alert) in alerts.iter_mut().enumerate() {
            alert.id = format!("{i:032x}");
        }
        let rows = alerts.iter().enumerate().map(|(alert, value)| {
            let json = row(value, NOW, MAX_BODY - 2).expect("any alert has a form that fits");
            Row { alert, json }
        });
        let bodies = pack(rows);
        let mut seen = Vec::new();
        for rows in &bodies {
            prop_assert!(!rows.is_empty());
            let body = body(rows);
            prop_assert!(body.len() <= MAX_BODY);
            let sent: Vec<Map<String, Value>> = serde_json::from_slice(&body).unwrap();
            for row in &sent {
                let names: Vec<&str> = row.keys().map(String::as_str).collect();
                prop_assert_eq!(names, COLUMNS.map(|(name, _)| name));
                for (name, kind) in COLUMNS {
                    let field = &row[name];
                    let (fits, len) = match kind {
                        "dynamic" => (field.is_object() || field.is_array(), field.to_string().len()),
                        "long" => (field.as_i64().is_some(), 0),
                        "boolean" => (field.is_boolean(), 0),
                        _ => (field.is_string() || field.is_null(), field.as_str().unwrap_or("").len()),
                    };
                    prop_assert!(fits && len <= 65_536, "{} of {} bytes", name, len);
                }
            }
            seen.extend(sent.iter().map(|row| row["AlertId"].as_str().unwrap().to_owned()));
        }
        prop_assert_eq!(seen, alerts.iter().map(|alert| alert.id.clone()).collect::<Vec<_>>());
        // No two neighbours would have fitted into one body.
        for pair in bodies.windows(2) {
            prop_assert!(body(&pair[0]).len() + 1 + pair[1][0].json.len() > MAX_BODY);
        }
    }

    #[test]
    fn a_row_is_as_short_as_it_has_to_be(mut alert in any_alert(), limit in 4_000..200_000usize) {
        alert.id = "0123456789abcdef0123456789abcdef".to_owned();
        let json = row(&alert, NOW, limit).expect("4,000 bytes are enough for any alert");
        prop_assert!(json.len() <= limit);
        let sent: Value = serde_json::from_slice(&json).unwrap();
        prop_assert_eq!(&sent["AlertId"], &alert.id);
    }
}

#[test]
fn an_alert_whose_id_alone_is_too_long_has_no_form() {
    let runner = &mut proptest::test_runner::TestRunner::deterministic();
    let mut alert = any_alert().new_tree(runner).unwrap().current();
    alert.id = "x".repeat(MAX_BODY);
    assert!(row(&alert, NOW, MAX_BODY - 2).is_none());
}
