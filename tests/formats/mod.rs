//! One scenario in every format: the same alerts and the same counts through `replay`, but for what a
//! format cannot carry. The differences there are stand in the tables below, and the summary says
//! them.
//!
//! The scenario is that of `samples/hub` without the records that are cut (a workspace cannot take
//! those apart either). Each format is written as three files, one plain, one gzip, one zstd.

mod broken;
mod hostile;
mod write;

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::{Value, json};
use tempfile::TempDir;

use self::write::{Record, Row};
use crate::cli::{ROOT, Run, run_at_root};

/// The messages of the hub, and their records.
static SCENARIO: LazyLock<(Vec<String>, Vec<Record>)> = LazyLock::new(|| {
    let mut files: Vec<_> =
        glob::glob(&format!("{ROOT}/samples/hub/*")).unwrap().map(Result::unwrap).collect();
    files.sort();
    let (mut messages, mut all) = (Vec::new(), Vec::new());
    for file in files {
        let bytes = fs::read(&file).unwrap();
        let mut text = String::new();
        match file.extension().is_some_and(|e| e == "gz") {
            true => flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap(),
            false => (&bytes[..]).read_to_string(&mut text).unwrap(),
        };
        for line in text.lines() {
            let message: Value = serde_json::from_str(line).unwrap();
            let mut kept = Vec::new();
            for record in message["records"].as_array().unwrap() {
                let audit = record["category"].as_str().unwrap().starts_with("kube-audit");
                let log = record["properties"]["log"].as_str().unwrap();
                let event = serde_json::from_str::<Value>(log).ok();
                if audit == event.is_some() {
                    kept.push(record.clone());
                    all.push(Record { json: record.clone(), event });
                }
            }
            if !kept.is_empty() {
                messages.push(json!({"records": kept}).to_string());
            }
        }
    }
    (messages, all)
});

/// A file of each part, plain, gzip and zstd.
fn folder(parts: &[Vec<u8>]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (i, part) in parts.iter().enumerate() {
        let packed = match i % 3 {
            0 => part.clone(),
            1 => write::gzip(part),
            _ => zstd::encode_all(&part[..], 1).unwrap(),
        };
        // The name says nothing, or the wrong thing.
        fs::write(folder.path().join(format!("part-{i}.json")), packed).unwrap();
    }
    folder
}

fn thirds<T: Clone>(items: &[T], write: impl Fn(&[T]) -> Vec<u8>) -> Vec<Vec<u8>> {
    items.chunks(items.len().div_ceil(3)).map(write).collect()
}

struct Outcome {
    alerts: Vec<Value>,
    stats: Value,
    run: Run,
}

/// The pack without the one rule that is evaluated every minute of two days, which says nothing of formats
/// and takes most of the time of an unoptimised build.
static PACK: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    crate::parquet::copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("detections"), folder.path());
    fs::remove_file(folder.path().join("defense-evasion/cluster-silent.sql")).unwrap();
    fs::remove_dir_all(folder.path().join("defense-evasion/cluster-silent")).unwrap();
    folder
});

fn replay(parts: &[Vec<u8>], more: &[&str]) -> Outcome {
    let folder = folder(parts);
    let stats = folder.path().join(".stats");
    let (path, stats_path) = (folder.path().to_str().unwrap(), stats.to_str().unwrap());
    let pack = PACK.path().to_str().unwrap();
    let args = ["replay", "--detections", pack, "--format", "ndjson", "--stats", stats_path, path];
    let run = run_at_root(args.iter().chain(more)).code(0);
    let alerts = run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let stats = serde_json::from_str(&fs::read_to_string(stats).unwrap()).unwrap();
    Outcome { alerts, stats, run }
}

static REFERENCE: LazyLock<Outcome> =
    LazyLock::new(|| replay(&thirds(&SCENARIO.0, |messages| messages.join("\n").into_bytes()), &[]));

/// How a format differs from the hub's messages.
struct Format {
    name: &'static str,
    parts: fn() -> Vec<Vec<u8>>,
    /// Rules that say nothing because of what is not carried.
    blind: &'static [&'static str],
    /// What an alert may show otherwise, its id being the same.
    other: &'static [&'static str],
    /// What the summary says.
    says: &'static [&'static str],
}

fn rows(row: fn(&Record) -> Row, write: fn(&[Row]) -> Vec<u8>) -> Vec<Vec<u8>> {
    let rows: Vec<Row> = SCENARIO.1.iter().map(row).collect();
    thirds(&rows, write)
}

const IMPERSONATION: &[&str] = &["impersonation-any", "impersonation-privileged"];
const NO_IMPERSONATION: &[&str] = &[
    "AKSAudit and AKSAuditAdmin have no column for who was impersonated: 2,",
    "blind rules   arc-proxy-secret-access, impersonation-any, impersonation-privileged",
];
/// The portal shows milliseconds.
const TIMES: &[&str] = &["first_seen", "last_seen", "evidence", "summary"];

/// The hub's messages, kept elsewhere.
const MESSAGES: &[Format] = &[
    Format {
        name: "a storage account's PT1H.json",
        parts: || thirds(&SCENARIO.1, write::storage),
        blind: &[],
        other: &[],
        says: &[],
    },
    Format {
        name: "Capture, not packed",
        parts: || thirds(&SCENARIO.0, |messages| write::capture(messages, "null")),
        blind: &[],
        other: &[],
        says: &[],
    },
    Format {
        name: "Capture, deflate",
        parts: || thirds(&SCENARIO.0, |messages| write::capture(messages, "deflate")),
        blind: &[],
        other: &[],
        says: &[],
    },
    Format {
        name: "Capture, snappy",
        parts: || thirds(&SCENARIO.0, |messages| write::capture(messages, "snappy")),
        blind: &[],
        other: &[],
        says: &[],
    },
];

/// AKSAudit, AKSAuditAdmin and AKSControlPlane.
const TABLES: &[Format] = &[
    Format {
        name: "data export",
        parts: || rows(write::resource_specific, write::json_lines),
        blind: IMPERSONATION,
        other: &[],
        says: NO_IMPERSONATION,
    },
    Format {
        name: "query result",
        parts: || rows(write::resource_specific, write::query_result),
        blind: IMPERSONATION,
        other: &[],
        says: NO_IMPERSONATION,
    },
    Format {
        name: "portal CSV",
        parts: || rows(write::resource_specific, write::portal_csv),
        blind: IMPERSONATION,
        other: TIMES,
        says: NO_IMPERSONATION,
    },
    Format {
        name: "export job",
        parts: || rows(write::resource_specific, write::parquet),
        blind: IMPERSONATION,
        other: &[],
        says: NO_IMPERSONATION,
    },
];

/// The table that holds the text of the event.
const DIAGNOSTICS: &[Format] = &[
    Format {
        name: "AzureDiagnostics, query result",
        parts: || rows(write::diagnostics, write::query_result),
        blind: &[],
        other: &[],
        says: &[],
    },
    Format {
        name: "AzureDiagnostics, portal CSV",
        parts: || rows(write::diagnostics, write::portal_csv),
        blind: &[],
        other: &[],
        says: &[],
    },
    Format {
        name: "AzureDiagnostics, JSON lines",
        parts: || rows(write::diagnostics, write::json_lines),
        blind: &[],
        other: &[],
        says: &[],
    },
    Format {
        name: "AzureDiagnostics, Parquet",
        parts: || rows(write::diagnostics, write::parquet),
        blind: &[],
        other: &[],
        says: &[],
    },
];

/// What a run is compared by: everything but what this format may show otherwise.
fn comparable(alerts: &[Value], without: &[&str], other: &[&str]) -> BTreeSet<String> {
    let kept = alerts.iter().filter(|alert| !without.contains(&alert["rule"].as_str().unwrap()));
    kept.map(|alert| {
        let mut alert = alert.clone();
        let fields = alert.as_object_mut().unwrap();
        other.iter().for_each(|name| drop(fields.shift_remove(*name)));
        alert.to_string()
    })
    .collect()
}

#[test]
fn messages_kept_elsewhere_give_the_same_alerts_and_counts() {
    same_but_for_what_is_written_down(MESSAGES);
}

#[test]
fn tables_of_a_workspace_give_the_same_alerts_and_counts() {
    same_but_for_what_is_written_down(TABLES);
}

#[test]
fn azure_diagnostics_gives_the_same_alerts_and_counts() {
    same_but_for_what_is_written_down(DIAGNOSTICS);
}

fn same_but_for_what_is_written_down(formats: &[Format]) {
    let reference = &*REFERENCE;
    assert!(reference.alerts.len() > 30, "{}", reference.run.err);
    assert!(!reference.run.err.contains("not carried"), "{}", reference.run.err);
    for format in formats {
        let name = format.name;
        let outcome = replay(&(format.parts)(), &[]);
        for count in
            ["records", "events", "control_plane", "duplicates", "truncated", "rejects", "categories"]
        {
            assert_eq!(outcome.stats[count], reference.stats[count], "{name}: {count}\n{}", outcome.run.err);
        }
        let blind: BTreeSet<&str> = format.blind.iter().copied().collect();
        let fired = |outcome: &Outcome| -> BTreeSet<String> {
            outcome.alerts.iter().map(|alert| alert["rule"].as_str().unwrap().to_owned()).collect()
        };
        assert!(
            blind.iter().all(|rule| fired(reference).contains(*rule)),
            "{name} is blind to more than there is"
        );
        assert!(blind.iter().all(|rule| !fired(&outcome).contains(*rule)), "{name} is not blind");
        let expected = comparable(&reference.alerts, format.blind, format.other);
        let made = comparable(&outcome.alerts, &[], format.other);
        let differing: Vec<_> = expected.symmetric_difference(&made).take(4).collect();
        assert!(differing.is_empty(), "{name} gives other alerts: {differing:#?}");
        for says in format.says {
            assert!(outcome.run.err.contains(says), "{name}: no \"{says}\" in\n{}", outcome.run.err);
        }
        if format.says.is_empty() {
            assert!(!outcome.run.err.contains("not carried"), "{name}: {}", outcome.run.err);
        }
        assert!(
            outcome.stats["files"].as_array().unwrap().iter().all(|file| file["status"] == "ok"),
            "{name}"
        );
    }
}

/// A plain audit log names no cluster: it is given, and then its alerts are those of that cluster's
/// messages, as far as they come of the audit log.
#[test]
fn a_plain_audit_log_gives_the_alerts_of_its_cluster() {
    let cluster =
        SCENARIO.1.iter().find(|r| r.cluster().ends_with("aks-payments-prod-weu")).unwrap().cluster();
    let of: Vec<Record> = SCENARIO.1.iter().filter(|r| r.cluster() == cluster).cloned().collect();
    let audit: Vec<Record> = of.iter().filter(|r| r.event.is_some()).cloned().collect();
    let hub = replay(&thirds(&audit, write::storage), &[]);
    assert!(hub.alerts.len() > 20);
    for (name, parts) in
        [("audit.log", thirds(&audit, write::audit_log)), ("EventList", thirds(&audit, write::event_list))]
    {
        let outcome = replay(&parts, &["--cluster", &cluster]);
        for count in ["records", "events", "control_plane", "duplicates", "rejects"] {
            assert_eq!(outcome.stats[count], hub.stats[count], "{name}: {count}");
        }
        let differing: Vec<String> = comparable(&hub.alerts, &[], &[])
            .symmetric_difference(&comparable(&outcome.alerts, &[], &[]))
            .take(4)
            .cloned()
            .collect();
        assert!(differing.is_empty(), "{name} gives other alerts: {differing:#?}");
        outcome.run.says(&format!("name no cluster and were taken to be of {cluster}"));
        replay(&parts, &[]).run.says("records that name no cluster (give it with --cluster): ");
    }
}

#[test]
fn coverage_names_the_rules_that_are_blind() {
    let export = folder(&rows(write::resource_specific, write::json_lines));
    let path = export.path().to_str().unwrap();
    let run = run_at_root(["rules", "coverage", "--format", "ndjson", path]).code(0);
    let lines: Vec<Value> = run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let blind: Vec<&Value> = lines.iter().filter(|line| line["by"] == "blind").collect();
    let one = blind.iter().find(|line| line["value"] == "impersonation-privileged").unwrap();
    assert_eq!(one["name"], "AKSAudit and AKSAuditAdmin have no column for who was impersonated");
    assert_eq!(one["records"], 0);
    let hub = run_at_root(["rules", "coverage", "--format", "ndjson", "samples/hub"]).code(0);
    assert!(!hub.out.lines().any(|line| line.contains("\"blind\"") && line.contains("impersonation")));
}
