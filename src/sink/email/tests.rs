//! What a mail says, and that hostile text of a log stays text. The server's side is tested against a real
//! one, with the integration tests.

use std::sync::Arc;

use serde_json::json;

use crate::alert::Severity;
use crate::alert::Status;

use super::facts::Facts;
use super::facts::Limits;
use super::facts::clean;
use super::*;

fn alert() -> Alert {
    let json = json!({
        "id": "daf881dced4f6218d2471e30b0eb0a8b",
        "rule": "secret-get",
        "title": "A secret was read",
        "severity": "high",
        "status": "stable",
        "cluster": "/subscriptions/5b7c/resourcegroups/rg/providers/microsoft.containerservice/managedclusters/aks-one",
        "key": {"username": "alice@contoso.com", "namespace": "payments", "name": "api-db"},
        "summary": "alice@contoso.com read secret payments/api-db",
        "count": 2,
        "first_seen": "2026-02-10T09:00:00.25Z",
        "last_seen": "2026-02-10T09:14:00Z",
        "attack": ["T1552.007", "T1078"],
        "tactic": "credential-access",
        "audit_ids": ["f236677f-559f-4ec7-8318-97d606cb0d3a", "5b289e29-f720-4539-85cd-a3dbb35d0970"],
        "evidence": {"verb": "get", "resource": "secrets", "client_ip": "203.0.113.7", "user_agent": null,
                     "refused": 0, "admin": true},
        "replayed": false
    });
    serde_json::from_value(json).unwrap()
}

fn row<'a>(facts: &'a Facts, label: &str) -> &'a str {
    facts.rows.iter().find(|(name, _)| name == label).map_or("", |(_, value)| value.as_str())
}

/// The mail as it goes over the wire.
fn mail(alerts: &[&Alert]) -> String {
    let from = mailbox("from", "aksentry <aksentry@contoso.com>").unwrap();
    let to = [mailbox("to", "soc@contoso.com").unwrap()];
    let mail = message::build(alerts, &from, &to, 1_770_714_000_000_000).unwrap();
    String::from_utf8(mail.formatted()).unwrap()
}

fn header<'a>(mail: &'a str, name: &str) -> Vec<&'a str> {
    let (head, _) = mail.split_once("\r\n\r\n").unwrap();
    head.split("\r\n").filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect()
}

#[test]
fn who_what_where_when_and_the_rest_as_evidence() {
    let facts = Facts::of(&alert(), Limits::ONE);
    for (label, value) in [
        ("Who", "alice@contoso.com"),
        ("Did", "get"),
        ("To", "secrets payments/api-db"),
        ("Cluster", "aks-one"),
        ("From", "203.0.113.7"),
        ("When", "2026-02-10 09:00:00 – 09:14:00 UTC"),
        ("Events", "2"),
        ("Rule", "secret-get (credential-access)"),
        ("ATT&CK", "T1552.007, T1078"),
    ] {
        assert_eq!(row(&facts, label), value, "{label}");
    }
    let evidence: Vec<_> =
        facts.evidence.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(evidence, [("refused", "0"), ("admin", "yes")]);
}

#[test]
fn commands_can_be_pasted() {
    let facts = Facts::of(&alert(), Limits::ONE);
    let commands: Vec<&str> = facts.steps.iter().map(|step| step.command.as_str()).collect();
    assert_eq!(commands.len(), 2);
    let ids = "IN ('f236677f-559f-4ec7-8318-97d606cb0d3a', '5b289e29-f720-4539-85cd-a3dbb35d0970')";
    assert!(commands[0].contains(ids), "{}", commands[0]);
    let range = "--since 2026-02-10T08:00:00Z --until 2026-02-10T10:14:00Z --cluster aks-one";
    assert!(commands[1].contains(range), "{}", commands[1]);
    assert!(commands[1].contains("username = 'alice@contoso.com'"), "{}", commands[1]);
}

#[test]
fn what_could_leave_its_quotation_gets_into_no_command() {
    let mut alert = alert();
    alert.cluster = Some("x; reboot".to_owned());
    for bad in ["$(reboot)", "`reboot`", "a' OR 1=1 --", "a\" ; reboot", "a\nreboot", "-x", "a!b", "a\\"] {
        alert.key["username"] = json!(bad);
        alert.audit_ids = vec![bad.to_owned(), "good-1".to_owned()];
        let facts = Facts::of(&alert, Limits::ONE);
        assert_eq!(facts.steps.len(), 1, "{bad}");
        let command = &facts.steps[0].command;
        assert!(command.contains("IN ('good-1')") && !command.contains("reboot"), "{command}");
        alert.audit_ids.clear();
        let facts = Facts::of(&alert, Limits::ONE);
        assert!(facts.steps.iter().all(|step| !step.command.contains("reboot")), "{:?}", facts.steps);
    }
}

#[test]
fn text_of_a_log_stays_text() {
    let mut alert = alert();
    let bad =
        "<script>alert(1)</script><img src=x onerror=y>\r\nBcc: evil@example.com\u{202e}\u{0}\u{1b}[2J \"'&";
    alert.title = bad.to_owned();
    alert.summary = bad.to_owned();
    alert.rule = bad.to_owned();
    alert.id = bad.to_owned();
    alert.attack = vec![bad.to_owned()];
    alert.cluster = Some(bad.to_owned());
    alert.key.insert(bad.to_owned(), json!(bad));
    alert.evidence.insert("username".to_owned(), json!(bad));
    for alerts in [vec![&alert], vec![&alert, &alert]] {
        let html = html::render(&message::content(&alerts));
        for part in ["<script", "<img", "onerror=y>", "\u{202e}", "\u{0}", "\u{1b}"] {
            assert!(!html.contains(part), "{part:?} in {html}");
        }
        assert!(html.contains("&lt;script&gt;") && html.contains("\\u{202e}"), "{html}");
        let text = text::render(&message::content(&alerts));
        assert!(!text.contains(['\u{202e}', '\u{0}', '\u{1b}', '\r']), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("Bcc")), "{text}");
        let mail = mail(&alerts);
        assert_eq!(header(&mail, "Bcc"), Vec::<&str>::new());
        assert!(mail.is_ascii());
        let id = header(&mail, "Message-ID");
        assert!(id[0].starts_with("<digest-") && id[0].ends_with("@contoso.com>"), "{id:?}");
    }
}

#[test]
fn nothing_is_loaded_and_long_values_are_cut() {
    let mut alert = alert();
    alert.evidence.insert("body".to_owned(), json!("é".repeat(65_536)));
    alert.summary = "x".repeat(65_536);
    for n in 0..100 {
        alert.evidence.insert(format!("column{n}"), json!(n));
    }
    let html = html::render(&message::content(&[&alert]));
    assert!(html.contains("(cut; 65536 characters)") && html.contains("more; the alert"), "{html}");
    for part in ["src=", "url(", "@import", "<link", "<script"] {
        assert!(!html.contains(part), "{part}");
    }
    let many: Vec<&Alert> = std::iter::repeat_n(&alert, 100).collect();
    assert!(mail(&many).len() < 1_000_000);
    assert_eq!(clean("abc", 3), "abc");
    assert_eq!(clean("abcd", 3), "abc… (cut; 4 characters)");
}

#[test]
fn the_same_alerts_have_the_same_message_id() {
    let (one, mut two) = (alert(), alert());
    two.id = "0".repeat(32);
    assert_eq!(header(&mail(&[&one]), "Message-ID"), ["<daf881dced4f6218d2471e30b0eb0a8b@contoso.com>"]);
    let forth = mail(&[&one, &two]);
    assert_eq!(header(&forth, "Message-ID"), header(&mail(&[&two, &one]), "Message-ID"));
    assert_ne!(header(&forth, "Message-ID"), header(&mail(&[&one, &one]), "Message-ID"));
    assert_eq!(header(&forth, "Auto-Submitted"), ["auto-generated"]);
    assert_eq!(header(&forth, "Date"), ["Tue, 10 Feb 2026 09:00:00 +0000"]);
    assert!(header(&forth, "Importance").is_empty());
}

#[test]
fn a_digest_begins_with_the_worst() {
    let (high, mut critical, mut other) = (alert(), alert(), alert());
    critical.severity = Severity::Critical;
    critical.title = "The worst".to_owned();
    critical.status = Status::Shadow;
    other.cluster = Some("/subscriptions/5b7c/managedclusters/aks-two".to_owned());
    other.replayed = true;
    let alerts = [&high, &critical, &other];
    let text = text::render(&message::content(&alerts));
    assert!(
        text.starts_with("3 alerts (1 critical, 2 high)\n\n  1. CRITICAL      The worst [rule on trial]\n"),
        "{text}"
    );
    assert!(text.contains("A secret was read [replayed]"), "{text}");
    let mail = mail(&alerts);
    // The dash is encoded, and so is the word it touches.
    assert!(header(&mail, "Subject")[0].starts_with("[CRITICAL] 3 alerts (1 critical, 2 high)"), "{mail}");
    let unfolded = mail.replace("\r\n ", " ");
    assert!(header(&unfolded, "Subject")[0].ends_with("clusters"), "{mail}");
    assert_eq!(header(&mail, "Importance"), ["high"]);
}

#[tokio::test]
async fn addresses_are_read_at_the_start() {
    let settings = Settings {
        server: MailServer { host: "localhost".to_owned(), port: 587, implicit_tls: false },
        auth: MailAuth::None,
        from: "aksentry@contoso.com".to_owned(),
        to: vec!["soc@contoso.com".to_owned()],
        digest: Duration::from_secs(300),
    };
    let open = async |settings: Settings| Email::open("email", settings, Arc::new(|| 0)).await;
    let digest = open(settings.clone()).await.unwrap();
    assert_eq!(digest.portion(), Portion { max_alerts: 100, linger: Duration::from_secs(300) });
    let single = open(Settings { digest: Duration::ZERO, ..settings.clone() }).await.unwrap();
    assert_eq!((single.name(), single.portion().linger), ("email", Duration::ZERO));

    let wrong = |from: &str, to: &[&str]| Settings {
        from: from.to_owned(),
        to: to.iter().map(ToString::to_string).collect(),
        ..settings.clone()
    };
    for (settings, message) in [
        (wrong("contoso.com", &["soc@contoso.com"]), "from has \"contoso.com\", which is no address"),
        (wrong("a@b.com", &["x\r\nRCPT TO:<y@z>"]), "to has"),
        (wrong("a@b.com", &["jürgen@b.com"]), "few servers take other than ASCII"),
        (wrong("a@b.com", &[]), "\"to\" is empty"),
    ] {
        let error = open(settings).await.err().unwrap().to_string();
        assert!(error.contains(message), "{error}");
    }
}
