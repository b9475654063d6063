//! TLS: an authority of one's own is trusted through `SSL_CERT_FILE`, and no other.

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
use rustls::pki_types::PrivateKeyDer;

use super::{alert, clock};

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
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let authority = folder.path().join("authority.pem");
    fs::write(&authority, made.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
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
