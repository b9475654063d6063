//! The Sentinel sink against the stand-in.

use std::time::{Duration, Instant};

use aksentry::alert::Alert;
use aksentry::identity::{Secret, TokenSource};
use aksentry::sink::http::Timeouts;
use aksentry::sink::sentinel::{COLUMNS, MAX_BODY, Sentinel, Target};
use aksentry::sink::{Outcome, Sink};
use serde_json::json;

use super::{SHORT, alert, clock, refused, retry};
use crate::support::http::Answer;
use crate::support::sentinel::{RULE_ID, STREAM, Sentinel as Standin, check, fault};

const TOKEN: &str = "eyJ0eXAiOiJKV1QiSECRET";

fn sink_with(endpoint: &str, token: &str, timeouts: Timeouts) -> Sentinel {
    let target = Target { endpoint, rule_id: RULE_ID, stream: STREAM };
    let tokens = TokenSource::Fixed(Secret::new(token));
    Sentinel::new("sentinel", target, tokens, timeouts, clock()).unwrap()
}

fn sink(standin: &Standin) -> Sentinel {
    sink_with(&standin.url(""), TOKEN, Timeouts::default())
}

fn alerts(n: usize) -> Vec<Alert> {
    (0..n).map(|i| alert(&format!("{i:032x}"))).collect()
}

fn all_delivered(outcomes: &[Outcome]) {
    let others: Vec<_> = outcomes.iter().filter(|outcome| **outcome != Outcome::Delivered).collect();
    assert!(others.is_empty(), "{others:?}");
}

#[tokio::test]
async fn an_alert_becomes_a_row() {
    let standin = Standin::start(TOKEN, &[]).await;
    all_delivered(&sink(&standin).send(&[alert("a1")]).await);
    let rows = standin.rows();
    let alert = alert("a1");
    assert_eq!(
        rows["a1"],
        [json!({
            "TimeGenerated": "2026-03-01T12:00:00Z", "EventTime": "2026-02-10T09:00:00Z", "AlertId": "a1",
            "Rule": "secret-access-bulk", "Title": alert.title, "Severity": "critical",
            "Cluster": alert.cluster, "Key": {"username": "alice@contoso.com"}, "Summary": alert.summary,
            "Count": 15, "FirstSeen": "2026-02-10T09:00:00Z", "LastSeen": "2026-02-10T09:14:00.5Z",
            "Tactic": "credential-access", "Attack": ["T1552.007"],
            "AuditIds": alert.audit_ids, "Evidence": {"secrets": 15, "client_ip": "203.0.113.7"},
            "Replayed": false,
        })]
    );
    let names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
    assert_eq!(rows["a1"][0].as_object().unwrap().keys().collect::<Vec<_>>(), names);
    let request = &standin.requests()[0];
    assert_eq!(request.header("content-encoding"), Some("gzip"));
    assert_eq!(request.header("x-ms-client-request-id").map(str::len), Some(36));
}

#[tokio::test]
async fn many_alerts_go_in_bodies_that_fit() {
    let standin = Standin::start(TOKEN, &[]).await;
    let mut alerts = alerts(400);
    for alert in &mut alerts {
        alert.evidence.insert("command".to_owned(), json!("\u{7}é".repeat(1500)));
    }
    let unzipped: usize = alerts.iter().map(|alert| serde_json::to_vec(alert).unwrap().len()).sum();
    all_delivered(&sink(&standin).send(&alerts).await);
    assert_eq!(standin.rows().len(), 400);
    assert!(standin.rows().values().all(|rows| rows.len() == 1));
    let requests = standin.requests().len();
    assert!((unzipped / MAX_BODY..unzipped / MAX_BODY + 3).contains(&requests), "{requests} for {unzipped}");
}

#[tokio::test]
async fn a_huge_alert_is_shortened_and_arrives() {
    let standin = Standin::start(TOKEN, &[]).await;
    let mut huge = alert("huge");
    huge.summary = "s".repeat(81_234);
    for i in 0..400 {
        huge.evidence.insert(format!("list-{i}"), json!(["\u{1}".repeat(3000), i]));
    }
    huge.audit_ids = (0..50).map(|i| format!("{i}-{}", "\u{2}".repeat(20_000))).collect();
    let others = alerts(2);
    all_delivered(&sink(&standin).send(&[others[0].clone(), huge, others[1].clone()]).await);
    let row = &standin.rows()["huge"][0];
    assert!(row["Summary"].as_str().unwrap().ends_with("s…[cut, 81234 bytes]"));
    assert!(row["Evidence"].to_string().contains("[cut, "), "{}", row["Evidence"]);
    assert_eq!(row["Evidence"]["secrets"], 15);
    assert_eq!(standin.rows().len(), 3);
}

#[tokio::test]
async fn what_passes_is_tried_again_when_it_may() {
    let standin = Standin::start(TOKEN, &[]).await;
    let sink = sink(&standin);
    let date = "Sun, 01 Mar 2026 12:00:42 GMT";
    for (answer, expected) in [
        (fault(429, "TooManyRequests", "slow down").with("retry-after", "17"), Some(Duration::from_secs(17))),
        (fault(429, "TooManyRequests", "slow down").with("retry-after", date), Some(Duration::from_secs(42))),
        (
            fault(503, "ServiceUnavailable", "slow down").with("retry-after", "2"),
            Some(Duration::from_secs(2)),
        ),
        (Answer::status(503, "slow down"), None),
        (Answer::status(500, "slow down"), None),
        (Answer::status(502, "<html>slow down</html>"), None),
        (Answer::status(504, "slow down"), None),
        (Answer::status(408, "slow down"), None),
    ] {
        standin.script([answer]);
        let outcomes = sink.send(&alerts(3)).await;
        assert_eq!(outcomes.len(), 3);
        for outcome in &outcomes {
            let (reason, after) = retry(outcome);
            assert_eq!(after, expected, "{reason}");
            assert!(reason.contains("slow down"), "{reason}");
        }
    }
    assert!(standin.rows().is_empty());
    all_delivered(&sink.send(&alerts(3)).await);
    assert_eq!(standin.rows().len(), 3);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_split() {
    let standin = Standin::start(TOKEN, &[]).await;
    let too_large = fault(413, "ContentLengthLimitExceeded", "Maximum allowed content length");
    standin.script([too_large.clone(), too_large]);
    all_delivered(&sink(&standin).send(&alerts(8)).await);
    let rows = standin.rows();
    assert!(rows.len() == 8 && rows.values().all(|rows| rows.len() == 1), "{rows:?}");
    // Eight, four, two, two, four.
    assert_eq!(standin.requests().len(), 5);
}

#[tokio::test]
async fn a_row_that_is_too_large_is_cut_and_then_refused() {
    let standin = Standin::start(TOKEN, &[]).await;
    let too_large = fault(413, "ContentLengthLimitExceeded", "Maximum allowed content length");
    let mut long = alert("long");
    long.evidence.insert("body".to_owned(), json!("b".repeat(50_000)));
    standin.script([too_large.clone()]);
    all_delivered(&sink(&standin).send(std::slice::from_ref(&long)).await);
    let evidence = standin.rows()["long"][0]["Evidence"].to_string();
    assert!(evidence.len() < 13_000 && evidence.contains("b…[cut, 50000 bytes]"), "{evidence}");

    standin.outage(Some(too_large));
    let outcomes = sink(&standin).send(&[long]).await;
    let reason = refused(&outcomes[0]);
    assert!(reason.contains("ContentLengthLimitExceeded") && reason.contains("the row cut to "), "{reason}");
    assert!(standin.requests().len() <= 2 + 4, "{}", standin.requests().len());
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let standin = Standin::start(TOKEN, &[]).await;
    standin.script([fault(401, "AuthenticationFailed", "expired")]);
    all_delivered(&sink(&standin).send(&alerts(2)).await);
    assert_eq!(standin.requests().len(), 2);

    let wrong = sink_with(&standin.url(""), "wrong-SECRET", SHORT);
    let outcomes = wrong.send(&alerts(2)).await;
    let (reason, after) = retry(&outcomes[1]);
    assert!(reason.contains("401") && reason.contains("tenant") && !reason.contains("SECRET"), "{reason}");
    assert_eq!(after, Some(Duration::from_secs(60)));
    assert_eq!(standin.requests().len(), 4);
}

#[tokio::test]
async fn a_missing_role_is_named_and_waited_for() {
    let standin = Standin::start(TOKEN, &[]).await;
    standin.outage(Some(fault(
        403,
        "OperationFailed",
        "The authentication token provided does not have access",
    )));
    let mut alerts = alerts(40);
    for alert in &mut alerts {
        alert.evidence.insert("body".to_owned(), json!("b".repeat(50_000)));
    }
    let outcomes = sink(&standin).send(&alerts).await;
    for outcome in &outcomes {
        let (reason, after) = retry(outcome);
        for part in ["Monitoring Metrics Publisher", RULE_ID, "30 minutes", "does not have access"] {
            assert!(reason.contains(part), "{reason}");
        }
        assert_eq!(after, Some(Duration::from_secs(300)));
    }
    assert_eq!(standin.requests().len(), 1, "the other bodies have to wait as well");
}

#[tokio::test]
async fn a_wrong_row_goes_alone() {
    let standin = Standin::start(TOKEN, &["0000000000000000000000000000000b"]).await;
    let outcomes = sink(&standin).send(&alerts(30)).await;
    let reason = refused(&outcomes[11]);
    assert!(reason.contains("400") && reason.contains("InvalidRecord: record"), "{reason}");
    let others: Vec<Outcome> = [&outcomes[..11], &outcomes[12..]].concat();
    all_delivered(&others);
    assert_eq!(standin.rows().len(), 29);
}

#[tokio::test]
async fn a_service_that_refuses_everything_is_not_asked_for_ever() {
    let standin = Standin::start(TOKEN, &[]).await;
    standin.outage(Some(fault(400, "InvalidStream", "no such stream")));
    let outcomes = sink(&standin).send(&alerts(300)).await;
    assert_eq!(standin.requests().len(), 64);
    let (no, later): (Vec<_>, Vec<_>) =
        outcomes.iter().partition(|outcome| matches!(outcome, Outcome::Refused { .. }));
    assert!(no.len() > 20 && later.len() > 200, "{} {}", no.len(), later.len());
    assert!(later.iter().all(|outcome| retry(outcome).0.contains("took all the time")));
}

#[tokio::test]
async fn a_wrong_address_is_refused_with_the_message() {
    let standin = Standin::start(TOKEN, &[]).await;
    let message = format!("Data collection rule with immutable Id '{RULE_ID}' not found.");
    standin.outage(Some(fault(404, "NotFound", &message)));
    for outcome in sink(&standin).send(&alerts(5)).await {
        let reason = refused(&outcome);
        assert!(reason.contains("404") && reason.contains(&message), "{reason}");
    }
    assert_eq!(standin.requests().len(), 1);
    standin.outage(Some(Answer::status(302, "").with("location", "https://login.example/SECRET")));
    let outcomes = sink(&standin).send(&alerts(1)).await;
    assert!(retry(&outcomes[0]).0.contains("redirects are not followed"));
}

#[tokio::test]
async fn a_service_that_hangs_or_resets_is_left_in_time() {
    let standin = Standin::start(TOKEN, &[]).await;
    let sink = sink_with(&standin.url(""), TOKEN, SHORT);
    for (answer, words) in [(Answer::Hang, "no answer from 127.0.0.1"), (Answer::Reset, "broke")] {
        standin.script([answer]);
        let begun = Instant::now();
        let outcomes = sink.send(&alerts(4)).await;
        assert!(begun.elapsed() < Duration::from_secs(5));
        for outcome in &outcomes {
            let (reason, after) = retry(outcome);
            assert!(reason.contains(words) && !reason.contains("dataCollectionRules"), "{reason}");
            assert_eq!(after, None);
        }
    }
    all_delivered(&sink.send(&alerts(4)).await);
}

#[tokio::test]
async fn a_service_that_is_not_there_is_named() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let gone = sink_with(&format!("http://127.0.0.1:{port}"), TOKEN, SHORT);
    let outcomes = gone.send(&alerts(1)).await;
    let (reason, _) = retry(&outcomes[0]);
    assert!(reason.contains(&format!("cannot connect to 127.0.0.1:{port}")), "{reason}");
    let error = gone.probe().await.unwrap_err();
    assert!(error.contains("cannot connect to"), "{error}");
    // No such name exists; a network that swallows the question is noticed all the same.
    let patient = Timeouts { connect: Duration::from_secs(2), total: Duration::from_secs(2) };
    let name = "x.westeurope-1.ingest.monitor.invalid";
    let error = sink_with(&format!("https://{name}"), TOKEN, patient).probe().await.unwrap_err();
    let told = [format!("the name {name} cannot be resolved"), format!("no connection to {name} within 2 s")];
    assert!(told.iter().any(|told| error.contains(told)), "{error}");
    // Speaks no TLS.
    let standin = Standin::start(TOKEN, &[]).await;
    let plain = sink_with(&standin.url("").replace("http://", "https://"), TOKEN, patient);
    let error = plain.probe().await.unwrap_err();
    assert!(error.contains("no trusted TLS connection to 127.0.0.1"), "{error}");
}

#[tokio::test]
async fn no_secret_gets_into_a_reason() {
    let standin = Standin::start(TOKEN, &[]).await;
    for status in [400, 401, 403, 404, 413, 418, 429, 503] {
        standin.outage(Some(fault(status, "Echo", &format!("you sent Bearer {TOKEN}\r\nand more"))));
        let outcomes = sink(&standin).send(&alerts(1)).await;
        let said = format!("{outcomes:?} {:?}", sink(&standin).probe().await);
        assert!(!said.contains("SECRET") && said.contains("Bearer *** and more"), "{said}");
    }
    let odd = sink_with(&standin.url(""), "two\nlines-SECRET", SHORT);
    let outcomes = odd.send(&alerts(1)).await;
    assert!(!retry(&outcomes[0]).0.contains("SECRET"), "{outcomes:?}");
}

#[tokio::test]
async fn a_probe_says_what_is_wrong_and_sends_no_rows() {
    let standin = Standin::start(TOKEN, &[]).await;
    let sink = sink(&standin);
    assert!(sink.probe().await.unwrap().contains(RULE_ID));
    assert_eq!(standin.requests()[0].body, "[]");
    standin.script([fault(400, "InvalidPayload", "The array is empty")]);
    assert!(sink.probe().await.unwrap().contains("The array is empty"));
    for (answer, words) in [
        (fault(400, "InvalidStream", "Stream Custom-X is not known"), "InvalidStream"),
        (fault(403, "OperationFailed", "no access"), "Monitoring Metrics Publisher"),
        (fault(404, "NotFound", "nothing here"), "check endpoint, rule_id"),
        (fault(503, "Busy", "later"), "503: Busy: later"),
    ] {
        standin.script([answer]);
        let error = sink.probe().await.unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    let wrong = sink_with(&standin.url(""), "wrong-SECRET", SHORT);
    assert!(wrong.probe().await.unwrap_err().contains("a new token was refused too"));
    assert!(standin.rows().is_empty());
}

#[tokio::test]
async fn plain_text_to_another_machine_is_no_endpoint() {
    let target = Target { endpoint: "http://x.ingest.monitor.azure.com", rule_id: RULE_ID, stream: STREAM };
    let tokens = TokenSource::Fixed(Secret::new(TOKEN));
    let error = Sentinel::new("sentinel", target, tokens, SHORT, clock()).err().unwrap();
    assert!(error.contains("use https"), "{error}");
}

#[tokio::test]
async fn the_stand_in_is_strict() {
    let standin = Standin::start(TOKEN, &[]).await;
    all_delivered(&sink(&standin).send(&[alert("a1")]).await);
    let good = standin.requests().remove(0);
    assert_eq!(check(&good, TOKEN, &[]).unwrap().len(), 1);
    let status = |request| check(&request, TOKEN, &[]).unwrap_err().0;
    let mut other = good.clone();
    other.target = good.target.replace("streams/", "tables/");
    assert_eq!(status(other.clone()), 404);
    other.target = good.target.replace("2023-01-01", "2016-04-01");
    assert_eq!(status(other.clone()), 400);
    let mut plain = good.clone();
    plain.headers.remove("content-encoding");
    let row = serde_json::Value::Object(standin.rows()["a1"][0].as_object().unwrap().clone());
    for (body, expected) in [
        (row.to_string(), 400),
        (json!([row, {"AlertId": "a1"}]).to_string(), 400),
        (format!("[{}{row}]", " ".repeat(1_048_576)), 413),
    ] {
        plain.body = body.into();
        assert_eq!(status(plain.clone()), expected);
    }
}
