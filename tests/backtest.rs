//! `test --backtest`: how often a rule would have fired, what an edit changes, and what a question lacks.

use std::process::Command;

use serde_json::Value;

use crate::cli::{Place, Run, record, run_at_root};

fn lines(run: &Run) -> Vec<Value> {
    run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The counts of the line of this name.
#[track_caller]
fn counts(lines: &[Value], by: &str, value: &str) -> (Option<u64>, Option<u64>) {
    let line = lines.iter().find(|line| line["by"] == by && line["value"] == value);
    let line = line.unwrap_or_else(|| panic!("no {by} \"{value}\" among {lines:#?}"));
    (line["alerts"].as_u64(), line["committed"].as_u64())
}

/// A place under git with the rule committed, and five reads of secrets by two people on two days.
fn place() -> Place {
    let place = Place::new();
    let mut text: Vec<String> = (0..4).map(|i| record("alice", &format!("db-{i}"), i)).collect();
    text.push(record("bob", "web", 9).replace("2026-03-01", "2026-03-02"));
    place.put("in/1.json", text.join("\n"));
    for args in [
        &["init", "-q"][..],
        &["add", "detections"],
        &["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "rules"],
    ] {
        let git = Command::new("git").args(args).current_dir(place.path("")).status().unwrap();
        assert!(git.success());
    }
    place
}

const RULE: &str = "detections/credential-access/secret-get.sql";

#[test]
fn days_keys_and_samples() {
    let place = place();
    let run = place
        .run("test --backtest secret-get in")
        .code(0)
        .says("the rule is that of secret-get.sql at HEAD (");
    let found = lines(&run);
    assert_eq!(counts(&found, "total", ""), (Some(5), Some(5)));
    assert_eq!(counts(&found, "day", "2026-03-01"), (Some(4), Some(4)));
    assert_eq!(counts(&found, "day", "2026-03-02"), (Some(1), Some(1)));
    assert_eq!(counts(&found, "key", "{\"cluster\":\"prod\",\"username\":\"alice\"}"), (Some(4), Some(4)));
    assert_eq!(counts(&found, "change", "alerts of one version only"), (Some(0), Some(0)));
    let samples: Vec<&Value> = found.iter().filter(|line| line["by"] == "sample").collect();
    assert_eq!(samples.len(), 3);
    // Samples are of different keys as far as there are some.
    assert_eq!(samples[0]["alert"]["key"]["username"], "alice");
    assert_eq!(samples[1]["alert"]["key"]["username"], "bob");
    assert_eq!(samples[0]["alert"]["evidence"]["name"], "db-0");

    let later = lines(&place.run("test --backtest secret-get in --since 2026-03-02").code(0));
    assert_eq!(counts(&later, "total", "").0, Some(1));
}

#[test]
fn an_edit_beside_what_is_committed() {
    let place = place();
    let text = place.read(RULE);
    // One read is new (bob's went unseen before), three are gone.
    place.put(RULE, text.replace("verb = 'get'", "verb = 'get' AND name IN ('db-0', 'web')"));
    let run = place
        .run_args(["test", "--backtest", RULE, "in"])
        .code(0)
        .says("compared with secret-get.sql at HEAD (");
    let found = lines(&run);
    assert_eq!(counts(&found, "total", ""), (Some(2), Some(5)));
    assert_eq!(counts(&found, "change", "the same alerts"), (Some(2), Some(2)));
    assert_eq!(counts(&found, "change", "alerts of one version only"), (Some(0), Some(3)));
    assert_eq!(counts(&found, "change", "the same keys"), (Some(2), Some(2)));
    let gone: Vec<&str> = found
        .iter()
        .filter(|line| line["by"] == "only committed")
        .map(|line| line["alert"]["evidence"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(gone, ["db-1", "db-2", "db-3"]);

    // A key that says more makes other alerts of the same events.
    place.put(
        RULE,
        text.replace("key = [\"username\"]", "key = [\"username\", \"name\"]")
            .replace("-- ///\nSELECT", "-- suppress = \"1h\"\n-- ///\nSELECT"),
    );
    let found = lines(&place.run_args(["test", "--backtest", RULE, "in"]).code(0));
    assert_eq!(counts(&found, "total", ""), (Some(5), Some(5)));
    assert_eq!(counts(&found, "change", "alerts of one version only"), (Some(5), Some(5)));
    assert_eq!(counts(&found, "change", "keys of one version only"), (Some(5), Some(2)));
    assert_eq!(found.iter().filter(|line| line["by"] == "only new").count(), 3);
}

#[test]
fn without_git_the_pack_of_the_program_is_the_measure() {
    let place = Place::new();
    place.put("in/1.json", record("alice", "db", 1));
    // Nothing of the kind is committed anywhere, but the program has a rule of this name.
    let run = place.run_args(["test", "--backtest", RULE, "in"]).code(0);
    let run = run.says("compared with secret-get in the pack of this program");
    assert_eq!(counts(&lines(&run), "total", "").0, Some(1));
    let text = place.read(RULE);
    place.put("x/my-own.sql", &text);
    let run = place.run("test --backtest x/my-own.sql in").code(0);
    let run =
        run.says("compared with nothing: neither git nor the pack of this program has an earlier version");
    assert_eq!(counts(&lines(&run), "total", ""), (Some(1), None));
    let bare = tempfile::tempdir().unwrap();
    std::fs::write(bare.path().join("1.json"), record("alice", "db", 1)).unwrap();
    for folder in ["detections", "lists"] {
        std::fs::remove_dir_all(place.path(folder)).unwrap();
    }
    let args = ["test", "--backtest", "secret-get", bare.path().to_str().unwrap()];
    place.run_args(args).code(0).says("compared with nothing: it is the one in this program");
}

#[test]
fn every_format() {
    let place = place();
    let table = place.run("test --backtest secret-get in --format table").code(0);
    assert!(table.out.starts_with("BY ") && table.out.contains("alice read secret db-0"), "{}", table.out);
    let csv = place.run("test --backtest secret-get in --format csv").code(0);
    assert!(csv.out.starts_with("by,value,alerts,committed,alert\r\ntotal,,5,5,\r\n"), "{}", csv.out);
    let array = place.run("test --backtest secret-get in --format json").code(0);
    assert!(serde_json::from_str::<Value>(&array.out).unwrap().as_array().unwrap().len() > 8);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let place = place();
    for (args, says) in [
        ("test --backtest secret-get", "--backtest needs archives to run over"),
        ("test --backtest secret-gt in", "no rule \"secret-gt\"; did you mean \"secret-get\"?"),
        ("test --backtest secret-get nowhere", "nowhere: no such file or folder"),
        ("test --backtest secret-get in --bless", "leave --bless and --junit out"),
        ("test --since 24h", "--since, --until, --cluster and --threads are for --backtest"),
        ("test --backtest secret-get in --format none", "--format none is for replay only"),
    ] {
        place.run(args).code(2).says(says);
    }
    place.put("broken.sql", "-- /// detection\n-- title = \"x\"\n-- ///\nSELECT 1");
    place.run("test --backtest broken.sql in").code(2).says("missing key \"severity\"");
    place.put("wrong.sql", "SELECT cluster,\n  FROM audit WHERE");
    place.run("test --backtest wrong.sql in").code(2).says("wrong.sql:");
}

#[test]
fn a_question_is_told_what_it_lacks() {
    let place = place();
    place.put(
        "who.sql",
        "-- /// query\n-- title = \"Who read most\"\n-- description = \"Reads by identity.\"\n-- ///\n\
         SELECT username, count(*) AS n FROM audit\nWHERE time > '2026-01-01' AND username <> $me\nGROUP BY username\nORDER BY n DESC\nLIMIT 5\n",
    );
    let run = place.run("test --backtest who.sql in --format table").code(0).says("who.sql is no rule yet");
    for said in [
        "-- title = \"Who read most\"",
        "-- window = \"10m\"",
        "-- key = [\"username\"]",
        "-- dropped, alerts come in order of event time: ORDER BY n DESC",
        "-- dropped: LIMIT 5",
        "-- TO DO: select cluster, client_ip too",
        "-- TO DO: remove the condition on time at line 6, column 7 of the query",
        "-- TO DO: replace the parameter $me",
    ] {
        assert!(run.out.contains(said), "no {said} in\n{}", run.out);
    }
    let run = place.run("test --backtest who.sql in").code(0);
    let item: Value = serde_json::from_str(&run.out).unwrap();
    assert!(item["skeleton"].as_str().unwrap().contains("GROUP BY username"));
    assert!(item["to_do"].as_array().unwrap().len() > 5);

    // Plain SQL that lacks only a header becomes a rule as soon as it has one.
    place.put(
        "plain.sql",
        "SELECT cluster, username, client_ip, name FROM audit WHERE resource = 'secrets' ORDER BY time",
    );
    let run = place.run("test --backtest plain.sql in --format table").code(0);
    place.put("detections/discovery/plain.sql", &run.out);
    let run = place.run("test --backtest plain in").code(0);
    // With suppress an identity has one alert an hour.
    assert_eq!(counts(&lines(&run), "total", "").0, Some(2));
}

#[test]
fn the_pack_over_the_samples() {
    let run = run_at_root(["test", "--backtest", "secret-get", "samples/hub", "--format", "ndjson"]).code(0);
    assert_eq!(counts(&lines(&run), "total", "").0, Some(19));
}
