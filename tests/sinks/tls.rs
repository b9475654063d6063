//! TLS: an authority of one's own is trusted through `SSL_CERT_FILE` beside the system's, by every client
//! that the program has, and no other is.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use aksentry::identity::Secret;
use aksentry::sink::http::Timeouts;
use aksentry::sink::webhook::Webhook;
use aksentry::sink::{Outcome, Sink, WebhookShape};

use super::{alert, clock};
use crate::support::tls::{Handshakes, identity};

/// Answers one connection after another: the length of the body, or that there was no handshake.
fn serve(listener: &TcpListener, config: &Arc<rustls::ServerConfig>) -> Result<usize, std::io::Error> {
    let (socket, _) = listener.accept()?;
    let connection = rustls::ServerConnection::new(Arc::clone(config)).unwrap();
    let mut stream = BufReader::new(rustls::StreamOwned::new(connection, socket));
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    stream.get_mut().write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")?;
    stream.get_mut().flush()?;
    Ok(length)
}

/// What a process with this environment says of a webhook at `url`.
fn deliver(folder: &Path, url: &str, authority: Option<&Path>) -> String {
    fs::write(folder.join("url"), url).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "sinks::tls::post_to_the_url_of_a_file", "--ignored"]).current_dir(folder);
    child.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
    if let Some(file) = authority {
        child.env("SSL_CERT_FILE", file);
    }
    let done = child.output().unwrap();
    assert!(done.status.success(), "{done:?}");
    fs::read_to_string(folder.join("outcome")).unwrap()
}

#[test]
fn an_authority_of_ones_own_is_trusted_when_it_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (config, pem) = identity();
    let authority = folder.path().join("authority.pem");
    fs::write(&authority, pem).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}/SECRETSECRET", listener.local_addr().unwrap().port());
    let server = std::thread::spawn(move || [serve(&listener, &config), serve(&listener, &config)]);

    let outcome = deliver(folder.path(), &url, Some(&authority));
    assert_eq!(outcome, "Delivered");
    let outcome = deliver(folder.path(), &url, None);
    assert!(outcome.contains("no trusted TLS connection to localhost"), "{outcome}");
    assert!(!outcome.contains("SECRETSECRET"), "{outcome}");

    let [trusted, unknown] = server.join().unwrap();
    assert!(trusted.unwrap() > 100);
    unknown.unwrap_err();
}

#[tokio::test]
#[ignore = "run by an_authority_of_ones_own_is_trusted_when_it_is_named, in a process with its environment"]
async fn post_to_the_url_of_a_file() {
    let url = Secret::new(fs::read_to_string("url").unwrap());
    let hook = Webhook::new("w", &url, WebhookShape::Generic, None, Timeouts::default(), clock()).unwrap();
    let outcome = hook.send(&[alert("a1")]).await.remove(0);
    let text = if outcome == Outcome::Delivered { "Delivered".to_owned() } else { format!("{outcome:?}") };
    fs::write("outcome", text).unwrap();
}

/// Every client of the program, each with a server of its own.
const CLIENTS: [&str; 5] = ["amqp", "storage", "sign-in", "mail", "webhook"];

/// What servers of one certificate see of a `check --online` with this environment: whether each of
/// [`CLIENTS`] trusts them.
fn trusted(folder: &Path, config: &Arc<rustls::ServerConfig>, environment: &[(&str, &Path)]) -> [bool; 5] {
    let servers = CLIENTS.map(|_| Handshakes::start(config));
    let [amqp, storage, sign_in, mail, webhook] = servers.each_ref().map(|server| server.port);
    let text = format!(
        r#"
[source.eventhubs]
namespace = "localhost"
hub = "h"
endpoint = "amqps://localhost:{amqp}"
auth = {{ kind = "connection-string", env = "TEST_HUB" }}
[checkpoint]
url = "az://ccc/p"
[state]
dir = "{}/state"
[[sink]]
type = "sentinel"
endpoint = "https://localhost:1"
rule_id = "dcr-0123456789abcdef0123456789abcdef"
stream = "Custom-AksentryAlerts"
auth = {{ kind = "client-secret", tenant_id = "t", client_id = "c" }}
[[sink]]
type = "email"
server = "smtps://localhost:{mail}"
from = "a@contoso.com"
to = ["b@contoso.com"]
[[sink]]
type = "webhook"
url_env = "TEST_HOOK"
"#,
        folder.display()
    );
    let path = folder.join("aksentry.toml");
    fs::write(&path, text).unwrap();
    let mut check = Command::new(env!("CARGO_BIN_EXE_aksentry"));
    check
        .args(["check", "--online", "--config"])
        .arg(&path)
        .current_dir(crate::cli::ROOT)
        .env("TEST_HUB", "Endpoint=sb://localhost/;SharedAccessKeyName=k;SharedAccessKey=a2V5")
        .env("TEST_HOOK", format!("https://localhost:{webhook}/"))
        .env("AZURE_CLIENT_SECRET", "secret")
        .env("AZURE_AUTHORITY_HOST", format!("https://localhost:{sign_in}"))
        .env("AZURE_STORAGE_ACCOUNT_NAME", "account")
        .env("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
        .env("AZURE_STORAGE_ENDPOINT", format!("https://localhost:{storage}/account"))
        .env_remove("SSL_CERT_FILE")
        .env_remove("SSL_CERT_DIR")
        .envs(environment.iter().copied());
    let output = check.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut clients = CLIENTS.into_iter();
    servers.map(|server| {
        let (client, seen) = (clients.next().unwrap(), server.take());
        assert!(!seen.is_empty(), "{client} did not connect:\n{said}");
        assert!(seen.iter().all(|trusted| *trusted == seen[0]), "{client}: {seen:?}\n{said}");
        seen[0]
    })
}

#[test]
fn every_client_trusts_the_authority_of_the_file_and_those_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let ((file, own), (other, system)) = (identity(), identity());
    let (own_file, system_folder) = (folder.path().join("own.pem"), folder.path().join("system"));
    fs::create_dir(&system_folder).unwrap();
    fs::write(&own_file, own).unwrap();
    fs::write(system_folder.join("bundle.crt"), system).unwrap();
    let environment = [("SSL_CERT_FILE", own_file.as_path()), ("SSL_CERT_DIR", system_folder.as_path())];
    assert_eq!(trusted(folder.path(), &file, &environment), [true; 5], "{CLIENTS:?}");
    assert_eq!(trusted(folder.path(), &other, &environment), [true; 5], "{CLIENTS:?}");
    // The file alone: it is trusted, and what neither it nor the system has is not.
    assert_eq!(trusted(folder.path(), &file, &environment[..1]), [true; 5], "{CLIENTS:?}");
    assert_eq!(trusted(folder.path(), &other, &environment[..1]), [false; 5], "{CLIENTS:?}");
}

/// With `SSL_CERT_FILE` alone the program adds the system's folder, and is the same process as before.
#[cfg(target_os = "linux")]
#[test]
fn the_file_comes_beside_the_systems_store() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own.pem");
    fs::write(&own, identity().1).unwrap();
    let told = |folders: Option<&str>| {
        let mut hub = Command::new(env!("CARGO_BIN_EXE_aksentry"));
        hub.args(["hub", "--port", "0"]).env("SSL_CERT_FILE", &own).env_remove("SSL_CERT_DIR");
        hub.envs(folders.map(|folders| ("SSL_CERT_DIR", folders)));
        let mut hub =
            hub.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
        // It runs when it says something.
        let mut said = [0];
        hub.stderr.take().unwrap().read_exact(&mut said).unwrap();
        let environment = fs::read(format!("/proc/{}/environ", hub.id())).unwrap();
        hub.kill().unwrap();
        hub.wait().unwrap();
        let variables = environment.split(|byte| *byte == 0).map(|v| String::from_utf8_lossy(v).into_owned());
        let found: Vec<String> = variables.filter(|v| v.starts_with("SSL_CERT_")).collect();
        let value = |name: &str| found.iter().find_map(|v| v.strip_prefix(name)).map(str::to_owned);
        (value("SSL_CERT_FILE=").unwrap(), value("SSL_CERT_DIR="))
    };
    let (file, folders) = told(None);
    assert_eq!(file, own.display().to_string());
    let folders = folders.expect("the system's folder is named");
    assert!(folders.split(':').all(|folder| Path::new(folder).is_dir()), "{folders}");
    assert!(folders.contains("/etc/ssl/certs") || folders.contains("/etc/pki/tls/certs"), "{folders}");
    // Who names a folder has said what is to be trusted.
    assert_eq!(told(Some("/nowhere")).1.as_deref(), Some("/nowhere"));
}
