//! What a newcomer is told of each mistake, by the program itself: in the end or, where the service has to
//! stay up, in its log.

use std::path::Path;
use std::process::Command;

use aksentry::hub::{Hub, Options};
use aksentry::identity::Secret;
use serde_json::json;

use super::{Scene, Service, program, wait_for};
use crate::support::azurite::Azurite;
use crate::support::entra::{EXPIRED, Entra};
use crate::support::sentinel::fault;
use crate::support::smtp::Smtp;

/// A mistake, and what must be said of it.
struct Mistake<'a> {
    name: &'static str,
    /// What is changed in a configuration that is right.
    change: (&'a str, &'a str),
    /// Variables, and `None` for one that is taken away.
    environment: Vec<(&'static str, Option<String>)>,
    says: &'static [&'static str],
}

fn with(command: &mut Command, environment: &[(&'static str, Option<String>)]) {
    for (name, value) in environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
}

/// What a replica and `check --online` say: exit codes and standard error with standard output.
fn told(scene: &Scene, configuration: &str, mistake: &Mistake<'_>) -> [(i32, String); 2] {
    let path = scene.folder.path().join("aksentry.toml");
    std::fs::write(&path, configuration).unwrap();
    let mut run = Service::start_with(&path, |command| with(command, &mistake.environment));
    let code = run.ended();
    [(code, run.log()), check(&path, mistake)]
}

/// Exit code and words of `check --online`.
fn check(path: &Path, mistake: &Mistake<'_>) -> (i32, String) {
    let mut check = program();
    check
        .args(["check", "--online", "--config"])
        .arg(path)
        .env("TEST_HUB", "Endpoint=sb://localhost/;SharedAccessKeyName=test;SharedAccessKey=dGVzdA==")
        .env("TEST_SENTINEL", super::TOKEN);
    with(&mut check, &mistake.environment);
    let output = check.output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_work_ends_with_what_to_do() {
    let mut scene = Scene::new().await;
    let key = Some(("test".to_owned(), Secret::new("dGVzdA==")));
    let hub = Some("aks-audit".to_owned());
    scene.hub = Hub::start(Options { hub, key, ..Options::default() }).await.unwrap();
    let entra = Entra::start(EXPIRED);
    let endpoint = scene.hub.endpoint();
    let endpoint = format!("endpoint = \"{endpoint}\"");
    let connection = "auth = { kind = \"connection-string\", env = \"TEST_HUB\" }";
    let wrong_key = "Endpoint=sb://localhost/;SharedAccessKeyName=test;SharedAccessKey=d3Jvbmc=";
    let secret = "auth = { kind = \"client-secret\", tenant_id = \"tenant\", client_id = \"client\" }";
    let mistakes = [
        Mistake {
            name: "a typo",
            change: ("consumer_group", "consumer_gruop"),
            environment: Vec::new(),
            says: &["unknown key \"consumer_gruop\" in [source.eventhubs]; did you mean \"consumer_group\"?"],
        },
        Mistake {
            name: "a wrong hub",
            change: ("hub = \"aks-audit\"", "hub = \"aks-adit\""),
            environment: Vec::new(),
            says: &[
                "localhost has no event hub \"aks-adit\"",
                "correct hub and consumer_group, or create them",
            ],
        },
        Mistake {
            name: "a wrong host",
            change: (&endpoint, "endpoint = \"amqps://no-such-host.invalid\""),
            environment: Vec::new(),
            says: &["there is no host \"amqps://no-such-host.invalid\": correct namespace"],
        },
        Mistake {
            name: "a missing role",
            change: ("", ""),
            environment: vec![("TEST_HUB", Some(wrong_key.to_owned()))],
            says: &["refuses us", "assign the role \"Azure Event Hubs Data Receiver\""],
        },
        Mistake {
            name: "an expired secret",
            change: (connection, secret),
            environment: vec![
                ("AZURE_CLIENT_SECRET", Some("once-good".to_owned())),
                ("AZURE_AUTHORITY_HOST", Some(entra.url.clone())),
                ("SSL_CERT_FILE", Some(entra.authority().display().to_string())),
                ("SSL_CERT_DIR", None),
            ],
            says: &[
                "the client secret has expired: create a new one and give that to aksentry (AADSTS7000222",
            ],
        },
        Mistake {
            name: "plaintext to another machine",
            change: (&endpoint, "endpoint = \"amqp://hub.contoso.com:5672\""),
            environment: Vec::new(),
            says: &["is plaintext and hub.contoso.com is not this machine", "use amqps://"],
        },
        Mistake {
            name: "a missing variable",
            change: ("", ""),
            environment: vec![("TEST_SENTINEL", None)],
            says: &["environment variable TEST_SENTINEL is not set"],
        },
        Mistake {
            name: "a namespace without its domain",
            change: (&endpoint, ""),
            environment: vec![("TEST_HUB", Some(wrong_key.replace("localhost", "contoso")))],
            says: &["the connection string is for \"contoso\"; correct one"],
        },
        Mistake {
            name: "a port that is taken",
            change: ("listen = \"127.0.0.1:0\"", &format!("listen = \"{}\"", scene.hub.address())),
            environment: Vec::new(),
            says: &["cannot listen on 127.0.0.1:", "set listen of [telemetry] to another port"],
        },
    ];
    let right = scene.configuration("a", "").replace("hub = ", "consumer_group = \"$Default\"\nhub = ");
    for mistake in mistakes {
        let wrong = right.replacen(mistake.change.0, mistake.change.1, 1);
        let [run, check] = told(&scene, &wrong, &mistake);
        assert_eq!(run.0, 2, "{}: {}", mistake.name, run.1);
        for words in mistake.says {
            assert!(run.1.contains(words), "{}: no \"{words}\" in\n{}", mistake.name, run.1);
        }
        // Whether a port is free is seen only by who takes it.
        if mistake.name != "a port that is taken" {
            assert_eq!(check.0, 1, "{}: {}", mistake.name, check.1);
            for words in mistake.says {
                assert!(
                    check.1.contains(words),
                    "{}: check has no \"{words}\" in\n{}",
                    mistake.name,
                    check.1
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_storage_key_and_a_missing_container_are_told() {
    let azurite = Azurite::shared();
    azurite.create_container("told-here");
    let scene = Scene::new().await;
    let local = format!("url = \"file://{}/checkpoints\"", scene.folder.path().display());
    let account = |key: &str| {
        vec![
            ("AZURE_STORAGE_ACCOUNT_NAME", Some(azurite.account.to_owned())),
            ("AZURE_STORAGE_ACCOUNT_KEY", Some(key.to_owned())),
            ("AZURE_STORAGE_ENDPOINT", Some(azurite.endpoint.clone())),
        ]
    };
    let mistakes = [
        Mistake {
            name: "a wrong key",
            change: (&local, "url = \"az://told-here/a\""),
            environment: account("d3Jvbmcta2V5"),
            says: &["does not accept the sign-in", "check AZURE_STORAGE_ACCOUNT_KEY"],
        },
        Mistake {
            name: "no container",
            change: (&local, "url = \"az://nowhere/a\""),
            environment: account(azurite.key),
            says: &["the container \"nowhere\"", "az storage container create --name nowhere"],
        },
    ];
    for mistake in mistakes {
        let wrong = scene.configuration("a", "").replacen(mistake.change.0, mistake.change.1, 1);
        let path = scene.folder.path().join("aksentry.toml");
        std::fs::write(&path, wrong).unwrap();
        let service = Service::start_with(&path, |command| with(command, &mistake.environment));
        let ready = || {
            let page = super::get(&format!("http://{}/readyz", service.telemetry()));
            mistake.says.iter().all(|words| page.contains(words)).then_some(page)
        };
        let ready = wait_for(mistake.name, ready, || service.log());
        assert!(ready.starts_with("HTTP/1.0 503") || ready.starts_with("HTTP/1.1 503"), "{ready}");
        // The page may say it a moment before the log does.
        let logged = || {
            let log = service.log().replace("\\\"", "\"");
            mistake.says.iter().all(|words| log.contains(words)).then_some(())
        };
        wait_for(mistake.name, logged, || service.log());
        let (code, _, log) = service.stop();
        assert_eq!(code, 0, "{log}");
        let (code, text) = check(&path, &mistake);
        assert_eq!(code, 1, "{}: {text}", mistake.name);
        assert!(mistake.says.iter().all(|words| text.contains(words)), "{}: {text}", mistake.name);
    }
    // What can be seen to be no key ends it.
    let mistake = Mistake {
        name: "no key at all",
        change: (&local, "url = \"az://told-here/a\""),
        environment: account("not base64!"),
        says: &["AZURE_STORAGE_ACCOUNT_KEY is not an account key (base64)"],
    };
    let wrong = scene.configuration("a", "").replacen(mistake.change.0, mistake.change.1, 1);
    for (code, text) in told(&scene, &wrong, &mistake) {
        assert!(code > 0 && text.contains(mistake.says[0]), "{code}: {text}");
    }
}

/// Alerts wait for a sink, so the service stays up: what is wrong stands in its log, in `/status`, and in
/// what `check --online` says.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_sink_is_in_the_log_and_the_status() {
    let scene = Scene::new().await;
    scene.sentinel.outage(Some(fault(403, "OperationFailed", "no permission")));
    let entra = Entra::start(EXPIRED);
    let smtp = Smtp::start(json!({"tls": "none", "auth": ["LOGIN"], "users": {"soc": "right"}}));
    let sentinel = scene.sentinel.url("");
    let more = format!(
        r#"
[[sink]]
type = "sentinel"
name = "expired"
endpoint = "{}"
rule_id = "{}"
stream = "{}"
auth = {{ kind = "client-secret", tenant_id = "tenant", client_id = "client" }}
[[sink]]
type = "email"
server = "smtp://127.0.0.1:{}"
auth = {{ kind = "login", user = "soc", password_env = "TEST_SMTP" }}
from = "aksentry@contoso.com"
to = ["soc@contoso.com"]
"#,
        sentinel.trim_end_matches('/'),
        super::RULE_ID,
        super::STREAM,
        smtp.port
    );
    let path = scene.folder.path().join("aksentry.toml");
    std::fs::write(&path, scene.configuration("a", &more)).unwrap();
    let environment = [
        ("AZURE_CLIENT_SECRET", Some("once-good".to_owned())),
        ("AZURE_AUTHORITY_HOST", Some(entra.url.clone())),
        ("SSL_CERT_FILE", Some(entra.authority().display().to_string())),
        ("SSL_CERT_DIR", None),
        ("TEST_SMTP", Some("wrong".to_owned())),
    ];
    let service = Service::start_with(&path, |command| with(command, &environment));
    scene.publish(&super::traffic::traffic(1_000, 10).messages);
    let expected = [
        ("sentinel", "Monitoring Metrics Publisher"),
        ("expired", "the client secret has expired: create a new one"),
        ("email", "check user and password"),
    ];
    let status = || {
        let text = super::get(&format!("http://{}/status", service.telemetry()));
        let status: serde_json::Value = serde_json::from_str(text.split_once("\r\n\r\n")?.1).ok()?;
        let error = |sink: &str| {
            let sinks = status["sinks"].as_array()?;
            Some(sinks.iter().find(|found| found["sink"] == sink)?["error"].as_str()?.to_owned())
        };
        let all = expected.iter().all(|(sink, words)| error(sink).is_some_and(|text| text.contains(words)));
        all.then_some(status.clone())
    };
    let status = wait_for("every sink's error in /status", status, || {
        super::get(&format!("http://{}/status", service.telemetry())) + &service.log()
    });
    assert_eq!(status["ready"], true, "a sink that is away is waited for: {status}");
    let since = status["sinks"][0]["error"].as_str().unwrap();
    assert!(since.starts_with("since 20") && since.contains("Z: "), "{since}");
    for (_, words) in expected {
        assert!(service.log().contains(words), "no \"{words}\" in\n{}", service.log());
    }
    let mut top = program();
    let top = top.args(["top", "--once", "--format", "table"]).arg(service.telemetry()).output().unwrap();
    let top = String::from_utf8_lossy(&top.stdout).into_owned();
    assert!(top.contains("Monitoring Metrics Publisher") && top.contains("has expired"), "{top}");

    let mut check = program();
    check.args(["check", "--online", "--config"]).arg(&path);
    check.env("TEST_HUB", "Endpoint=sb://localhost/;SharedAccessKeyName=test;SharedAccessKey=dGVzdA==");
    check.env("TEST_SENTINEL", super::TOKEN);
    with(&mut check, &environment);
    let output = check.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    for (sink, words) in expected {
        let line = text.lines().find(|line| line.starts_with(&format!("error   sink {sink}: ")));
        assert!(line.is_some_and(|line| line.contains(words)), "{sink}, {words}:\n{text}");
    }
    scene.sentinel.outage(None);
    let better = || {
        let text = super::get(&format!("http://{}/status", service.telemetry()));
        let status: serde_json::Value = serde_json::from_str(text.split_once("\r\n\r\n")?.1).ok()?;
        let sinks = status["sinks"].as_array()?.clone();
        let sentinel = sinks.iter().find(|sink| sink["sink"] == "sentinel")?;
        sentinel["error"].is_null().then_some(())
    };
    // A missing role is asked for again in minutes; the operator need not wait.
    let retry = || {
        let mut retry = program();
        retry.args(["outbox", "retry", "--all", "--sink", "sentinel", "--config"]).arg(&path);
        assert!(retry.output().unwrap().status.success());
        better()
    };
    wait_for("the end of Sentinel's error", retry, || service.log());
}
