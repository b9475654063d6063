//! A stand-in for Entra ID: TLS with a certificate of its own, and one answer to every request for a token.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use tempfile::TempDir;

/// What the service says of a secret that was good once.
pub const EXPIRED: &str = r#"{"error":"invalid_client","error_description":"AADSTS7000222: The provided client secret keys for app 'client' are expired. Visit the Azure portal to create new keys for your app.\r\nTrace ID: 1\r\nCorrelation ID: 2\r\nTimestamp: now","error_codes":[7000222]}"#;

/// A running stand-in; its thread ends with the process.
pub struct Entra {
    /// For `AZURE_AUTHORITY_HOST`.
    pub url: String,
    folder: TempDir,
}

impl Entra {
    /// Starts one that answers 401 and `body`, in which `$secret` is the secret that was sent.
    pub fn start(body: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (config, pem) = super::tls::identity();
        fs::write(folder.path().join("authority.pem"), pem).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                // A client that hangs up early, as one that does not trust us does, costs its connection only.
                let _ = answer(rustls::StreamOwned::new(connection, socket), body);
            }
        });
        Self { url, folder }
    }

    /// The certificate that signed its own: for `SSL_CERT_FILE`.
    pub fn authority(&self) -> std::path::PathBuf {
        Path::new(self.folder.path()).join("authority.pem")
    }
}

fn answer(stream: impl Read + Write, body: &str) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut form = vec![0; length];
    stream.read_exact(&mut form)?;
    let form = String::from_utf8_lossy(&form).into_owned();
    let secret = form.split('&').find_map(|pair| pair.strip_prefix("client_secret=")).unwrap_or_default();
    let body = body.replace("$secret", secret);
    let stream = stream.get_mut();
    write!(
        stream,
        "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    stream.flush()
}
