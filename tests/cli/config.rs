//! `check --config` and `top`: what a person who sets the service up meets first.

use std::net::TcpListener;

use serde_json::Value;

use super::Place;

const CASES: &str = "detections/credential-access/secret-get";

fn place() -> Place {
    let place = Place::new();
    place.put(&format!("{CASES}/fires-read.ndjson"), super::record("alice", "db", 1));
    place.put(&format!("{CASES}/silent-list.ndjson"), super::record("gitops", "db", 1));
    place
}

#[test]
fn problems_of_configuration_and_detections_come_in_one_run() {
    let place = place();
    place.put(
        "good.toml",
        "[source.files]\npaths = [\"detections\"]\n[[sink]]\ntype = \"file\"\npath = \"-\"\n",
    );
    assert_eq!(place.run("check --config good.toml").code(0).says("good.toml, 1 detection, ").out, "");
    place.put(
        "bad.toml",
        "[source.eventhubs]\nnamespce = \"contoso.servicebus.windows.net\"\nhub = \"h\"\nauth = { kind = \"connection-string\", env = \"AKSENTRY_TEST_UNSET\" }\n",
    );
    let text = place.read(&format!("{CASES}.sql"));
    place.put("detections/impact/wrong.sql", text.replace("severity = \"high\"", "severity = \"hi\""));
    let run = place.run("check --config bad.toml --online").code(1).says("nothing was tried");
    let lines: Vec<&str> = run.out.lines().collect();
    assert_eq!(
        lines[0],
        "bad.toml:2:1: unknown key \"namespce\" in [source.eventhubs]; did you mean \"namespace\"?"
    );
    assert!(
        lines[1].starts_with("bad.toml:4:44: environment variable AKSENTRY_TEST_UNSET is not set"),
        "{}",
        run.out
    );
    assert!(lines.iter().any(|line| line.contains("impact/wrong.sql:3:")), "{}", run.out);
    let rules = "[source.files]\npaths = [\"detections\"]\n[detect.rules]\ndisable = [\"secret-gte\"]\n";
    place.put("rules.toml", rules);
    let run = place.run("check --config rules.toml").code(1);
    assert!(
        run.out.contains("rules.toml:4:12: no rule \"secret-gte\"; did you mean \"secret-get\"?"),
        "{}",
        run.out
    );
    assert!(run.out.contains("rules.toml:1:1: warning: no [[sink]]"), "{}", run.out);
    let run = place.run("check --config nowhere.toml").code(1);
    assert!(run.out.contains("nowhere.toml:1:1: cannot read the configuration: "), "{}", run.out);
}

#[test]
fn online_tries_and_tells() {
    let place = place();
    let text = "[source.files]\npaths = [\"detections\"]\n[state]\ndir = \"state\"\n[[sink]]\ntype = \"file\"\npath = \"PATH\"\n";
    place.put("aksentry.toml", text.replace("PATH", "alerts.ndjson"));
    let run = place.run("check --config aksentry.toml --online").code(0);
    for line in [
        "ok      state: state will be made",
        "ok      source files: detections",
        "ok      sink file: alerts.ndjson will be made",
    ] {
        assert!(run.out.lines().any(|found| found == line), "no \"{line}\" in\n{}", run.out);
    }
    assert!(!place.path("state").exists() && !place.path("alerts.ndjson").exists());
    // A folder where the file should be.
    place.put("aksentry.toml", text.replace("PATH", "detections"));
    let run = place.run("check --config aksentry.toml --online --format json").code(1);
    let items: Vec<Value> = serde_json::from_str(&run.out).unwrap();
    let failed: Vec<&Value> = items.iter().filter(|item| item["level"] == "error").collect();
    assert_eq!(failed.len(), 1, "{}", run.out);
    assert_eq!(failed[0]["probe"], "sink file");
    place.run("check --online").code(2).says("--config");
}

#[test]
fn top_says_when_nothing_is_there_to_watch() {
    let place = Place::new();
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let run = place.run(&format!("top {port}")).code(2);
    let start = format!("aksentry: nothing answers at http://127.0.0.1:{port} (");
    assert!(run.err.starts_with(&start) && run.err.contains("start `aksentry run`"), "{}", run.err);
    place.run("top ftp://x").code(2).says("\"ftp://x\" is no address");
    place.run("top --format csv").code(2).says("table, ndjson or json");
}
