//! Secrets are shown by nothing, whatever goes wrong: each that the service has is a text of its own here,
//! everything goes wrong, and all that the service wrote is looked through for them.

use std::path::Path;
use std::process::Command;

use aksentry::hub::{Hub, Options};
use aksentry::identity::Secret;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use super::traffic::traffic;
use super::{RULE_ID, STREAM, Scene, Service, program, wait_for};
use crate::support::azurite::Azurite;
use crate::support::entra::Entra;
use crate::support::http::{Answer, Server};
use crate::support::smtp::Smtp;

const HUB_KEY: &str = "PLANTEDhubkey5f2c";
const CLIENT_SECRET: &str = "PLANTED~client.secret-77aa";
const TOKEN: &str = "PLANTED-token-e1f0";
const PASSWORD: &str = "PLANTED-smtp-password-9b";
const HOOK_PATH: &str = "PLANTED-hook-path-3c3c";
const HOOK_QUERY: &str = "PLANTED-hook-query-d4d4";
const HMAC: &str = "PLANTED-hmac-key-0a0a";

/// Entra ID sends the secret back.
const ECHO: &str = r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret '$secret' provided.\r\nTrace ID: 1","error_codes":[7000215]}"#;

/// Every crate below that writes to the log, as loud as it can be.
const LOUD: &str = "trace,azure_core=trace,azure_core_amqp=trace,azure_identity=trace,azure_messaging_eventhubs=trace,fe2o3_amqp=trace,h2=trace,hyper=trace,hyper_util=trace,lettre=trace,object_store=trace,reqwest=trace,rustls=trace,typespec_client_core=trace";

/// The texts that must be nowhere, in the forms they are sent in.
fn secrets(storage_key: &str) -> Vec<(&'static str, String)> {
    let mut secrets = Vec::new();
    let plain = [
        ("the hub's key", HUB_KEY),
        ("the client secret", CLIENT_SECRET),
        ("Sentinel's token", TOKEN),
        ("the password", PASSWORD),
        ("the webhook's path", HOOK_PATH),
        ("the webhook's query", HOOK_QUERY),
        ("the webhook's key", HMAC),
        ("the storage key", storage_key),
    ];
    for (name, secret) in plain {
        secrets.push((name, secret.to_owned()));
        secrets.push((name, BASE64_STANDARD.encode(secret)));
        secrets.push((name, secret.bytes().map(|byte| format!("{byte:02x}")).collect()));
    }
    secrets.push(("the sign-in of the mail", BASE64_STANDARD.encode(format!("\0soc\0{PASSWORD}"))));
    secrets
}

/// Every place where one of the secrets stands.
fn found(text: &[u8], what: &str, secrets: &[(&'static str, String)]) -> Vec<String> {
    let stands = |secret: &str| memchr::memmem::find(text, secret.as_bytes());
    secrets
        .iter()
        .filter_map(|(name, secret)| {
            let at = stands(secret)?;
            let around = &text[at.saturating_sub(300)..(at + secret.len() + 60).min(text.len())];
            Some(format!("{name} is in {what}: {}", String::from_utf8_lossy(around)))
        })
        .collect()
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let pattern = format!("{}/**/*", folder.display());
    glob::glob(&pattern).unwrap().map(Result::unwrap).filter(|path| path.is_file()).collect()
}

struct Rig {
    scene: Scene,
    environment: Vec<(&'static str, String)>,
    more: String,
    hook: Server,
    _smtp: Smtp,
    storage_key: &'static str,
    _entra: Entra,
}

impl Rig {
    async fn new(container: &str) -> Self {
        let mut scene = Scene::new().await;
        let key = Some(("listen".to_owned(), Secret::new(HUB_KEY)));
        scene.hub = Hub::start(Options { key, ..Options::default() }).await.unwrap();
        let entra = Entra::start(ECHO);
        let smtp = Smtp::start(json!({"tls": "none", "auth": ["LOGIN", "PLAIN"], "users": {"soc": "other"}}));
        // A server that repeats whatever it was asked.
        let hook = Server::start(|request| {
            let headers: Vec<String> = request.headers.iter().map(|(n, v)| format!("{n}: {v:?}")).collect();
            Answer::status(404, &format!("Cannot POST {} {}", request.target, headers.join(" ")))
        })
        .await;
        scene.sentinel.outage(Some(Answer::status(401, &format!("no such token: Bearer {TOKEN}"))));
        let azurite = Azurite::shared();
        azurite.create_container(container);
        let sentinel = scene.sentinel.url("");
        let sentinel = sentinel.trim_end_matches('/');
        let more = format!(
            r#"
[[sink]]
type = "sentinel"
name = "by-secret"
endpoint = "{sentinel}"
rule_id = "{RULE_ID}"
stream = "{STREAM}"
auth = {{ kind = "client-secret", tenant_id = "tenant", client_id = "client" }}
[[sink]]
type = "email"
server = "smtp://127.0.0.1:{}"
auth = {{ kind = "login", user = "soc", password_env = "TEST_SMTP" }}
from = "aksentry@contoso.com"
to = ["soc@contoso.com"]
[[sink]]
type = "webhook"
url_env = "TEST_HOOK"
hmac_env = "TEST_HMAC"
[archive]
url = "az://{container}/v1"
roll = "1s"
"#,
            smtp.port
        );
        let environment = vec![
            (
                "TEST_HUB",
                format!("Endpoint=sb://localhost/;SharedAccessKeyName=listen;SharedAccessKey={HUB_KEY}"),
            ),
            ("TEST_SENTINEL", TOKEN.to_owned()),
            ("TEST_SMTP", PASSWORD.to_owned()),
            ("TEST_HOOK", hook.url(&format!("/services/{HOOK_PATH}?sig={HOOK_QUERY}"))),
            ("TEST_HMAC", HMAC.to_owned()),
            ("AZURE_CLIENT_SECRET", CLIENT_SECRET.to_owned()),
            ("AZURE_AUTHORITY_HOST", entra.url.clone()),
            ("SSL_CERT_FILE", entra.authority().display().to_string()),
            ("AZURE_STORAGE_ACCOUNT_NAME", azurite.account.to_owned()),
            ("AZURE_STORAGE_ACCOUNT_KEY", azurite.key.to_owned()),
            ("AZURE_STORAGE_ENDPOINT", azurite.endpoint.clone()),
        ];
        Self { scene, environment, more, hook, _smtp: smtp, storage_key: azurite.key, _entra: entra }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = program();
        command.args(args).envs(self.environment.clone()).env_remove("SSL_CERT_DIR");
        command
    }

    /// What a command wrote, to both streams.
    fn output(&self, args: &[&str]) -> Vec<u8> {
        let output = self.command(args).output().unwrap();
        [output.stdout, output.stderr].concat()
    }
}

/// Runs with a log as loud as `level` says, lets everything fail, and looks through all that was written.
async fn nothing_is_shown(level: &str, container: &str) {
    let rig = Rig::new(container).await;
    let scene = &rig.scene;
    let text = scene.configuration("a", &rig.more);
    let text =
        text.replace("listen = \"127.0.0.1:0\"", &format!("listen = \"127.0.0.1:0\"\nlog = \"{level}\""));
    let path = scene.folder.path().join("aksentry.toml");
    std::fs::write(&path, &text).unwrap();
    let service = Service::start_with(&path, |command| {
        command.envs(rig.environment.clone()).env_remove("SSL_CERT_DIR");
    });
    scene.publish(&traffic(1_000, 10).messages);
    let telemetry = service.telemetry();
    let all_failed = || {
        let status = super::get(&format!("http://{telemetry}/status"));
        let status: serde_json::Value = serde_json::from_str(status.split_once("\r\n\r\n")?.1).ok()?;
        let sinks = status["sinks"].as_array()?;
        (sinks.len() == 4 && sinks.iter().all(|sink| sink["error"].is_string())).then_some(())
    };
    wait_for("a failure of every sink", all_failed, || {
        super::get(&format!("http://{telemetry}/status")) + &service.log()
    });
    scene.hub.detach_links();
    scene.hub.drop_connections();
    let reached = service.log().len();
    wait_for("something about the hub", || (service.log().len() > reached).then_some(()), || service.log());
    assert!(!rig.hook.requests().is_empty());

    let config = path.to_str().unwrap();
    let mut written: Vec<(String, Vec<u8>)> = ["metrics", "status", "readyz", "healthz", ""]
        .iter()
        .map(|page| (format!("/{page}"), super::get(&format!("http://{telemetry}/{page}")).into_bytes()))
        .collect();
    for args in [
        &["check", "--online", "--config", config][..],
        &["top", "--once", "--format", "table", &telemetry],
        &["top", "--format", "json", &telemetry],
        &["outbox", "list", "--format", "json", "--config", config],
        &["dead-letters", "list", "--format", "json", "--config", config],
        &["dead-letters", "export", "--config", config],
    ] {
        written.push((args.join(" "), rig.output(args)));
    }
    let (code, _, log) = service.stop();
    assert_eq!(code, 0, "{log}");
    written.push(("the log".into(), log.into_bytes()));
    for file in files(&scene.folder.path().join("state-a")) {
        written.push((file.display().to_string(), std::fs::read(&file).unwrap()));
    }
    // Nothing that was to be looked through is missing.
    let dead = written.iter().find(|(what, _)| what.starts_with("dead-letters export")).unwrap();
    assert!(dead.1.len() > 100, "{}", String::from_utf8_lossy(&dead.1));
    assert!(written.iter().any(|(what, _)| what.ends_with("outbox.redb")));
    let loud = level.contains("azure_core_amqp");
    // What they warn of is shown at any level.
    let chatter = |line: &str| {
        line.contains("\"target\":\"azure_core_amqp")
            && !["WARN", "ERROR"].iter().any(|level| line.contains(&format!("\"level\":\"{level}\"")))
    };
    let log = written.iter().find(|(what, _)| what == "the log").map(|(_, text)| text.as_slice());
    let azure = String::from_utf8_lossy(log.unwrap_or_default()).lines().any(chatter);
    assert_eq!(azure, loud, "libraries speak when they are told to, and only then");
    let secrets = secrets(rig.storage_key);
    assert_eq!(found(format!("a={HUB_KEY};").as_bytes(), "a text", &secrets).len(), 1);
    let shown: Vec<String> = written.iter().flat_map(|(what, text)| found(text, what, &secrets)).collect();
    assert!(shown.is_empty(), "{}", shown.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_level_trace_nothing_is_shown() {
    nothing_is_shown("trace", "secrets-trace").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_every_library_as_loud_as_it_can_be_nothing_is_shown() {
    nothing_is_shown(LOUD, "secrets-loud").await;
}

/// What is refused at the start is told without the secret.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_at_the_start_shows_nothing() {
    let rig = Rig::new("secrets-start").await;
    let path = rig.scene.folder.path().join("aksentry.toml");
    let right = rig.scene.configuration("a", &rig.more);
    let config = path.to_str().unwrap();
    let secrets = secrets(rig.storage_key);
    let wrong = [
        // Secrets where names of variables belong, and in keys that nobody knows.
        right.replace("url_env = \"TEST_HOOK\"", &format!("url = \"https://x/{HOOK_PATH}\"")),
        right.replace("hmac_env = \"TEST_HMAC\"", &format!("hmac_key = \"{HMAC}\"")),
        right.replace("password_env = \"TEST_SMTP\"", &format!("password = \"{PASSWORD}\"")),
        right
            .replace("hub = \"aks-audit\"", "hub = \"other\"")
            .replace("endpoint = \"amqp://", "endpoint = \"amqps://"),
    ];
    for text in wrong {
        std::fs::write(&path, &text).unwrap();
        for args in [&["run", "--config", config][..], &["check", "--config", config]] {
            let mut command = rig.command(args);
            command.env("TEST_HUB", format!("SharedAccessKeyName=listen;SharedAccessKey={HUB_KEY}"));
            command.env("TEST_HOOK", format!("http://hooks.contoso.com/{HOOK_PATH}"));
            command.env("AZURE_STORAGE_ENDPOINT", "http://storage.contoso.com");
            let output = command.output().unwrap();
            let said = [output.stdout, output.stderr].concat();
            assert_ne!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&said));
            let shown = found(&said, &args.join(" "), &secrets);
            assert!(shown.is_empty(), "{}", shown.join("\n"));
        }
    }
}
