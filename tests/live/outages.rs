//! Sinks that fail in every way they can: the others go on, and nothing is lost.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use super::traffic::traffic;
use super::{Scene, dead_letters, ids_in, program, wait_for, wait_for_ids};
use crate::support::http::Answer;
use crate::support::sentinel::fault;
use crate::support::smtp::Smtp;

/// While Sentinel does not take anything, the file gets everything; then Sentinel does, too.
#[tokio::test(flavor = "multi_thread")]
async fn sentinel_is_out_and_comes_back_also_over_a_restart() {
    let scene = Scene::new().await;
    let traffic = traffic(4_000, 40);
    let expected = scene.replayed(&traffic.messages);
    let file = scene.folder.path().join("alerts.ndjson");
    let more = format!("[[sink]]\ntype = \"file\"\npath = \"{}\"\n", file.display());
    let configuration = scene.configuration("a", &more);
    let mut service = scene.start("a", &configuration);
    let outages = [
        Answer::status(429, "slow down").with("retry-after", "1"),
        Answer::status(503, "busy"),
        fault(401, "AuthenticationFailed", "expired"),
        fault(413, "ContentLengthLimitExceeded", "too large"),
        Answer::Reset,
        Answer::Hang,
    ];
    let portion = traffic.messages.len() / outages.len() + 1;
    for (messages, outage) in traffic.messages.chunks(portion).zip(outages) {
        // A row that is too large even alone is refused for good, which is for another test.
        let passes = matches!(outage, Answer::Status { code: 413, .. });
        scene.sentinel.outage((!passes).then_some(outage));
        scene.publish(messages);
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    let all_in_file = || expected.is_subset(&ids_in(&file)).then_some(());
    wait_for("every alert in the file", all_in_file, || service.log());
    assert!(!expected.is_subset(&scene.delivered()), "the outage was none");
    let (code, took, log) = service.stop();
    assert_eq!(code, 0, "{log}");
    assert!(took < Duration::from_secs(10), "a sink that hangs held up the end: {took:?}\n{log}");

    // What waits is known to the operator while nothing runs.
    let state = scene.folder.path().join("state-a");
    let listed =
        program().args(["outbox", "list", "--format", "ndjson", "--state"]).arg(&state).output().unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let waiting = String::from_utf8(listed.stdout).unwrap().lines().count();
    assert_eq!(waiting, expected.difference(&scene.delivered()).count());

    scene.sentinel.outage(None);
    service = scene.start("a", &configuration);
    wait_for_ids(&scene, &expected, &[&service]);
}

/// A row that is refused for good goes to dead letters with the service's own words, and takes no other
/// row along.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_for_good_is_a_dead_letter_with_its_reason() {
    let scene = Scene::new().await;
    let traffic = traffic(2_000, 20);
    let expected = scene.replayed(&traffic.messages);
    scene.sentinel.outage(Some(fault(400, "InvalidStream", "the stream is not declared")));
    let service = scene.start("a", &scene.configuration("a", ""));
    scene.publish(&traffic.messages);
    let state = scene.folder.path().join("state-a");
    let letters = || {
        let letters = dead_letters(&state);
        (letters.len() >= expected.len()).then_some(letters)
    };
    let letters = wait_for("dead letters", letters, || service.log());
    for letter in &letters {
        assert!(letter["detail"].as_str().unwrap().contains("the stream is not declared"), "{letter}");
        assert_eq!(letter["source"]["sink"], "sentinel");
    }
    let ids: BTreeSet<String> = letters.iter().map(|letter| super::id(&letter["source"], "alert")).collect();
    assert_eq!(ids, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_role_is_named_and_waited_for() {
    let scene = Scene::new().await;
    let traffic = traffic(2_000, 20);
    scene.sentinel.outage(Some(fault(403, "OperationFailed", "no permission")));
    let service = scene.start("a", &scene.configuration("a", ""));
    scene.publish(&traffic.messages);
    let named = || service.log().contains("Monitoring Metrics Publisher").then_some(());
    wait_for("the role's name in the log", named, || service.log());
    let (code, _, log) = service.stop();
    assert_eq!(code, 0, "{log}");
    assert!(!log.contains(super::TOKEN), "the token is in the log");
    assert!(scene.delivered().is_empty());
    scene.sentinel.outage(None);
    let expected = scene.replayed(&traffic.messages);
    let service = scene.start("a", &scene.configuration("a", ""));
    wait_for_ids(&scene, &expected, &[&service]);
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_is_out_and_comes_back() {
    let scene = Scene::new().await;
    let traffic = traffic(1_000, 10);
    let expected = scene.replayed(&traffic.messages);
    let smtp =
        Smtp::start(json!({"tls": "none", "replies": {"data": ["451 4.7.0 later", "451 4.7.0 later"]}}));
    let more = format!(
        r#"
[[sink]]
type = "email"
server = "smtp://127.0.0.1:{}"
auth = {{ kind = "none" }}
from = "aksentry@contoso.com"
to = ["soc@contoso.com"]
digest = "1s"
"#,
        smtp.port
    );
    let service = scene.start("a", &scene.configuration("a", &more));
    scene.publish(&traffic.messages);
    wait_for_ids(&scene, &expected, &[&service]);
    let mailed = || {
        let mails = smtp.seen("mail");
        let text: String = mails.iter().map(ToString::to_string).collect();
        expected.iter().all(|id| text.contains(id.as_str())).then_some(())
    };
    wait_for("every alert in a mail", mailed, || format!("{:?}\n{}", smtp.seen("mail").len(), service.log()));
}
