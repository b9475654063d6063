//! Azurite's blob service: one for all tests of a binary, in memory. A test makes its own container.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::servers::Server;

/// A running Azurite and how to sign in to it.
pub struct Azurite {
    /// With the account in its path, as `AZURE_STORAGE_ENDPOINT` wants it.
    pub endpoint: String,
    pub account: &'static str,
    pub key: &'static str,
    host: String,
    _server: Server,
}

/// Azurite's own, the same for everybody.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

impl Azurite {
    /// The one that all tests of this binary share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Azurite> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// One of its own, for a test that stops it.
    pub fn start() -> Self {
        let (server, listening) = Server::start("azurite.mjs", None);
        let url = listening["url"].as_str().unwrap();
        let host = url.strip_prefix("http://").unwrap().to_owned();
        Self { endpoint: format!("{url}/{ACCOUNT}"), account: ACCOUNT, key: KEY, host, _server: server }
    }

    /// Makes a container; it must not exist.
    pub fn create_container(&self, name: &str) {
        let date = date();
        let resource = format!("/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container");
        let text = format!("PUT{}x-ms-date:{date}\nx-ms-version:2021-08-06\n{resource}", "\n".repeat(12));
        let mut mac = Hmac::<Sha256>::new_from_slice(&BASE64_STANDARD.decode(KEY).unwrap()).unwrap();
        mac.update(text.as_bytes());
        let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
        let mut stream = TcpStream::connect(&self.host).unwrap();
        write!(
            stream,
            "PUT /{ACCOUNT}/{name}?restype=container HTTP/1.1\r\nHost: {}\r\nx-ms-date: {date}\r\n\
             x-ms-version: 2021-08-06\r\nAuthorization: SharedKey {ACCOUNT}:{signature}\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n",
            self.host
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201"), "container {name}: {answer}");
    }
}

#[expect(clippy::disallowed_methods, reason = "a request is signed with the time it is made at")]
fn date() -> String {
    chrono::Utc::now().format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[test]
fn a_container_is_made_once() {
    let azurite = Azurite::start();
    azurite.create_container("here");
    assert!(azurite.endpoint.ends_with("/devstoreaccount1"), "{}", azurite.endpoint);
    assert_eq!((azurite.account, azurite.key.len()), (ACCOUNT, 88));
    let again = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| azurite.create_container("here")));
    assert!(again.is_err(), "it exists already");
    Azurite::shared().create_container("here");
}
