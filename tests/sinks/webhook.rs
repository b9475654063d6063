//! The webhook sink against a server that keeps what it gets.

use std::time::Duration;

use aksentry::identity::Secret;
use aksentry::sink::http::Timeouts;
use aksentry::sink::webhook::Webhook;
use aksentry::sink::{Outcome, Sink, WebhookShape};
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{SHORT, alert, clock, refused, retry};
use crate::support::http::{Answer, Server};

/// As in Slack's URLs; whoever knows it can post.
const PATH: &str = "/services/T0000/B0000/SECRETSECRET?sig=SECRETSIG";

async fn server() -> Server {
    Server::start(|_| Answer::status(200, "ok")).await
}

fn sink(server: &Server, shape: WebhookShape, hmac: Option<&str>, timeouts: Timeouts) -> Webhook {
    let url = Secret::new(server.url(PATH));
    Webhook::new("webhook", &url, shape, hmac.map(Secret::new), timeouts, clock()).unwrap()
}

fn generic(server: &Server) -> Webhook {
    sink(server, WebhookShape::Generic, None, Timeouts::default())
}

#[tokio::test]
async fn one_post_for_each_alert_as_it_is() {
    let server = server().await;
    let sink = sink(&server, WebhookShape::Generic, Some("key-SECRET"), Timeouts::default());
    let alerts = [alert("a1"), alert("a2")];
    assert_eq!(sink.send(&alerts).await, [Outcome::Delivered, Outcome::Delivered]);
    server.reached(2).await;
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    for (request, alert) in requests.iter().zip(&alerts) {
        assert_eq!(request.target, PATH);
        assert_eq!(request.body, serde_json::to_vec(alert).unwrap());
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.header("x-aksentry-alert-id"), Some(alert.id.as_str()));
        let signature = request.header("x-aksentry-signature").unwrap().strip_prefix("sha256=").unwrap();
        let digest: Vec<u8> =
            (0..64).step_by(2).map(|i| u8::from_str_radix(&signature[i..i + 2], 16).unwrap()).collect();
        let mac = Hmac::<Sha256>::new_from_slice(b"key-SECRET").unwrap();
        mac.chain_update(&request.body).verify_slice(&digest).unwrap();
    }
    assert!(format!("{requests:?}").matches("x-aksentry-signature").count() == 2);
    assert_eq!(generic(&server).send(&[alert("a3")]).await, [Outcome::Delivered]);
    assert_eq!(server.requests()[2].header("x-aksentry-signature"), None);
}

#[tokio::test]
async fn answers_mean_what_they_say_and_show_no_secret() {
    let server = server().await;
    let sink = generic(&server);
    let echo = format!("Cannot POST {PATH}\r\n{}", "x".repeat(500));
    for status in [429, 500, 502, 503, 504, 408, 425] {
        server.script([Answer::status(status, &echo).with("retry-after", "9")]);
        let outcomes = sink.send(&[alert("a1"), alert("a2")]).await;
        for outcome in &outcomes {
            let (reason, after) = retry(outcome);
            assert_eq!(after, Some(Duration::from_secs(9)));
            assert!(reason.contains(&format!("answered {status}: Cannot POST ***")), "{reason}");
        }
    }
    // The second had to wait with the first.
    assert_eq!(server.requests().len(), 7);
    for status in [400, 401, 403, 404, 410, 413] {
        server.script([Answer::status(status, &echo)]);
        let outcomes = sink.send(&[alert("a1"), alert("a2")]).await;
        let reason = refused(&outcomes[0]);
        assert!(reason.contains(&format!("127.0.0.1:{}", port(&server))), "{reason}");
        assert!(reason.contains(&status.to_string()) && !reason.contains("SECRET"), "{reason}");
        assert!(reason.chars().count() < 260, "{reason}");
        assert_eq!(outcomes[1], Outcome::Delivered);
    }
    server.script([Answer::status(308, "").with("location", &server.url(PATH))]);
    let outcomes = sink.send(&[alert("a1")]).await;
    assert!(retry(&outcomes[0]).0.contains("redirects are not followed"));
}

fn port(server: &Server) -> String {
    server.url("").rsplit(':').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_server_that_hangs_resets_or_is_gone_is_left_in_time() {
    let server = server().await;
    let sink = sink(&server, WebhookShape::Generic, None, SHORT);
    for (answer, words) in [(Answer::Hang, "no answer from"), (Answer::Reset, "broke")] {
        server.script([answer]);
        let outcomes = sink.send(&[alert("a1"), alert("a2")]).await;
        for outcome in &outcomes {
            let (reason, _) = retry(outcome);
            assert!(reason.contains(words) && !reason.contains("SECRET"), "{reason}");
        }
    }
    drop(server);
    // The task that held the port is gone a moment later; until then it resets or hangs, which is as good.
    let outcomes = sink.send(&[alert("a1")]).await;
    assert!(!retry(&outcomes[0]).0.contains("SECRET"));
}

#[tokio::test]
async fn a_probe_connects_and_posts_nothing() {
    let server = server().await;
    assert!(generic(&server).probe().await.unwrap().contains("no alert was sent"));
    let requests = server.requests();
    assert_eq!((requests[0].method.as_str(), requests[0].target.as_str()), ("HEAD", "/"));
}

#[tokio::test]
async fn a_url_that_is_no_webhook_is_refused_without_showing_it() {
    for bad in ["http://hooks.example/SECRET", "SECRET", "file:///SECRET"] {
        let hook = Webhook::new("w", &Secret::new(bad), WebhookShape::Generic, None, SHORT, clock());
        assert!(!hook.err().unwrap().contains("SECRET"));
    }
}

/// What somebody calling the cluster may put into names.
const TRICK: &str = "<!channel> <https://evil.example|portal> [x](https://evil.example) *b*\u{202e}";

fn tricky() -> aksentry::alert::Alert {
    let mut alert = alert("0123456789abcdef0123456789abcdef");
    alert.key.insert("username".to_owned(), json!(TRICK));
    alert.title = TRICK.to_owned();
    alert.summary = TRICK.repeat(500);
    for i in 0..100 {
        alert.evidence.insert(format!("column-{i}"), json!(["é".repeat(10_000), {"a": 1}]));
    }
    alert
}

async fn sent(shape: WebhookShape, alert: &aksentry::alert::Alert) -> Value {
    let server = server().await;
    let sink = sink(&server, shape, None, Timeouts::default());
    assert_eq!(sink.send(std::slice::from_ref(alert)).await, [Outcome::Delivered]);
    let body = &server.requests()[0].body;
    assert!(body.len() < 28_000, "Teams takes no more: {}", body.len());
    serde_json::from_slice(body).unwrap()
}

/// Every object inside.
fn objects(value: &Value) -> Vec<&serde_json::Map<String, Value>> {
    match value {
        Value::Array(items) => items.iter().flat_map(objects).collect(),
        Value::Object(members) => {
            std::iter::once(members).chain(members.values().flat_map(objects)).collect()
        }
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn teams_gets_a_card_of_plain_text() {
    let card = sent(WebhookShape::Teams, &alert("a1")).await;
    assert_eq!(card["type"], "message");
    let attachment = &card["attachments"][0];
    assert_eq!(attachment["contentType"], "application/vnd.microsoft.card.adaptive");
    assert_eq!(attachment["content"]["type"], "AdaptiveCard");
    let runs = |card: &Value| -> Vec<String> {
        let texts = objects(card).into_iter().filter(|object| object.get("type") == Some(&json!("TextRun")));
        texts.map(|run| run["text"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        runs(&card),
        [
            "CRITICAL: One identity touched many secrets",
            "alice@contoso.com asked for 15 secrets",
            "cluster: ",
            "shop",
            "time: ",
            "2026-02-10T09:00:00Z to 2026-02-10T09:14:00.5Z",
            "events: ",
            "15",
            "username: ",
            "alice@contoso.com",
            "secrets: ",
            "15",
            "client_ip: ",
            "203.0.113.7",
            "ATT&CK: ",
            "credential-access, T1552.007",
            "rule: ",
            "secret-access-bulk",
            "alert: ",
            "a1",
            "audit id: ",
            "f236677f-559f-4ec7-8318-97d606cb0d3a and 1 more",
        ]
    );
    let card = sent(WebhookShape::Teams, &tricky()).await;
    // Kinds that read Markdown are not used at all.
    assert!(objects(&card).iter().all(|object| object.get("type") != Some(&json!("TextBlock"))
        && object.get("type") != Some(&json!("FactSet"))));
    assert!(!card.to_string().contains('\u{202e}'));
}

#[tokio::test]
async fn slack_gets_blocks_of_plain_text_within_its_limits() {
    let message = sent(WebhookShape::Slack, &alert("a1")).await;
    assert_eq!(message["blocks"][0]["text"]["text"], "CRITICAL: One identity touched many secrets");
    assert_eq!(message["blocks"][1]["text"]["text"], "alice@contoso.com asked for 15 secrets");
    assert_eq!(message["blocks"][2]["fields"][3]["text"], "username\nalice@contoso.com");
    let message = sent(WebhookShape::Slack, &tricky()).await;
    let blocks = message["blocks"].as_array().unwrap();
    assert!(blocks.len() <= 50);
    for block in blocks {
        let limit = if block["type"] == "header" { 150 } else { 3000 };
        let texts: Vec<&Value> =
            block["fields"].as_array().into_iter().flatten().chain(block.get("text")).collect();
        assert!(texts.len() <= 10 && !texts.is_empty());
        for text in texts {
            assert_eq!(text["type"], "plain_text");
            let limit = if block.get("fields").is_some() { 2000 } else { limit };
            let len = text["text"].as_str().unwrap().chars().count();
            assert!((1..=limit).contains(&len), "{len} of {limit}");
        }
    }
    let text = message["text"].as_str().unwrap();
    assert!(text.contains("&lt;!channel&gt;") && !text.contains("<!channel>"), "{text}");
    let mut silent = alert("a1");
    silent.summary = String::new();
    silent.replayed = true;
    let message = sent(WebhookShape::Slack, &silent).await;
    assert_eq!(message["blocks"][1]["text"]["text"], "(no summary)");
    assert!(message["text"].as_str().unwrap().ends_with("(replayed)"));
}
