//! The email sink against a real mail server: protection, sign-in, what each answer means, what arrives.
//!
//! Which authorities are trusted, and what the Azure command line answers, is the environment's to say. So
//! the tests inside run in a process of their own, which the one test outside starts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// Tells the inner process where the certificates are that it trusts.
const BUNDLE: &str = "AKSENTRY_TEST_BUNDLE";

#[test]
fn email() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("trusted.pem");
    fs::write(&bundle, "").unwrap();
    azure_command_line(folder.path());
    let inner = concat!(module_path!(), "::inside").split_once("::").unwrap().1;
    let output = Command::new(std::env::current_exe().unwrap())
        .args([inner, "--ignored", "--color=never"])
        .env("SSL_CERT_FILE", &bundle)
        .env("SSL_CERT_DIR", folder.path().join("none"))
        .env(BUNDLE, &bundle)
        .env("PATH", path_with(folder.path()))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(!text.contains("\nrunning 0 tests"), "{text}");
}

#[expect(
    clippy::disallowed_methods,
    reason = "the search path of the test is handed on with one folder more"
)]
fn path_with(folder: &Path) -> std::ffi::OsString {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths([folder.to_owned()].into_iter().chain(std::env::split_paths(&paths))).unwrap()
}

/// An `az` whose first token is not taken any more and whose others are.
fn azure_command_line(folder: &Path) {
    let script = r#"#!/bin/sh
count="$(dirname "$0")/count"
echo x >> "$count"
token=fresh
[ "$(wc -l < "$count")" -eq 1 ] && token=stale
echo "{\"accessToken\": \"$token\", \"expires_on\": 4102444800, \"expiresOn\": \"2100-01-01 00:00:00.000000\", \"tokenType\": \"Bearer\"}"
"#;
    let az = folder.join("az");
    fs::write(&az, script).unwrap();
    fs::set_permissions(&az, fs::Permissions::from_mode(0o755)).unwrap();
}

mod inside {
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::time::Duration;

    use aksentry::alert::Alert;
    use aksentry::identity::{Auth, Secret};
    use aksentry::sink::email::{Email, Settings};
    use aksentry::sink::{MailAuth, MailServer, Outcome, Sink};
    use serde_json::{Value, json};

    use crate::support::smtp::Smtp;

    const SLOW: Option<Duration> = Some(Duration::from_secs(600));

    #[expect(clippy::disallowed_methods, reason = "said by the test outside")]
    fn bundle() -> PathBuf {
        std::env::var_os(super::BUNDLE).expect("run by the test \"email\", which says what is trusted").into()
    }

    fn server(behaviour: Value) -> Smtp {
        Smtp::start(behaviour).trusted_in(&bundle())
    }

    /// A server with STARTTLS and a user.
    fn usual(more: Value) -> Smtp {
        let mut behaviour = json!({"tls": "starttls", "auth": ["LOGIN"], "users": {"robot": "secret"}});
        behaviour.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server(behaviour)
    }

    fn settings(smtp: &Smtp) -> Settings {
        Settings {
            server: MailServer { host: "localhost".to_owned(), port: smtp.port, implicit_tls: false },
            auth: login("secret"),
            from: "aksentry <aksentry@contoso.com>".to_owned(),
            to: vec!["soc@contoso.com".to_owned()],
            digest: Duration::ZERO,
        }
    }

    fn login(password: &str) -> MailAuth {
        MailAuth::Login { user: "robot".to_owned(), password: Secret::new(password) }
    }

    async fn open(settings: Settings) -> Email {
        Email::open("email", settings, Arc::new(|| 1_770_714_000_000_000)).await.unwrap()
    }

    fn alert(n: usize) -> Alert {
        serde_json::from_value(json!({
            "id": format!("{n:032x}"), "rule": "secret-get", "title": "A secret was read", "severity": "high",
            "status": "stable", "cluster": "/subscriptions/5b7c/managedclusters/aks-one",
            "key": {"username": "ålice"}, "summary": "ålice read <b>secret</b> payments/api-db", "count": 1,
            "first_seen": "2026-02-10T09:00:00Z", "last_seen": "2026-02-10T09:00:00Z", "attack": ["T1552.007"],
            "tactic": "credential-access", "audit_ids": ["f236677f-559f-4ec7-8318-97d606cb0d3a"],
            "evidence": {"verb": "get", "client_ip": "203.0.113.7"}, "replayed": false
        }))
        .unwrap()
    }

    fn alerts(count: usize) -> Vec<Alert> {
        (0..count).map(alert).collect()
    }

    fn reason(outcome: &Outcome) -> &str {
        match outcome {
            Outcome::Retry { reason, .. } | Outcome::Refused { reason } => reason,
            Outcome::Delivered => "delivered",
        }
    }

    fn retry(outcome: &Outcome) -> Option<Duration> {
        match outcome {
            Outcome::Retry { after, .. } => *after,
            other => panic!("{other:?}"),
        }
    }

    /// The head with lines unfolded, and the two parts decoded.
    fn read(mail: &Value) -> (String, String, String) {
        let text = mail["text"].as_str().unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let head = head.replace("\r\n ", " ");
        let boundary = head.split_once("boundary=\"").unwrap().1.split_once('"').unwrap().0;
        let parts: Vec<&str> = body.split(&format!("--{boundary}")).collect();
        assert_eq!(parts.len(), 4, "{body}");
        let plain =
            parts[1].trim_start().strip_prefix("Content-Type: text/plain; charset=utf-8\r\n").unwrap();
        let html = parts[2].trim_start().strip_prefix("Content-Type: text/html; charset=utf-8\r\n").unwrap();
        (head, quoted_printable(plain), quoted_printable(html))
    }

    fn quoted_printable(part: &str) -> String {
        let (head, body) = part.split_once("\r\n\r\n").unwrap();
        assert_eq!(head, "Content-Transfer-Encoding: quoted-printable");
        let joined = body.replace("=\r\n", "");
        let mut pieces = joined.split('=');
        let mut bytes = pieces.next().unwrap().as_bytes().to_vec();
        for piece in pieces {
            bytes.push(u8::from_str_radix(&piece[..2], 16).unwrap());
            bytes.extend(&piece.as_bytes()[2..]);
        }
        String::from_utf8(bytes).unwrap().replace("\r\n", "\n")
    }

    #[tokio::test]
    #[ignore = "run by the test outside"]
    async fn one_mail_each_over_starttls() {
        let smtp = usual(json!({}));
        let email = open(settings(&smtp)).await;
        assert_eq!(email.send(&alerts(3)).await, vec![Outcome::Delivered; 3]);
        for n in 0..3 {
            let mail = smtp.mail(n + 1);
            assert_eq!((&mail["encrypted"], &mail["user"]), (&json!(true), &json!("robot")));
            assert_eq!(
                (&mail["from"], &mail["to"]),
                (&json!("aksentry@contoso.com"), &json!(["soc@contoso.com"]))
            );
            assert_eq!(mail["hello"], "contoso.com");
            let (head, plain, html) = read(&mail);
            for line in [
                "Subject: [HIGH] A secret was read =?utf-8?b?4oCT?= aks-one".to_owned(),
                format!("Message-ID: <{n:032x}@contoso.com>"),
                format!("X-Aksentry-Alert-Id: {n:032x}"),
                "Auto-Submitted: auto-generated".to_owned(),
                "Date: Tue, 10 Feb 2026 09:00:00 +0000".to_owned(),
                "To: soc@contoso.com".to_owned(),
            ] {
                assert!(head.lines().any(|have| have == line), "{line} in {head}");
            }
            assert!(plain.contains("ålice read <b>secret</b> payments/api-db"), "{plain}");
            assert!(plain.contains("aksentry hunt -e \"SELECT"), "{plain}");
            assert!(html.contains("ålice read &lt;b&gt;secret"), "{html}");
        }
        smtp.wait("close", 1);
        assert_eq!(smtp.seen("connect").len(), 1, "one connection for a portion");
    }

    #[tokio::test]
    #[ignore = "run by the test outside"]
    async fn a_digest_over_implicit_tls() {
        let smtp = server(json!({"tls": "implicit", "auth": ["PLAIN"], "users": {"robot": "secret"}}));
        let mut settings = settings(&smtp);
        settings.server.implicit_tls = true;
        settings.digest = Duration::from_secs(300);
        let email = open(settings.clone()).await;
        assert_eq!(email.send(&alerts(3)).await, vec![Outcome::Delivered; 3]);
        let (head, plain, _) = read(&smtp.mail(1));
        assert!(head.contains("Subject: [HIGH] 3 alerts (3 high) "), "{head}");
        let ids: Vec<String> = (0..3).map(|n| format!("{n:032x}")).collect();
        assert!(head.contains(&format!("X-Aksentry-Alert-Id: {}", ids.join(", "))), "{head}");
        assert!(plain.starts_with("3 alerts (3 high)\n"), "{plain}");
        assert_eq!(smtp.seen("auth")[0]["method"], "PLAIN");
        let probed = email.probe().await.unwrap();
        assert!(probed.ends_with("answers: TLS, signed in as robot with PLAIN"), "{probed}");
        // Each scheme with a port of the other.
        settings.server.implicit_tls = false;
        let email = open(settings).await.with_patience(Duration::from_millis(300));
        assert!(email.probe().await.unwrap_err().contains("write smtps://"));
        assert_eq!(smtp.seen("mail").len(), 1);
    }

    #[tokio::test]
    #[ignore = "run by the test outside"]
    async fn tls_at_once_where_it_begins_in_plaintext() {
        let smtp = usual(json!({}));
        let mut settings = settings(&smtp);
        settings.server.implicit_tls = true;
        let error = open(settings).await.probe().await.unwrap_err();
        assert!(error.contains("write smtp:// for STARTTLS"), "{error}");
    }

    #[tokio::test]
    #[ignore = "run by the test outside"]
    async fn a_token_that_is_not_taken_is_renewed_once() {
        let smtp = server(json!({"tls": "starttls", "auth": ["XOAUTH2"], "tokens": ["fresh"]}));
        let mut settings = settings(&smtp);
        settings.auth =
            MailAuth::XOAuth2 { user: "robot@contoso.com".to_owned(), auth: Auth::Cli, scope: None };
        let email = open(settings.clone()).await;
        assert_eq!(email.send(&alerts(1)).await, [Outcome::Delivered]);
        let tried: Vec<bool> = smtp.seen("auth").iter().map(|auth| auth["accepted"] == true).collect();
        assert_eq!(tried, [false, true]);
        assert_eq!(smtp.mail(1)["user"], "robot@contoso.com");

        let token = Auth::Token(Secret::new("never-good"));
        settings.auth = MailAuth::XOAuth2 { user: "robot@contoso.com".to_owned(), auth: token, scope: None };
        let outcome = open(settings).await.send(&alerts(1)).await.remove(0);
        assert_eq!(retry(&outcome), SLOW);
        assert!(reason(&outcome).contains("SMTP.SendAsApp"), "{outcome:?}");
        assert!(!reason(&outcome).contains("never-good"), "{outcome:?}");
    }

    #[tokio::test]
    #[ignore = "run by the test outside"]
    async fn not_now_then_delivered_with_the_same_id() {
        let smtp = usual(json!({"replies": {"data": ["451 4.7.0 Try again later", "ok"]}}));
        let email = open(settings(&smtp)).await;
        let outcomes = email.send(&alerts(2)).await;
        assert_eq!(retry(&outcomes[0]), None);
        assert!(reason(&outcomes[0]).contains("451 4.7.0 Try again later"), "{outcomes:?}");
        // The refusal was of one mail, not of the connection.
        assert_eq!(outcomes[1], Outcome::Delivered);
        assert_eq!(email.send(&alerts(1)).await, [Outcome::Delivered]);
        let (head, ..) = read(&smtp.mail(2));
        assert!(head.contains(&format!("Message-ID: <{:032x}@contoso.com>", 0)), "{head}");
    }

    #[tokio::test]
    #[ignore = "run by the test outside"]
    async fn a_wrong_password_throws_no_alert_away() {
        let smtp = usual(json!({}));
        let wrong = Settings { auth: login("expired"), ..settings(&smtp) };
        let outcomes = open(wrong.clone()).await.send(&alerts(2)).await;
        for outcome in &outcomes {
            assert_eq!(retry(outcome), SLOW);
            assert!(reason(outcome).contains("535 5.7.3 Authentication unsuccessful"), "{outcome:?}");
            assert!(reason(outcome).contains("expired secret") && !reason(outcome).contains("expired\""));
        }
        assert_eq!(smtp.seen("auth").len(), 1, "the second mail is not tried");
        let error = open(wrong).await.probe().await.unwrap_err();
        assert!(error.contains("check user and password"), "{error}");

        let disabled = "550 5.7.30 Basic authentication is not supported for Client Submission";
        smtp.tell(&json!({"replies": {"mail": [disabled], "auth": [disabled]}}));
        let email = open(settings(&smtp)).await;
        for _ in 0..2 {
            let outcome = email.send(&alerts(1)).await.remove(0);
            assert_eq!(retry(&outcome), SLOW);
            assert!(reason(&outcome).contains("xoauth2"), "{outcome:?}");
        }
        let nobody = Settings { auth: MailAuth::None, ..settings(&smtp) };
        let outcome = open(nobody).await.send(&alerts(1)).await.remove(0);
        assert_eq!(retry(&outcome), SLOW);
        assert!(reason(&outcome).contains("it wants a sign-in"), "{outcome:?}");
    }

    #[tokio::test]
    #[ignore = "run by the test outside"]
    async fn a_refused_recipient_and_a_refused_mail() {
        let gone = "550 5.1.1 No such user here";
        let smtp = usual(json!({"replies": {"rcpt": {"soc@contoso.com": [gone, gone]}}}));
        let email = open(settings(&smtp)).await;
        let outcome = email.send(&alerts(1)).await.remove(0);
        assert!(matches!(outcome, Outcome::Refused { .. }), "{outcome:?}");
        assert!(
            reason(&outcome).contains(gone) && reason(&outcome).contains("soc@contoso.com"),
            "{outcome:?}"
        );

        let both = vec!["soc@contoso.com".to_owned(), "boss@contoso.com".to_owned()];
        let email = open(Settings { to: both, ..settings(&smtp) }).await;
        assert_eq!(email.send(&alerts(1)).await, [Outcome::Delivered], "the other got it");
        assert_eq!(smtp.mail(1)["to"], json!(["boss@contoso.com"]));

        smtp.tell(&json!({"replies": {"data": ["554 5.6.0 Message refused"]}}));
        let outcome = email.send(&alerts(1)).await.remove(0);
        assert!(matches!(outcome, Outcome::Refused { .. }), "{outcome:?}");
    }

    #[tokio::test]
    #[ignore = "run by the test outside"]
    async fn who_has_it_does_not_get_it_again() {
        let later = "451 4.2.0 Greylisted";
        let smtp = usual(json!({"replies": {"rcpt": {"soc@contoso.com": ["ok", later]}}}));
        let to = vec!["soc@contoso.com".to_owned(), "boss@contoso.com".to_owned()];
        let email = open(Settings { to, ..settings(&smtp) }).await;
        let outcomes = email.send(&alerts(2)).await;
        assert_eq!(outcomes[0], Outcome::Delivered);
        assert!(reason(&outcomes[1]).contains(later), "{outcomes:?}");
        assert_eq!(email.send(&alerts(2)[1..]).await, [Outcome::Delivered]);
        let got: Vec<Value> = (1..=3).map(|n| smtp.mail(n)["to"].clone()).collect();
        let both = json!(["soc@contoso.com", "boss@contoso.com"]);
        assert_eq!(got, [both, json!(["boss@contoso.com"]), json!(["soc@contoso.com"])]);
    }

    #[tokio::test]
    #[ignore = "run by the test outside"]
    async fn silence_and_broken_connections_end() {
        let smtp = usual(json!({"replies": {"data": ["hang", "close", "ok", "close"]}}));
        let email = open(settings(&smtp)).await.with_patience(Duration::from_secs(2));
        let outcome = email.send(&alerts(1)).await.remove(0);
        assert!(
            reason(&outcome).contains("no answer from localhost") && retry(&outcome).is_none(),
            "{outcome:?}"
        );
        let outcomes = email.send(&alerts(2)).await;
        for outcome in &outcomes {
            assert!(reason(outcome).contains("lost the connection"), "{outcome:?}");
        }
        // The second mail meets a connection that had served, and gets another.
        assert_eq!(email.send(&alerts(2)).await, vec![Outcome::Delivered; 2]);

        let mut nobody = settings(&smtp);
        drop(smtp);
        let outcome = email.send(&alerts(1)).await.remove(0);
        assert!(reason(&outcome).contains("cannot connect to localhost"), "{outcome:?}");
        nobody.server.host = "mail.invalid".to_owned();
        let error = open(nobody).await.probe().await.unwrap_err();
        assert!(error.contains("cannot connect to mail.invalid") && error.contains("lookup"), "{error}");
    }

    #[tokio::test]
    #[ignore = "run by the test outside"]
    async fn only_who_can_be_trusted_gets_the_password() {
        // Its authority is in no bundle.
        let smtp = Smtp::start(json!({"tls": "starttls", "auth": ["LOGIN"], "users": {"robot": "secret"}}));
        let email = open(settings(&smtp)).await;
        let outcome = email.send(&alerts(1)).await.remove(0);
        assert_eq!(retry(&outcome), SLOW);
        assert!(reason(&outcome).contains("SSL_CERT_FILE"), "{outcome:?}");
        assert!(email.probe().await.unwrap_err().contains("is not to be trusted"));
        assert!(smtp.seen("auth").is_empty());

        let other = Smtp::named(&["mail.example"], json!({"tls": "starttls"})).trusted_in(&bundle());
        let error = open(settings(&other)).await.probe().await.unwrap_err();
        assert!(error.contains("it is for another name") && error.contains("mail.example"), "{error}");

        let plain = server(json!({"tls": "none", "auth": ["LOGIN"], "users": {"robot": "secret"}}));
        let probed = open(settings(&plain)).await.probe().await.unwrap();
        assert!(probed.contains("plaintext on this machine, signed in as robot with LOGIN"), "{probed}");
        // It leads here, too, but is no address of loopback.
        let mut elsewhere = settings(&plain);
        elsewhere.server.host = "0.0.0.0".to_owned();
        let outcome = open(elsewhere).await.send(&alerts(1)).await.remove(0);
        assert!(
            reason(&outcome).contains("offers no STARTTLS, and plaintext is for this machine only"),
            "{outcome:?}"
        );
        assert_eq!((retry(&outcome), plain.seen("auth").len()), (SLOW, 1));
        let xoauth2 =
            MailAuth::XOAuth2 { user: "robot".to_owned(), auth: Auth::Token(Secret::new("t")), scope: None };
        let error = open(Settings { auth: xoauth2, ..settings(&plain) }).await.probe().await.unwrap_err();
        assert!(error.contains("offers no sign-in with XOAUTH2, but LOGIN"), "{error}");
    }
}
