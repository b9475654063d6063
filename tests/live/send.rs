//! `replay --send`: the alerts of archives reach the sinks, once each, with the ids they have live.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use super::traffic::traffic;
use super::{RULE_ID, STREAM, TOKEN, id, program};
use crate::support::http::{Answer, Server};
use crate::support::sentinel::{Sentinel, fault};

/// Archives, a Sentinel, a webhook, a file, and the configuration that names them.
struct Rig {
    folder: tempfile::TempDir,
    sentinel: Sentinel,
    hook: Server,
}

impl Rig {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lines: Vec<u8> =
            traffic(2_000, 20).messages.iter().flat_map(|m| m.iter().copied().chain([b'\n'])).collect();
        std::fs::write(folder.path().join("archive.ndjson"), lines).unwrap();
        let sentinel = Sentinel::start(TOKEN, &[]).await;
        let hook = Server::start(|_| Answer::status(200, "")).await;
        let configuration = format!(
            r#"
[source.files]
paths = ["archive.ndjson"]
[state]
dir = "{0}/state"
[detect]
rules = {{ severity = {{ "pod-exec" = "critical" }} }}
[[sink]]
type = "sentinel"
endpoint = "{1}"
rule_id = "{RULE_ID}"
stream = "{STREAM}"
auth = {{ kind = "token", env = "TEST_SENTINEL" }}
[[sink]]
type = "webhook"
url_env = "TEST_HOOK"
min_severity = "high"
[[sink]]
type = "file"
path = "{0}/alerts.ndjson"
[[sink]]
type = "file"
name = "printed"
path = "-"
"#,
            folder.path().display(),
            sentinel.url("").trim_end_matches('/')
        );
        std::fs::write(folder.path().join("aksentry.toml"), configuration).unwrap();
        Self { folder, sentinel, hook }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn replay(&self, more: &[&str]) -> Output {
        let mut command = program();
        command.arg("replay").arg(self.path("archive.ndjson")).args(["--format", "ndjson"]).args(more);
        command.env("TEST_SENTINEL", TOKEN).env("TEST_HOOK", self.hook.url("/hook"));
        command.output().unwrap()
    }

    fn send(&self, more: &[&str]) -> Output {
        let config = self.path("aksentry.toml");
        self.replay(&[&["--send", "--config", config.to_str().unwrap()], more].concat())
    }
}

fn alerts(text: &[u8]) -> BTreeMap<String, Value> {
    let text = std::str::from_utf8(text).unwrap();
    let alerts = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    alerts.map(|alert| (id(&alert, "id"), alert)).collect()
}

/// The alerts in a file, each of which must be there once.
fn once_in(path: &Path) -> BTreeMap<String, Value> {
    let text = std::fs::read(path).unwrap();
    let alerts = alerts(&text);
    assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), alerts.len(), "repeated lines");
    alerts
}

#[track_caller]
fn code(output: &Output, code: i32) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn every_alert_reaches_every_sink_marked_as_replayed() {
    let rig = Rig::new().await;
    let plain = rig.replay(&[]);
    code(&plain, 0);
    let sent = rig.send(&[]);
    let said = code(&sent, 0);
    let printed = alerts(&sent.stdout);
    assert_eq!(printed.keys().collect::<Vec<_>>(), alerts(&plain.stdout).keys().collect::<Vec<_>>());
    assert!(printed.len() >= 20 && printed.values().all(|alert| alert["replayed"] == true));
    // The severity is the configured one.
    assert!(printed.values().any(|alert| alert["rule"] == "pod-exec" && alert["severity"] == "critical"));
    assert_eq!(once_in(&rig.path("alerts.ndjson")), printed);
    let rows = rig.sentinel.rows();
    assert_eq!(rows.keys().collect::<Vec<_>>(), printed.keys().collect::<Vec<_>>());
    assert!(rows.values().all(|rows| rows.len() == 1 && rows[0]["Replayed"] == true));
    let posted: BTreeMap<String, Value> =
        rig.hook.requests().iter().flat_map(|request| alerts(&request.body)).collect();
    let urgent = |alert: &&Value| ["high", "critical"].contains(&alert["severity"].as_str().unwrap());
    assert_eq!(posted.len(), printed.values().filter(urgent).count());
    assert!(said.contains(&format!("sentinel {}", printed.len())), "{said}");
    assert!(!rig.path("state/replay/outbox.redb").exists(), "nothing waits, and all may be sent again");
    assert!(!rig.path("state/outbox.redb").exists(), "the service's outbox is not touched");

    // Nobody reads what is printed: it is sent all the same.
    let config = rig.path("aksentry.toml");
    let mut child = program()
        .arg("replay")
        .arg(rig.path("archive.ndjson"))
        .args(["--quiet", "--send", "--config"])
        .arg(&config)
        .env("TEST_SENTINEL", TOKEN)
        .env("TEST_HOOK", rig.hook.url("/hook"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(rig.sentinel.rows().values().all(|rows| rows.len() == 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_sent_is_told_and_sent_by_the_next() {
    let rig = Rig::new().await;
    rig.sentinel.outage(Some(Answer::status(503, "busy")));
    let output = rig.send(&["--wait", "1s"]);
    let said = code(&output, 2);
    let printed = alerts(&output.stdout);
    let count = printed.len();
    for words in [
        format!(
            "not every alert was delivered: {count} deliveries wait, and the same command tries them again"
        ),
        format!("(aksentry outbox list --state {})", rig.path("state/replay").display()),
        "sink sentinel: since ".to_owned(),
        "503".to_owned(),
        format!("sentinel 0 ({count} wait)"),
    ] {
        assert!(said.contains(&words), "no \"{words}\" in\n{said}");
    }
    assert_eq!(once_in(&rig.path("alerts.ndjson")), printed);
    let posted = rig.hook.requests().len();

    let listed = program()
        .args(["outbox", "list", "--format", "ndjson", "--state"])
        .arg(rig.path("state/replay"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&listed.stdout).lines().count(), count);

    rig.sentinel.outage(None);
    let said = code(&rig.send(&[]), 0);
    assert!(said.contains(&format!("{count} of the alerts were put here by a replay before")), "{said}");
    assert_eq!(rig.sentinel.rows().len(), count);
    // Who had them does not get them again.
    assert_eq!(once_in(&rig.path("alerts.ndjson")), printed);
    assert_eq!(rig.hook.requests().len(), posted);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_for_good_is_a_dead_letter_and_told() {
    let rig = Rig::new().await;
    rig.sentinel.outage(Some(fault(400, "InvalidStream", "the stream is not declared")));
    let output = rig.send(&[]);
    let said = code(&output, 2);
    let count = alerts(&output.stdout).len();
    let words = format!(
        "{count} were refused for good (aksentry dead-letters list --state {})",
        rig.path("state/replay").display()
    );
    assert!(
        said.contains(&words) && said.contains("the stream is not declared"),
        "no \"{words}\" in\n{said}"
    );
    let letters = program()
        .args(["dead-letters", "list", "--format", "ndjson", "--state"])
        .arg(rig.path("state/replay"))
        .output()
        .unwrap();
    let letters: Vec<Value> = String::from_utf8_lossy(&letters.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(letters.len(), count);
    assert!(letters.iter().all(|letter| letter["source"]["sink"] == "sentinel"), "{letters:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_use_is_told() {
    let rig = Rig::new().await;
    assert!(code(&rig.replay(&["--send"]), 2).contains("--config"));
    assert!(code(&rig.send(&["--wait", "soon"]), 2).contains("--wait soon: \"soon\" is no duration"));
    let config = rig.path("aksentry.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("\"pod-exec\"", "\"pod-exce\"")).unwrap();
    assert!(code(&rig.send(&[]), 2).contains("did you mean \"pod-exec\"?"));
    std::fs::write(&config, "[source.files]\npaths = [\"x\"]\n").unwrap();
    assert!(code(&rig.send(&[]), 2).contains("has no [[sink]] to send to"));
    let disabled = "[source.files]\npaths = [\"x\"]\n[detect]\nrules = { disable = [\"pod-exec\"] }\n";
    std::fs::write(&config, disabled).unwrap();
    let said = code(&rig.replay(&["--config", config.to_str().unwrap(), "--rule", "pod-exec"]), 2);
    assert!(said.contains("disables this rule"), "{said}");
    assert!(rig.sentinel.rows().is_empty());
}
