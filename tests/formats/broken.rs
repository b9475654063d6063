//! Files that break off, are damaged or hold something else: said with the path and the place, what
//! could be read counts, the run goes on.

use serde_json::{Value, json};

use super::{SCENARIO, rows, write};
use crate::cli::Place;

/// One file with this content beside a sound one.
fn replay(content: &[u8]) -> (Value, String) {
    let place = Place::new();
    place.put("in/broken.json", content);
    place.put("in/sound.json", SCENARIO.0[0].as_bytes());
    let run = place.run("replay --format none --stats stats.json in").code(0);
    (serde_json::from_str(&place.read("stats.json")).unwrap(), run.err)
}

fn status(stats: &Value) -> (String, u64) {
    let files = stats["files"].as_array().unwrap();
    let file = files.iter().find(|f| f["path"].as_str().unwrap().ends_with("broken.json")).unwrap();
    let sound = files.iter().find(|f| f["path"].as_str().unwrap().ends_with("sound.json")).unwrap();
    assert_eq!(sound["status"], "ok");
    assert!(sound["records"].as_u64().unwrap() > 0);
    (file["status"].as_str().unwrap().to_owned(), file["records"].as_u64().unwrap())
}

#[test]
fn a_broken_block_of_avro_costs_itself() {
    for codec in ["null", "deflate", "snappy"] {
        let whole = write::capture(&SCENARIO.0[..60], codec);
        let (stats, _) = replay(&whole);
        let (ok, all) = status(&stats);
        assert_eq!(ok, "ok", "{codec}");

        // The marker behind the second block.
        let marks: Vec<usize> = memchr::memmem::find_iter(&whole, write::SYNC).collect();
        assert_eq!(marks.len(), 7);
        let mut damaged = whole.clone();
        damaged[marks[2]] ^= 0xff;
        let (stats, said) = replay(&damaged);
        let (text, records) = status(&stats);
        assert!(text.starts_with("incomplete: Avro block 2 at byte "), "{codec}: {text}");
        assert!(text.ends_with("its sync marker is another one"), "{codec}: {text}");
        assert!(records > all / 2 && records < all, "{codec}: {records} of {all}");
        assert!(said.contains("1 file could not be read to the end"), "{said}");

        let (stats, _) = replay(&whole[..marks[4] + 100]);
        let (text, records) = status(&stats);
        assert!(
            text.starts_with("incomplete: Avro block 5 at byte ") && text.ends_with(": cut short"),
            "{text}"
        );
        assert!(records > all / 3 && records < all, "{codec}: {records} of {all}");
    }
}

#[test]
fn damage_inside_a_packed_block_costs_that_block() {
    for codec in ["deflate", "snappy"] {
        let mut file = write::capture(&SCENARIO.0[..60], codec);
        let marks: Vec<usize> = memchr::memmem::find_iter(&file, write::SYNC).collect();
        let middle = (marks[2] + marks[3]) / 2;
        file[middle..middle + 64].fill(0x55);
        let (stats, _) = replay(&file);
        let (text, records) = status(&stats);
        assert!(text.starts_with("incomplete: Avro block 3 at byte "), "{codec}: {text}");
        assert!(records > 0);
    }
}

#[test]
fn a_block_with_another_number_of_records_is_read_and_told() {
    for codec in ["null", "deflate", "snappy"] {
        let whole = write::capture(&SCENARIO.0[..60], codec);
        let (_, all) = status(&replay(&whole).0);
        let begin = memchr::memmem::find(&whole, write::SYNC).unwrap() + write::SYNC.len();
        assert_eq!(whole[begin], 20, "ten records, as Avro writes the number");
        for claimed in [0, 9, 11] {
            let mut file = whole.clone();
            file[begin] = claimed * 2;
            let (text, records) = status(&replay(&file).0);
            assert!(text.contains("Avro block 1 at byte"), "{codec}: {text}");
            assert!(
                text.ends_with(&format!("10 records, and it claims to hold {claimed}")),
                "{codec}: {text}"
            );
            assert_eq!(records, all, "{codec}");
        }
    }
}

#[test]
fn an_empty_capture_file_is_in_order() {
    let (stats, said) = replay(&write::capture(&[], "deflate"));
    assert_eq!(status(&stats), ("ok".into(), 0));
    assert!(!said.contains("not fully read"), "{said}");
}

#[test]
fn avro_that_is_no_capture_names_its_fields() {
    let mut file = write::capture(&[], "null");
    let name = memchr::memmem::find(&file, b"\"Body\"").unwrap();
    file[name + 4] = b'e';
    let (stats, _) = replay(&file);
    let (text, _) = status(&stats);
    assert!(
        text.starts_with("not a log: Avro, a table without the columns of an audit log; it has Seq"),
        "{text}"
    );
}

#[test]
fn a_broken_row_group_costs_itself() {
    let rows: Vec<_> = SCENARIO.1.iter().map(write::resource_specific).collect();
    let whole = write::parquet(&rows[..900]);
    let (stats, _) = replay(&whole);
    assert_eq!(status(&stats), ("ok".into(), 900));
    let mut damaged = whole.clone();
    let (start, end) = (damaged.len() * 2 / 5, damaged.len() / 2);
    damaged[start..end].fill(0xee);
    let (stats, _) = replay(&damaged);
    let (text, records) = status(&stats);
    assert!(text.starts_with("incomplete: Parquet row group 2 at byte "), "{text}");
    assert!(text.ends_with("(1 of 3 row groups not fully read)"), "{text}");
    assert!((600..900).contains(&records), "{records}");

    let (stats, said) = replay(&whole[..whole.len() - 1]);
    let (text, _) = status(&stats);
    assert!(text.starts_with("unreadable: Parquet, its footer: "), "{text}");
    assert!(said.contains("broken.json: unreadable"), "{said}");
}

#[test]
fn tables_of_something_else_name_their_columns() {
    let row = |_: &write::Record| vec![("Computer", json!("x")), ("Heartbeat", json!(1))];
    for (name, parts) in [
        ("csv", rows(row, write::portal_csv)),
        ("parquet", rows(row, write::parquet)),
        ("query", rows(row, write::query_result)),
    ] {
        let (text, records) = status(&replay(&parts[0]).0);
        let expected = "not a log: a table without the columns of an audit log; it has Computer, Heartbeat";
        assert_eq!((text.as_str(), records), (expected, 0), "{name}");
    }
}

#[test]
fn a_projection_says_which_rules_it_blinds() {
    let row = |record: &write::Record| {
        let mut row = write::resource_specific(record);
        row.retain(|(name, _)| !matches!(*name, "RequestObject" | "ResponseObject" | "UserAgent"));
        row
    };
    let audit: Vec<_> = SCENARIO.1.iter().filter(|r| r.event.is_some()).map(row).collect();
    let (stats, said) = replay(&write::portal_csv(&audit));
    assert_eq!(status(&stats).0, "ok, without the columns UserAgent, RequestObject, ResponseObject");
    assert!(said.contains("tables without the columns UserAgent, RequestObject, ResponseObject: "), "{said}");
}

/// A dynamic column that a workspace cut: what stands before the cut is kept, and the row is marked.
#[test]
fn a_column_that_was_cut_keeps_what_came_before_it() {
    let record = SCENARIO.1.iter().find(|r| {
        r.event.as_ref().is_some_and(|e| e["requestObject"]["spec"].is_object() && e["verb"] == "create")
    });
    let mut row = write::resource_specific(record.unwrap());
    for (name, value) in &mut row {
        if *name == "RequestObject" {
            let text = value.to_string();
            *value = json!(text[..text.len() / 2]);
        }
    }
    let place = Place::new();
    place.put("in/x.csv", write::portal_csv(&[row]));
    place.run("replay --format none --stats stats.json in").code(0);
    let stats: Value = serde_json::from_str(&place.read("stats.json")).unwrap();
    assert_eq!((&stats["events"], &stats["truncated"]), (&json!(1), &json!(1)));
    let sql = "SELECT audit_id, verb, time, request_object, response_object IS NULL AS none FROM audit";
    let run = place.run_args(["hunt", "--format", "ndjson", "-e", sql, "in"]).code(0);
    let found: Value = serde_json::from_str(run.out.trim()).unwrap();
    let event = record.unwrap().event.as_ref().unwrap();
    assert_eq!((&found["audit_id"], &found["verb"]), (&event["auditID"], &json!("create")));
    assert!(
        found["time"].is_string() && found["request_object"].to_string().contains("apiVersion"),
        "{found}"
    );
}
