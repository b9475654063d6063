//! Configurations that are right: what they become, and that no secret can be seen in them.

mod wrong;

use std::path::Path;

use chrono::TimeDelta;

use super::*;
use crate::alert::Status;
use crate::identity::{Auth, Secret};
use crate::rules::Sources;
use crate::sink::{MailAuth, MailServer, WebhookShape};
use crate::source::eventhubs::{Start, Transport};

const CONNECTION: &str = "Endpoint=sb://contoso.servicebus.windows.net/;SharedAccessKeyName=listen;SharedAccessKey=a2V5LW9mLWh1Yg==;EntityPath=aks-audit";

fn environment(name: &str) -> Option<String> {
    let value = match name {
        "HOSTNAME" => "aksentry-0",
        "AZURE_STORAGE_ACCOUNT_NAME" => "contosoaudit",
        "EVENTHUBS_CONNECTION_STRING" => CONNECTION,
        "SMTP_PASSWORD" => "correct horse\n",
        "WEBHOOK_URL" => "https://hooks.contoso.com/T0/secret-part",
        "WEBHOOK_PLAIN" => "http://hooks.contoso.com/T0/secret-part",
        "WEBHOOK_KEY" => "battery",
        "SENTINEL_TOKEN" => "staple",
        "EMPTY" => "  ",
        _ => return None,
    };
    Some(value.to_owned())
}

fn parse(text: &str) -> Result<Config, Vec<Problem>> {
    Config::parse(Path::new("aksentry.toml"), text, &environment)
}

fn good(text: &str) -> Config {
    parse(text).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })
}

const SMALLEST: &str = "[source.files]\npaths = [\"samples\"]\n";

/// What follows `[source.eventhubs]`.
fn hub(rest: &str) -> eventhubs::Config {
    let config = good(&format!("[source.eventhubs]\nhub = \"aks-audit\"\n{rest}"));
    match config.source {
        Source::EventHubs(hub) => *hub,
        Source::Files { .. } => panic!("files"),
    }
}

#[test]
fn everything_said() {
    let config = good(
        r#"
[source]
[source.eventhubs]
namespace = "contoso.servicebus.windows.net"
hub = "aks-audit"
consumer_group = "aksentry"
start = "latest"
endpoint = "amqp://127.0.0.1:5672"
transport = "tcp"
auth = { kind = "connection-string", env = "EVENTHUBS_CONNECTION_STRING" }
replica = "node-7"
prefetch = "8MB"
lease = "1m"
[checkpoint]
url = "az://checkpoints/aksentry"
[archive]
url = "file:///var/lib/aksentry/archive"
retention = "400d"
roll = "30s"
[state]
dir = "/srv/state"
[outbox]
max = "200MB"
[detect]
allowed_lateness = "15m"
memory = "128MB"
rules = { disable = ["a"], shadow = ["b"], severity = { "secret-get" = "low" } }
[[sink]]
type = "sentinel"
endpoint = "https://x.westeurope-1.ingest.monitor.azure.com/"
rule_id = "dcr-0123456789abcdef0123456789abcdef"
stream = "Custom-AksentryAlerts"
auth = { kind = "token", env = "SENTINEL_TOKEN" }
min_severity = "low"
[[sink]]
type = "email"
server = "smtp://smtp.azurecomm.net:587"
auth = { kind = "login", user = "alerts", password_env = "SMTP_PASSWORD" }
from = "aksentry@contoso.com"
to = ["SOC <soc@contoso.com>"]
min_severity = "high"
digest = "5m"
[[sink]]
type = "webhook"
url_env = "WEBHOOK_URL"
shape = "teams"
hmac_env = "WEBHOOK_KEY"
[[sink]]
type = "file"
path = "-"
[[sink]]
type = "file"
path = "/var/log/aksentry/alerts.ndjson"
[telemetry]
listen = "0.0.0.0:9000"
log = "info,aksentry=debug"
"#,
    );
    let Source::EventHubs(hub) = &config.source else { panic!("files") };
    assert_eq!(hub.namespace, "contoso.servicebus.windows.net");
    assert_eq!((hub.hub.as_str(), hub.consumer_group.as_str()), ("aks-audit", "aksentry"));
    assert_eq!((hub.start, hub.transport), (Start::Latest, Transport::Tcp));
    assert_eq!(hub.endpoint.as_deref(), Some("amqp://127.0.0.1:5672"));
    assert_eq!(hub.auth, Auth::ConnectionString(Secret::new(CONNECTION)));
    assert_eq!((hub.replica.as_str(), hub.prefetch_bytes), ("node-7", 8 << 20));
    assert_eq!(hub.lease, Duration::from_secs(60));
    let azure = Location::Azure { container: "checkpoints".into(), prefix: "aksentry".into() };
    assert_eq!(config.checkpoint, azure);
    let archive = Archive {
        location: Location::Folder("/var/lib/aksentry/archive".into()),
        retention: Some(Duration::from_secs(400 * 86_400)),
        roll: Duration::from_secs(30),
    };
    assert_eq!(config.archive, Some(archive));
    assert_eq!((config.state.as_path(), config.outbox.max), (Path::new("/srv/state"), 200 << 20));
    assert_eq!((config.detect.allowed_lateness, config.detect.memory), (TimeDelta::minutes(15), 128 << 20));
    assert_eq!(
        config.telemetry,
        Telemetry { listen: "0.0.0.0:9000".parse().unwrap(), log: "info,aksentry=debug".into() }
    );
    assert_eq!(config.warnings, []);

    let sinks: Vec<(&str, Severity)> =
        config.sinks.iter().map(|sink| (sink.name.as_str(), sink.min_severity)).collect();
    let info = Severity::Informational;
    let expected = [
        ("sentinel", Severity::Low),
        ("email", Severity::High),
        ("webhook", info),
        ("file", info),
        ("file-2", info),
    ];
    assert_eq!(sinks, expected);
    let sink::Config::Sentinel { endpoint, rule_id, stream, auth } = &config.sinks[0].kind else { panic!() };
    assert_eq!(endpoint, "https://x.westeurope-1.ingest.monitor.azure.com");
    assert_eq!((rule_id.len(), stream.as_str()), (36, "Custom-AksentryAlerts"));
    assert_eq!(*auth, Auth::Token(Secret::new("staple")));
    let sink::Config::Email { server, auth, from, to, digest } = &config.sinks[1].kind else { panic!() };
    assert_eq!(*server, MailServer { host: "smtp.azurecomm.net".into(), port: 587, implicit_tls: false });
    assert_eq!(*auth, MailAuth::Login { user: "alerts".into(), password: Secret::new("correct horse") });
    assert_eq!(
        (from.as_str(), to.as_slice()),
        ("aksentry@contoso.com", &["SOC <soc@contoso.com>".to_owned()][..])
    );
    assert_eq!(*digest, Duration::from_secs(300));
    let sink::Config::Webhook { url, shape, hmac } = &config.sinks[2].kind else { panic!() };
    assert_eq!(url.expose(), "https://hooks.contoso.com/T0/secret-part");
    assert_eq!((*shape, hmac.clone()), (WebhookShape::Teams, Some(Secret::new("battery"))));
    let sink::Config::File { path } = &config.sinks[4].kind else { panic!() };
    assert_eq!(path, Path::new("/var/log/aksentry/alerts.ndjson"));

    let shown = format!("{config:?} {config:#?}");
    for secret in ["a2V5LW9mLWh1Yg", "correct horse", "secret-part", "battery", "staple"] {
        assert!(!shown.contains(secret), "{secret} is shown");
    }
}

#[test]
fn nothing_said_but_the_source() {
    let config = good(SMALLEST);
    let Source::Files { paths, follow } = &config.source else { panic!("hub") };
    assert_eq!((paths.as_slice(), *follow), (&["samples".to_owned()][..], false));
    assert_eq!(config.checkpoint, Location::Folder("/var/lib/aksentry/checkpoints".into()));
    assert_eq!(config.archive, None);
    assert_eq!(config.detect.allowed_lateness, TimeDelta::minutes(10));
    assert_eq!(config.telemetry, Telemetry { listen: LISTEN, log: "info".into() });
    assert_eq!(config.outbox.max, 1 << 30);
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            r#"aksentry.toml:1:1: warning: no [[sink]]: alerts are counted and go nowhere; add one, such as [[sink]] with type = "file" and path = "-""#
        ]
    );
}

#[test]
fn what_a_hub_is_without_being_told() {
    let config = hub("namespace = \"contoso.servicebus.windows.net\"");
    assert_eq!((config.consumer_group.as_str(), config.start), ("$Default", Start::Earliest));
    assert_eq!((config.transport, config.auth), (Transport::Tcp, Auth::Auto));
    assert_eq!((config.replica.as_str(), config.prefetch_bytes), ("aksentry-0", 32 << 20));
    assert_eq!(config.lease, Duration::from_secs(30));
    let checkpoint = "[state]\ndir = \"/srv/x\"\n[source.eventhubs]\nnamespace = \"c.servicebus.windows.net\"\nhub = \"h\"";
    assert_eq!(good(checkpoint).checkpoint, Location::Folder("/srv/x/checkpoints".into()));
    // Without a host name the name is made up: two on one machine must not be one.
    let nameless = |_: &str| None;
    let text = "[source.eventhubs]\nnamespace = \"c.servicebus.windows.net\"\nhub = \"h\"";
    let replica = || match Config::parse(Path::new("x"), text, &nameless).map(|config| config.source) {
        Ok(Source::EventHubs(hub)) => hub.replica,
        other => panic!("{other:?}"),
    };
    let (one, other) = (replica(), replica());
    assert!(one.starts_with("aksentry-") && one != other, "{one} {other}");
}

#[test]
fn a_connection_string_says_where() {
    let text =
        "[source.eventhubs]\nauth = { kind = \"connection-string\", env = \"EVENTHUBS_CONNECTION_STRING\" }";
    let Source::EventHubs(hub) = good(text).source else { panic!("files") };
    assert_eq!((hub.namespace.as_str(), hub.hub.as_str()), ("contoso.servicebus.windows.net", "aks-audit"));
}

#[test]
fn starts_and_endpoints() {
    let with = |rest: &str| hub(&format!("namespace = \"c.servicebus.windows.net\"\n{rest}"));
    let time = Start::Time(1_769_846_400_000_000);
    for start in ["\"2026-01-31T08:00:00Z\"", "2026-01-31T08:00:00Z", "\"2026-01-31T10:00:00+02:00\""] {
        assert_eq!(with(&format!("start = {start}")).start, time, "{start}");
    }
    assert_eq!(with("start = 2026-01-31").start, Start::Time(1_769_817_600_000_000));
    for endpoint in ["amqp://localhost:5672", "amqp://[::1]:5672", "amqps://private.contoso.com"] {
        assert_eq!(with(&format!("endpoint = \"{endpoint}\"")).endpoint.as_deref(), Some(endpoint));
    }
    let web =
        with("transport = \"websocket\"\nendpoint = \"wss://private.contoso.com/$servicebus/websocket\"");
    assert_eq!(web.transport, Transport::WebSocket);
    // A development hub has whatever name it likes.
    assert_eq!(hub("namespace = \"emulator\"\nendpoint = \"amqp://127.0.0.1:5672\"").namespace, "emulator");
}

#[test]
fn every_way_to_sign_in() {
    let with = |auth: &str, variables: &[(&str, &str)]| {
        let text = format!(
            "[source.eventhubs]\nnamespace = \"c.servicebus.windows.net\"\nhub = \"h\"\nauth = {auth}"
        );
        let find = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        match Config::parse(Path::new("x"), &text, &find).map(|config| config.source) {
            Ok(Source::EventHubs(hub)) => hub.auth,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(with("{ kind = \"auto\" }", &[]), Auth::Auto);
    assert_eq!(with("{ kind = \"workload\" }", &[]), Auth::Workload);
    assert_eq!(with("{ kind = \"cli\" }", &[]), Auth::Cli);
    assert_eq!(with("{ kind = \"managed\" }", &[]), Auth::Managed { client_id: None });
    let managed = with("{ kind = \"managed\", client_id = \"id\" }", &[]);
    assert_eq!(managed, Auth::Managed { client_id: Some("id".into()) });
    let expected =
        Auth::ClientSecret { tenant_id: "t".into(), client_id: "c".into(), secret: Secret::new("s") };
    let inline = "{ kind = \"client-secret\", tenant_id = \"t\", client_id = \"c\", env = \"MINE\" }";
    assert_eq!(with(inline, &[("MINE", "s")]), expected);
    let usual = [("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c"), ("AZURE_CLIENT_SECRET", "s")];
    assert_eq!(with("{ kind = \"client-secret\" }", &usual), expected);
}

#[test]
fn mail_with_and_without_sign_in() {
    let mail = |rest: &str| {
        let text =
            format!("{SMALLEST}[[sink]]\ntype = \"email\"\nfrom = \"a@b.c\"\nto = [\"d@e.f\"]\n{rest}");
        match good(&text).sinks.remove(0).kind {
            sink::Config::Email { server, auth, digest, .. } => (server, auth, digest),
            other => panic!("{other:?}"),
        }
    };
    let (server, auth, digest) = mail("server = \"smtps://mail.contoso.com\"\ndigest = \"0s\"");
    assert_eq!(server, MailServer { host: "mail.contoso.com".into(), port: 465, implicit_tls: true });
    assert_eq!((auth, digest), (MailAuth::None, Duration::ZERO));
    let (server, auth, _) = mail(
        "server = \"smtp://[::1]:2525\"\nauth = { kind = \"xoauth2\", user = \"u\", auth = { kind = \"workload\" }, scope = \"s\" }",
    );
    assert_eq!(server, MailServer { host: "::1".into(), port: 2525, implicit_tls: false });
    assert_eq!(auth, MailAuth::XOAuth2 { user: "u".into(), auth: Auth::Workload, scope: Some("s".into()) });
}

#[test]
fn rules_are_changed_by_id() {
    let (mut catalog, _) = Catalog::load(&Sources::default());
    let ids: Vec<String> = catalog.detections.iter().map(|rule| rule.id.clone()).collect();
    let stable: Vec<&String> = catalog
        .detections
        .iter()
        .filter(|rule| rule.status == Status::Stable)
        .map(|rule| &rule.id)
        .take(3)
        .collect();
    let [off, shadow, low] = stable[..] else { panic!("three stable rules") };
    let rules = format!(
        "disable = [\"{off}\"]\nshadow = [\"{shadow}\"]\nseverity = {{ {low} = \"low\", {shadow} = \"critical\" }}"
    );
    let text = format!("{SMALLEST}[detect.rules]\n{rules}");
    let config = good(&text);
    assert_eq!(config.check_rules(&catalog), []);
    let (off, shadow, low) = (off.clone(), shadow.clone(), low.clone());
    config.detect.apply(&mut catalog);
    assert_eq!(catalog.detections.len(), ids.len() - 1);
    let rule = |id: &str| catalog.detections.iter().find(|rule| rule.id == id);
    assert!(rule(&off).is_none());
    assert_eq!(rule(&shadow).map(|r| (r.status, r.severity)), Some((Status::Shadow, Severity::Critical)));
    assert_eq!(rule(&low).map(|r| (r.status, r.severity)), Some((Status::Stable, Severity::Low)));
}

#[test]
fn the_page_explains_every_key() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(folder.join("docs/configuration.md")).unwrap();
    let mut tables: Vec<&str> = keys::KEYS.iter().map(|key| key.table).collect();
    tables.dedup();
    for table in tables {
        let mut rows = String::from("| key | type | default | meaning |\n|---|---|---|---|\n");
        for key in keys::of(table) {
            rows.push_str(&format!(
                "| `{}` | {} | {} | {} |\n",
                key.name, key.kind, key.default, key.meaning
            ));
        }
        assert!(page.contains(&rows), "docs/configuration.md lacks this table of \"{table}\":\n{rows}");
    }
}

#[test]
fn the_example_is_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(folder.join("deploy/aksentry.toml")).unwrap();
    let config = good(&text);
    assert_eq!(config.sinks.len(), 1);
    // What is commented out works, too, once it is not.
    let mut whole = String::new();
    for line in text.lines() {
        let key = line.strip_prefix("# ").filter(|line| line.starts_with('[') || line.contains(" = "));
        whole.push_str(key.unwrap_or(line));
        whole.push('\n');
    }
    assert_eq!(good(&whole).sinks.len(), 4, "{whole}");
}
