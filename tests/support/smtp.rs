//! A mail server that does what a test says, with a certificate of an authority made for it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::servers::Server;

/// A running mail server on loopback.
pub struct Smtp {
    pub port: u16,
    /// The certificate of the authority that signed the server's: for `SSL_CERT_FILE`.
    authority: PathBuf,
    server: Mutex<Server>,
    _folder: TempDir,
}

impl Smtp {
    /// Starts one. `behaviour` is what `tests/servers/smtp.mjs` describes, without key and certificate:
    /// those are made here, for `localhost` and 127.0.0.1.
    pub fn start(behaviour: Value) -> Self {
        Self::named(&["localhost", "127.0.0.1"], behaviour)
    }

    /// The same with a certificate for other names.
    pub fn named(names: &[&str], mut behaviour: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = folder.path().join("authority.pem");
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Of its own name: authorities are looked for by it.
        params.distinguished_name.push(DnType::CommonName, folder.path().display().to_string());
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(&authority, issuer.pem()).unwrap();
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        behaviour["key"] = json!(key.serialize_pem());
        behaviour["cert"] = json!(certificate.pem());

        let (server, listening) = Server::start("smtp.mjs", Some(&behaviour));
        let port = listening["port"].as_u64().unwrap() as u16;
        Self { port, authority, server: Mutex::new(server), _folder: folder }
    }

    pub fn authority(&self) -> &Path {
        &self.authority
    }

    /// Makes a process trust it whose `SSL_CERT_FILE` is `bundle`: the file is read at each connection.
    pub fn trusted_in(self, bundle: &Path) -> Self {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(bundle).unwrap();
        // One write: other tests may read it meanwhile.
        file.write_all(&fs::read(&self.authority).unwrap()).unwrap();
        self
    }

    /// Changes fields of the behaviour; in force when this returns.
    pub fn tell(&self, behaviour: &Value) {
        let mut server = self.server.lock().unwrap();
        let told = server.seen("told").len();
        server.tell(behaviour);
        server.wait("told", told + 1);
    }

    /// The `n`-th mail accepted (from 1).
    pub fn mail(&self, n: usize) -> Value {
        self.server.lock().unwrap().wait("mail", n)
    }

    /// The `n`-th event of a name (from 1).
    pub fn wait(&self, name: &str, n: usize) -> Value {
        self.server.lock().unwrap().wait(name, n)
    }

    /// The events of a name so far.
    pub fn seen(&self, name: &str) -> Vec<Value> {
        self.server.lock().unwrap().seen(name)
    }
}
