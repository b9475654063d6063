//! What a replay makes of the files it is given.

use std::io::Write;

use super::{Place, record};

fn lines() -> String {
    (0..20).map(|i| record("alice", &format!("secret-{i}"), i * 60) + "\n").collect()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn packed_or_plain_whole_or_split_the_alerts_are_the_same() {
    let place = Place::new();
    let text = lines();
    place.put("plain.log", &text);
    place.put("packed.bin", gzip(&text));
    place.put("packed", zstd::encode_all(text.as_bytes(), 3).unwrap());
    let array: Vec<&str> = text.lines().collect();
    place.put("document.json", format!("{{\"records\":[{}]}}", array.join(",\n")));
    let value: serde_json::Value = serde_json::from_str(&format!("[{}]", array.join(","))).unwrap();
    place.put("pretty.json", serde_json::to_string_pretty(&value).unwrap());
    for (i, line) in text.lines().enumerate() {
        place.put(&format!("split/part-{i}.json"), line);
    }
    let expected = place.run("replay plain.log").code(0).out;
    assert_eq!(expected.lines().count(), 20);
    for path in [
        "packed.bin",
        "packed",
        "document.json",
        "pretty.json",
        "split",
        "split/*.json",
        "plain.log plain.log",
    ] {
        for threads in [1, 2] {
            let run = place.run(&format!("replay --threads {threads} {path}")).code(0);
            assert_eq!(run.out, expected, "{path} with {threads} threads");
        }
    }
}

#[test]
fn nothing_usable_is_no_error_and_is_said() {
    let place = Place::new();
    std::fs::create_dir(place.path("empty")).unwrap();
    place.put("prose/README.md", "# Logs\n\nThere are none here.\n");
    place.put("prose/rows.csv", "a,b\n1,2\n");
    place.put("prose/x.parquet", b"PAR1\0\0\0\0");
    place.put("prose/nothing.json", "");
    let run = place.run("replay empty").code(0).says("nothing usable").says("no files were found");
    assert_eq!(run.out, "");
    let run = place.run("replay prose").code(0).says("no records were found");
    let run = run
        .says("README.md: not a log")
        .says("x.parquet: unreadable: Parquet")
        .says("rows.csv: not a log: a table without the columns")
        .says("nothing.json: empty");
    assert_eq!(run.out, "");
    assert_eq!(place.stats("prose")["records"], 0);
}

#[test]
fn stats_account_for_every_file_and_record() {
    let place = Place::new();
    let text = lines();
    place.put("in/1.json", &text);
    place.put("in/2.json", &text);
    place.put("in/3.json.gz", &gzip(&text.repeat(50))[..300]);
    place.put("in/4.md", "prose");
    place.put("in/5.json", "{\"x\":1}\nnot json\n");
    let stats = place.stats("in");
    let number = |name: &str| stats[name].as_u64().unwrap();
    let rejects: u64 = stats["rejects"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(
        number("records"),
        number("events") + number("control_plane") + number("duplicates") + rejects
    );
    // Of the file that is cut short the last record is cut too, and may be one event more.
    assert_eq!((number("events") - number("truncated"), rejects), (20, 2));
    assert_eq!(stats["alerts"]["secret-get"], 20);
    assert_eq!(stats["first_event"], "2026-03-01T10:00:00Z");
    assert_eq!(stats["last_event"], "2026-03-01T10:19:00Z");
    let files = stats["files"].as_array().unwrap();
    let status: Vec<&str> = files.iter().map(|f| f["status"].as_str().unwrap()).collect();
    assert_eq!(status, ["ok", "ok", "incomplete: gzip cut short", "not a log", "ok"]);
    assert_eq!(files[0]["records"], 20);
    assert_eq!(files[4]["records"], 2);
    assert_eq!(files.iter().map(|f| f["records"].as_u64().unwrap()).sum::<u64>(), number("records"));
    assert_eq!(stats["bytes"], files.iter().map(|f| f["bytes"].as_u64().unwrap()).sum::<u64>());
}

#[test]
fn a_range_and_a_cluster_choose_rows() {
    let place = Place::new();
    place.put("in.json", lines());
    let count = |args: &str| place.run(&format!("replay in.json {args}")).code(0).out.lines().count();
    assert_eq!(count("--since 2026-03-01T10:05:00Z"), 15);
    assert_eq!(count("--until 2026-03-01T10:05:00Z"), 5);
    assert_eq!(count("--since 2026-03-01T11:02:00+01:00 --until 2026-03-01T10:04:00Z"), 2);
    assert_eq!(count("--cluster prod"), 20);
    assert_eq!(count("--cluster other"), 0);
}

#[cfg(unix)]
#[test]
fn loops_and_dead_links_are_said_and_the_rest_is_read() {
    use std::os::unix::fs::symlink;
    let place = Place::new();
    place.put("in/deep/1.json", lines());
    symlink(place.path("in"), place.path("in/deep/loop")).unwrap();
    symlink(place.path("gone"), place.path("in/dead.json")).unwrap();
    let run = place.run("replay in").code(0).says("leads back to a folder").says("dead.json: unreadable");
    assert_eq!(run.out.lines().count(), 20);
    assert_eq!(run.err.matches("leads back").count(), 1);
}

#[cfg(unix)]
#[test]
fn a_file_without_permission_is_said_and_the_rest_is_read() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    place.put("in/1.json", lines());
    let closed = place.put("in/2.json", lines());
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).unwrap();
    let run = place.run("replay in").code(0);
    assert_eq!(run.out.lines().count(), 20);
    // Whoever may read everything (root) reads it, and then it is all duplicates.
    match std::fs::File::open(&closed) {
        Ok(_) => assert_eq!(place.stats("in")["duplicates"], 20),
        Err(_) => assert!(run.err.contains("2.json: unreadable: permission denied"), "{}", run.err),
    }
}
