//! Input that is no log of ours, or means harm: it is named and counted, and the rest is read.

use serde_json::{Value, json};

use super::{Place, Run, record};

/// Replays `in` with `--stats`; every record is accounted for and nothing panics.
#[track_caller]
fn replayed(place: &Place) -> (Run, Value) {
    let run = place.run("replay --stats stats.json in").code(0);
    assert!(!run.err.contains("panicked"), "{}", run.err);
    let stats: Value = serde_json::from_str(&place.read("stats.json")).unwrap();
    let number = |name: &str| stats[name].as_u64().unwrap();
    let rejects: u64 = stats["rejects"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    let accounted = number("events") + number("control_plane") + number("duplicates") + rejects;
    assert_eq!(number("records"), accounted, "{stats}");
    (run, stats)
}

#[test]
fn rows_of_another_schema_are_rejected_with_a_reason() {
    let place = Place::new();
    let rows = [
        // A row exported from a Log Analytics workspace, of a table of another product.
        json!({"TenantId": "t", "TimeGenerated": "2026-03-01T10:00:00Z", "OperationName": "Sign-in", "Type": "SigninLogs"}),
        // An audit trail of another cloud.
        json!({"eventVersion": "1.08", "eventSource": "iam.example", "eventName": "CreateUser", "userIdentity": {"type": "Root"}}),
        // An object of Kubernetes that is no event.
        json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "web"}}),
    ];
    place.put("in/1.json", rows.map(|row| row.to_string()).join("\n"));
    place.put("in/2.json", record("alice", "db", 1));
    let (run, stats) = replayed(&place);
    assert_eq!((stats["events"].as_u64(), stats["records"].as_u64()), (Some(1), Some(4)));
    assert_eq!(run.out.lines().count(), 1);
    let rejects = stats["rejects"].as_object().unwrap();
    assert!(rejects.keys().any(|reason| run.err.contains(reason.as_str())), "{rejects:?} in {}", run.err);
}

#[test]
fn nesting_without_end_is_a_reject() {
    let place = Place::new();
    let deep = 100_000;
    place.put("in/1.json", "[".repeat(deep));
    place.put("in/2.json", format!("{}1{}", "[".repeat(deep), "]".repeat(deep)));
    place.put("in/3.json", format!("{}1{}", "{\"records\":[".repeat(deep), "]}".repeat(deep)));
    let body = format!("{}1{}", "{\"a\":".repeat(deep), "}".repeat(deep));
    let nested =
        record("mallory", "db", 1).replace("\\\"kind\\\"", "\\\"requestObject\\\":BODY,\\\"kind\\\"");
    assert!(nested.contains("BODY"));
    place.put(
        "in/4.json",
        nested.replace("BODY", &body.replace('"', "\\\"")) + "\n" + &record("alice", "db", 2),
    );
    let (run, stats) = replayed(&place);
    assert!(run.out.contains("alice read secret db"), "{}\n{stats}", run.out);
}

#[test]
fn bytes_that_are_no_text_do_not_cost_the_record_its_neighbours() {
    let place = Place::new();
    let mut bytes = record("=alice", "db", 1).replace("=alice", "al\u{1}ice").into_bytes();
    for byte in &mut bytes {
        if *byte == 1 {
            *byte = 0xFF;
        }
    }
    bytes.extend_from_slice(b"\n\xC3\x28\xFF\n");
    bytes.extend_from_slice(record("bob", "db", 2).as_bytes());
    place.put("in/1.json", bytes);
    let (run, stats) = replayed(&place);
    assert_eq!(stats["events"], 2, "{stats}");
    assert!(run.out.contains("bob read secret db"), "{}", run.out);
    assert!(run.out.contains("al\u{FFFD}ice read secret db"), "{}", run.out);
}

#[test]
fn one_line_of_64_megabytes_is_bounded() {
    let place = Place::new();
    let mut line =
        String::from("{\"category\":\"guard\",\"time\":\"2026-03-01T10:00:00Z\",\"properties\":{\"log\":\"");
    line.extend(std::iter::repeat_n('x', 64 << 20));
    line.push_str("\"}}\n");
    place.put("in/1.json", line + &record("alice", "db", 1));
    let (run, stats) = replayed(&place);
    assert!(run.out.contains("alice read secret db"), "{stats}");
    assert_eq!(stats["records"], 2, "{stats}");
    let megabytes = stats["peak_rss_bytes"].as_u64().unwrap() >> 20;
    assert!(megabytes < 600, "{megabytes} MB for one record of 64");
}

#[cfg(unix)]
#[test]
fn what_cannot_be_opened_is_said_and_the_rest_is_read() {
    use std::os::unix::fs::symlink;
    let place = Place::new();
    place.put("in/1.json", record("alice", "db", 1));
    // A folder that is called like a file, a link to itself, a link to nowhere.
    place.put("in/2.json/deep.json", record("bob", "db", 2));
    symlink(place.path("in/3.json"), place.path("in/3.json")).unwrap();
    symlink(place.path("gone"), place.path("in/4.json")).unwrap();
    let (run, stats) = replayed(&place);
    assert_eq!((run.out.lines().count(), stats["events"].as_u64()), (2, Some(2)));
    for name in ["3.json", "4.json"] {
        assert!(run.err.contains(&format!("{name}: unreadable: ")), "{name} in {}", run.err);
    }
}
