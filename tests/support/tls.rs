//! TLS on loopback with certificates made for it, and a server that only says who trusts it.

use std::io::Write;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::pki_types::PrivateKeyDer;

/// A certificate for `localhost` that signs itself: what a server needs, and the PEM text that trusts it.
pub fn identity() -> (Arc<rustls::ServerConfig>, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (Arc::new(config), made.cert.pem())
}

/// Completes handshakes and refuses whatever comes then; its thread ends with the process.
pub struct Handshakes {
    pub port: u16,
    seen: Arc<Mutex<Vec<bool>>>,
}

impl Handshakes {
    pub fn start(config: &Arc<rustls::ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Self { port, seen: Arc::default() };
        let (config, seen) = (Arc::clone(config), Arc::clone(&server.seen));
        thread::spawn(move || {
            for mut socket in listener.incoming().map_while(Result::ok) {
                socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                let mut connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut trusted = true;
                while trusted && connection.is_handshaking() {
                    trusted = connection.complete_io(&mut socket).is_ok();
                }
                seen.lock().unwrap().push(trusted);
                let mut stream = rustls::StreamOwned::new(connection, socket);
                // For HTTP an answer, for everything else noise.
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        });
        server
    }

    /// Whether clients trusted it, one for each handshake so far; forgets them.
    pub fn take(&self) -> Vec<bool> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}
