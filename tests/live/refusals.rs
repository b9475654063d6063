//! Refusals that are no verdict on an alert: a request too large, a sign-in that is not taken, a server
//! that says nothing. The other sinks are unaffected, and everything comes, also over a restart.

use std::time::Duration;

use serde_json::json;

use super::traffic::traffic;
use super::{Scene, Service, program, wait_for, wait_for_ids};
use crate::support::http::Answer;
use crate::support::smtp::Smtp;

const SUPERVISOR: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn requests_too_large_for_sentinel_are_cut_until_they_fit() {
    let scene = Scene::new().await;
    let traffic = traffic(4_000, 40);
    let expected = scene.replayed(&traffic.messages);
    scene.sentinel.outage(Some(Answer::status(503, "busy")));
    let configuration = scene.configuration("a", "");
    let service = scene.start("a", &configuration);
    scene.publish(&traffic.messages);
    let waiting = || {
        let metrics = service.get("metrics");
        let line = metrics.lines().find(|l| l.starts_with("aksentry_outbox_alerts{"))?;
        let depth: usize = line.rsplit(' ').next()?.parse().ok()?;
        (depth == expected.len()).then_some(())
    };
    wait_for("all alerts in the outbox", waiting, || service.log());
    let (code, _, log) = service.stop();
    assert_eq!(code, 0, "{log}");
    // So many at once that they have to be cut again and again.
    scene.sentinel.limit(3);
    scene.sentinel.outage(None);
    let service = scene.start("a", &configuration);
    wait_for_ids(&scene, &expected, &[&service]);
    assert!(scene.sentinel.too_large() > 0, "no request was too large");
    let rows = scene.sentinel.rows();
    assert!(rows.values().all(|rows| rows.len() == 1), "what was cut came twice");
    assert_eq!(super::dead_letters(&scene.folder.path().join("state-a")), Vec::<serde_json::Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_refuses_us_and_then_hangs_gets_everything_in_the_end() {
    let scene = Scene::new().await;
    let traffic = traffic(2_000, 20);
    let expected = scene.replayed(&traffic.messages);
    let smtp = Smtp::start(json!({"tls": "none", "auth": ["LOGIN"], "users": {}}));
    let more = format!(
        r#"
[[sink]]
type = "email"
server = "smtp://127.0.0.1:{}"
auth = {{ kind = "login", user = "soc", password_env = "TEST_MAIL" }}
from = "aksentry@contoso.com"
to = ["soc@contoso.com"]
digest = "1s"
"#,
        smtp.port
    );
    let path = scene.write("a", &scene.configuration("a", &more));
    let start = || {
        let mut command = program();
        command.args(["run", "--config"]).arg(&path).env("TEST_MAIL", "password-of-the-tests");
        Service::spawn(&mut command)
    };
    let service = start();
    let (some, rest) = traffic.messages.split_at(20);
    scene.publish(some);
    let told = || service.log().contains("535").then_some(());
    wait_for("what the server says of us", told, || service.log());
    let first = || (scene.delivered().len() > 3).then_some(());
    wait_for("alerts at the other sink", first, || service.log());
    let (code, took, log) = service.stop();
    assert_eq!(code, 0, "{log}");
    assert!(took < SUPERVISOR, "{took:?}\n{log}");
    assert!(log.contains("password") && !log.contains("password-of-the-tests"), "{log}");

    // The password is right now, and the server takes a mail and never says so.
    let hang = vec!["hang"; 100];
    smtp.tell(&json!({"users": {"soc": "password-of-the-tests"}, "replies": {"data": hang}}));
    let service = start();
    scene.publish(rest);
    smtp.wait("scripted", 1);
    wait_for_ids(&scene, &expected, &[&service]);
    assert_eq!(smtp.seen("mail").len(), 0);
    let (code, took, log) = service.stop();
    assert_eq!(code, 0, "{log}");
    assert!(took < SUPERVISOR, "a server that hangs held up the end: {took:?}\n{log}");

    smtp.tell(&json!({"replies": {}}));
    let service = start();
    let mailed = || {
        let text: String = smtp.seen("mail").iter().map(ToString::to_string).collect();
        expected.iter().all(|id| text.contains(id.as_str())).then_some(())
    };
    wait_for("every alert in a mail", mailed, || service.log());
}
