//! A replay of `samples/`: what it counts, what fires, and that neither the number of threads nor the
//! form of the input changes a byte of it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::LazyLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{ROOT, Run, run_at_root};

fn replay(args: &[&str]) -> Run {
    run_at_root(["replay", "--format", "ndjson"].iter().chain(args)).code(0)
}

/// The hub's messages as they lie in the repository, on one thread: what all others are compared with.
static REFERENCE: LazyLock<Run> = LazyLock::new(|| replay(&["--threads", "1", "samples/hub"]));

static EXPECTED: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(&fs::read_to_string(format!("{ROOT}/samples/expected.json")).unwrap()).unwrap()
});

/// The messages of the hub in the order they were sent.
static MESSAGES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut files: Vec<PathBuf> =
        glob::glob(&format!("{ROOT}/samples/hub/*")).unwrap().map(Result::unwrap).collect();
    files.sort();
    let mut text = String::new();
    for file in files {
        let bytes = fs::read(&file).unwrap();
        match file.extension().is_some_and(|e| e == "gz") {
            true => flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap(),
            false => (&bytes[..]).read_to_string(&mut text).unwrap(),
        };
    }
    text.lines().map(str::to_owned).collect()
});

/// A temporary folder of files.
fn folder(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

#[track_caller]
fn same_as_the_reference(args: &[&str]) {
    let (made, expected) = (replay(args).out, &REFERENCE.out);
    let other = made.lines().zip(expected.lines()).find(|(a, b)| a != b);
    assert!(made == *expected, "{args:?} gives other alerts; first difference:\n{other:#?}");
}

fn alerts(run: &Run) -> Vec<Value> {
    run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_run_gives_the_same_bytes() {
    assert!(REFERENCE.out.lines().count() > 30);
    same_as_the_reference(&["--threads", "1", "samples/hub"]);
    same_as_the_reference(&["--threads", "2", "samples/hub"]);
}

#[test]
fn one_file_ten_files_or_a_message_a_file() {
    let whole = folder([("all.json".into(), MESSAGES.join("\n").into_bytes())]);
    same_as_the_reference(&["--threads", "2", whole.path().to_str().unwrap()]);

    let parts: Vec<(String, Vec<u8>)> = MESSAGES
        .chunks(MESSAGES.len().div_ceil(10))
        .enumerate()
        .map(|(i, part)| (format!("part-{}.ndjson", i + 1), part.join("\n").into_bytes()))
        .collect();
    assert_eq!(parts.len(), 10);
    let ten = folder(parts.clone());
    same_as_the_reference(&["--threads", "2", ten.path().to_str().unwrap()]);

    let each = MESSAGES.iter().enumerate().map(|(i, text)| (format!("{i}.json"), text.clone().into_bytes()));
    let each = folder(each);
    same_as_the_reference(&["--threads", "2", each.path().to_str().unwrap()]);
}

#[test]
fn files_in_any_order() {
    // The order of messages inside a partition is kept, that of the files is not.
    let parts = MESSAGES.chunks(MESSAGES.len().div_ceil(10)).enumerate();
    let parts =
        parts.map(|(i, part)| (format!("part-{}.ndjson", (i * 7) % 10), part.join("\n").into_bytes()));
    let shuffled = folder(parts);
    same_as_the_reference(&["--threads", "2", shuffled.path().to_str().unwrap()]);
}

#[test]
fn packed_files() {
    let text = MESSAGES.join("\n");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    let packed = folder([
        ("gzip".into(), gzip.finish().unwrap()),
        ("zstd".into(), zstd::encode_all(text.as_bytes(), 3).unwrap()),
    ]);
    for name in ["gzip", "zstd"] {
        same_as_the_reference(&["--threads", "2", packed.path().join(name).to_str().unwrap()]);
    }
}

#[test]
fn a_storage_account_twice() {
    let once = replay(&["--threads", "1", "samples/storage"]);
    assert!(once.out.lines().count() > 10);
    assert_eq!(replay(&["--threads", "2", "samples/storage"]).out, once.out);
    let copy = tempfile::tempdir().unwrap();
    for file in glob::glob(&format!("{ROOT}/samples/storage/**/*.json")).unwrap().map(Result::unwrap) {
        let to = copy.path().join(file.strip_prefix(format!("{ROOT}/samples")).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(file, to).unwrap();
    }
    let twice = replay(&["samples/storage", copy.path().to_str().unwrap()]);
    assert_eq!(twice.out, once.out, "every event came twice and counts once");
}

#[test]
fn counts_are_those_the_generator_expects() {
    let stats = tempfile::tempdir().unwrap();
    let file = stats.path().join("stats.json");
    for (part, paths) in [
        ("hub", &["samples/hub"][..]),
        ("storage", &["samples/storage"]),
        ("hub_and_storage", &["samples/hub", "samples/storage"]),
    ] {
        let mut args = vec!["--rule", "secret-get", "--stats", file.to_str().unwrap()];
        args.extend(paths);
        let run = replay(&args);
        let stats: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        for (name, expected) in EXPECTED[part].as_object().unwrap() {
            let (mut counted, mut expected) = (stats[name].clone(), expected.clone());
            counted.sort_all_objects();
            expected.sort_all_objects();
            assert_eq!(counted, expected, "{name} of {part}");
        }
        let names: Vec<&String> = stats.as_object().unwrap().keys().collect();
        assert_eq!(names, NAMES, "the names of --stats are a contract");
        let number = |name: &str| stats[name].as_u64().unwrap();
        let all = |name: &str| -> u64 {
            stats[name].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum()
        };
        let accounted = number("events") + number("control_plane") + number("duplicates") + all("rejects");
        assert_eq!(number("records"), accounted);
        assert_eq!(number("records"), all("categories"));
        assert_eq!(run.out.lines().count() as u64, all("alerts"));
        let files = stats["files"].as_array().unwrap();
        let of_files = |name: &str| -> u64 { files.iter().map(|f| f[name].as_u64().unwrap()).sum() };
        assert_eq!((of_files("records"), of_files("bytes")), (number("records"), number("bytes")));
        for file in files {
            let names: Vec<&String> = file.as_object().unwrap().keys().collect();
            assert_eq!(names, ["path", "bytes", "records", "status"]);
            assert_eq!(file["status"], "ok");
        }
    }
}

const NAMES: [&str; 15] = [
    "bytes",
    "messages",
    "records",
    "events",
    "control_plane",
    "duplicates",
    "truncated",
    "rejects",
    "categories",
    "alerts",
    "first_event",
    "last_event",
    "files",
    "elapsed_seconds",
    "peak_rss_bytes",
];

/// Needs seven days of log before it speaks.
const LEARNS: &str = "entra-user-first-seen";

#[test]
fn the_intrusion_is_found_step_by_step() {
    let alerts = alerts(&REFERENCE);
    for (rule, expected) in EXPECTED["rules"].as_object().unwrap() {
        let fired: Vec<&Value> =
            alerts.iter().filter(|a| a["rule"] == *rule && a["cluster"] == expected["cluster"]).collect();
        if rule == LEARNS {
            assert!(fired.is_empty(), "{rule} fired on the first day of a log");
            assert!(REFERENCE.err.contains(&format!("{LEARNS}: silent on ")), "{}", REFERENCE.err);
            continue;
        }
        assert!(!fired.is_empty(), "{rule} is silent");
        let named: BTreeSet<&str> =
            fired.iter().flat_map(|a| a["audit_ids"].as_array().unwrap()).filter_map(Value::as_str).collect();
        let count: u64 = fired.iter().map(|a| a["count"].as_u64().unwrap()).sum();
        let unnamed = count - named.len() as u64;
        let events = expected["audit_ids"].as_array().unwrap();
        let events: BTreeSet<&str> = events.iter().filter_map(Value::as_str).collect();
        // An alert names 50 events and counts the rest.
        let missing: Vec<&&str> = events.difference(&named).collect();
        assert!(
            missing.is_empty() || unnamed >= missing.len() as u64 && named.len() >= 50,
            "{rule}: {missing:?}"
        );
    }
}

#[test]
fn alerts_are_whole_and_in_order() {
    let alerts = alerts(&REFERENCE);
    let first_seen: Vec<&str> = alerts.iter().map(|a| a["first_seen"].as_str().unwrap()).collect();
    assert!(first_seen.is_sorted());
    let ids: BTreeSet<&str> = alerts.iter().map(|a| a["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), alerts.len(), "an id twice");
    for alert in &alerts {
        let summary = alert["summary"].as_str().unwrap();
        assert!(!summary.is_empty() && !summary.contains(['{', '}']), "{summary}");
        assert_eq!(alert["replayed"], true);
        assert!(alert["first_seen"].as_str() <= alert["last_seen"].as_str(), "{alert}");
    }
}

#[test]
fn a_normal_day_is_quiet() {
    let stats = tempfile::tempdir().unwrap();
    let file = stats.path().join("stats.json");
    let run = replay(&["--stats", file.to_str().unwrap(), "samples/hub/2026-03-10-*"]);
    let stats: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let (alerts, events) = (run.out.lines().count() as u64, stats["events"].as_u64().unwrap());
    assert!(events > 500 && alerts * 10_000 < events, "{alerts} alerts of {events} events:\n{}", run.out);
}
