//! What the samples promise: the committed files are what the generator makes, ids are unique, and the
//! conditions that rules over time rely on hold.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::model::{cluster, messages};
use crate::scenario::scenario;
use crate::tale::{DAY_ONE, HOUR, MINUTE, moment};
use crate::{default_folder, differences, everything};

#[test]
fn committed_files_are_what_the_generator_makes() {
    let found = differences(&default_folder(), &everything().unwrap()).unwrap();
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn samples_stay_small() {
    let bytes: usize = everything().unwrap().values().map(Vec::len).sum();
    assert!(bytes < 5_000_000, "{bytes} bytes");
}

#[test]
fn every_audit_id_is_of_one_request_and_every_line_is_unique() {
    let scenario = scenario();
    let mut requests: BTreeMap<(String, &str), &str> = BTreeMap::new();
    let mut lines = BTreeSet::new();
    for (cluster, record) in &scenario.records {
        match &record.audit {
            Some((id, stage)) => {
                let text = requests.entry((id.clone(), *stage)).or_insert(&record.log);
                assert_eq!(*text, record.log, "two requests with the audit id {id}");
            }
            None => assert!(lines.insert((*cluster, &record.log)), "twice: {}", record.log),
        }
    }
}

#[test]
fn a_cluster_is_never_silent_for_ten_minutes_until_the_first_one_is() {
    let scenario = scenario();
    for n in 0..3 {
        let mut last = DAY_ONE * 1000;
        let of_cluster = scenario.records.iter().filter(|(c, r)| *c == n && r.audit.is_some());
        for (_, record) in of_cluster {
            assert!(record.time - last < 9 * MINUTE * 1000, "cluster {n} is silent before {}", record.time);
            last = record.time;
        }
        // Busy to the end: the rule about silence wants ten minutes with records among the last twenty.
        let minutes: BTreeSet<i64> = scenario
            .records
            .iter()
            .filter(|(c, r)| *c == n && r.time > last - 19 * MINUTE * 1000)
            .map(|(_, r)| r.time / (MINUTE * 1000))
            .collect();
        assert_eq!(minutes.len() >= 10, n == 0, "cluster {n}: {} minutes", minutes.len());
        let ends = if n == 0 { moment(2, 21, 40, 0) } else { moment(2, 23, 50, 0) };
        assert!(last > ends * 1000);
        assert!(n != 0 || last < moment(2, 22, 0, 0) * 1000);
    }
}

#[test]
fn people_of_the_second_day_were_there_on_the_first() {
    let scenario = scenario();
    let mut first: BTreeMap<(usize, String), i64> = BTreeMap::new();
    for (cluster, record) in &scenario.records {
        let Ok(event) = serde_json::from_str::<Value>(&record.log) else { continue };
        if !event["user"]["extra"]["oid"].is_null() {
            let name = event["user"]["username"].as_str().unwrap().to_owned();
            first.entry((*cluster, name)).or_insert(record.time / 1000);
        }
    }
    let late: Vec<_> = first.iter().filter(|(_, at)| **at > DAY_ONE + 24 * HOUR).map(|(k, _)| k).collect();
    assert_eq!(late, [&(0, "j.meyer_fabrikam.example#EXT#@contoso.com".to_owned())]);
}

#[test]
fn expected_numbers_add_up() {
    let files = everything().unwrap();
    let expected: Value = serde_json::from_slice(&files["expected.json"]).unwrap();
    for part in ["hub", "storage", "hub_and_storage"] {
        let n = |key: &str| expected[part][key].as_u64().unwrap();
        assert_eq!(n("records"), n("events") + n("control_plane") + n("duplicates"), "{part}");
        let categories: u64 =
            expected[part]["categories"].as_object().unwrap().values().map(|v| v.as_u64().unwrap()).sum();
        assert_eq!(n("records"), categories, "{part}");
        assert!(n("truncated") > 0 && n("duplicates") > 0, "{part}");
    }
    assert_eq!(expected["hub"]["events"], expected["hub_and_storage"]["events"]);
}

#[test]
fn endless_traffic_is_of_the_size_and_number_asked_for() {
    let mut ids = BTreeSet::new();
    let mut bytes = 0;
    let mut largest = 0;
    for body in messages(3, 4_005) {
        bytes += body.len();
        let message: Value = serde_json::from_slice(&body).unwrap();
        for record in message["records"].as_array().unwrap() {
            let log = record["properties"]["log"].as_str().unwrap();
            largest = largest.max(log.len());
            let event: Value = serde_json::from_str(log).unwrap();
            assert!(ids.insert(event["auditID"].as_str().unwrap().to_owned()));
        }
    }
    assert_eq!(ids.len(), 4_005);
    let mean = bytes / ids.len();
    assert!((2_450..2_750).contains(&mean), "{mean} bytes an event");
    assert!(largest > 9_000, "{largest}");
    assert!(messages(3, 40).eq(messages(3, 40)));
    assert!(!messages(3, 40).eq(messages(4, 40)));
}

#[test]
fn the_first_cluster_is_the_one_with_both_categories() {
    let first = &cluster::clusters()[0];
    assert!(first.audit && first.admin && first.guard);
}
