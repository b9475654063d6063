//! A sink over real HTTP and the server on the other side, which can be told to misbehave.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::alert::Alert;
use crate::sink::{Outcome, Portion, Sink};

/// How the server answers a request for alerts of these ids.
pub type Answer = Box<dyn FnMut(&[String]) -> Reply + Send>;

#[derive(Debug, Clone, Copy)]
pub enum Reply {
    Status(u16),
    /// 429 with `Retry-After` of so many seconds.
    Slow(u64),
    /// Says nothing any more.
    Hang,
}

struct Shared {
    answer: Mutex<Answer>,
    seen: mpsc::Sender<(Vec<String>, bool)>,
}

/// The server; each request it gets is told of with the ids, and whether it was accepted.
pub struct Server {
    pub address: std::net::SocketAddr,
    seen: mpsc::Receiver<(Vec<String>, bool)>,
    _task: JoinSet<()>,
}

impl Server {
    pub async fn start(answer: impl FnMut(&[String]) -> Reply + Send + 'static) -> Self {
        Self::start_at("127.0.0.1:0", answer).await
    }

    pub async fn start_at(address: &str, answer: impl FnMut(&[String]) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, seen) = mpsc::channel(10_000);
        let shared = Arc::new(Shared { answer: Mutex::new(Box::new(answer)), seen: sender });
        let app = Router::new().fallback(take).with_state(shared);
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, seen, _task: task }
    }

    /// The ids of the next request, and whether it was accepted.
    pub async fn next(&mut self) -> (Vec<String>, bool) {
        let next = tokio::time::timeout(Duration::from_secs(30), self.seen.recv());
        next.await.expect("no request within 30 seconds").unwrap()
    }

    /// The ids accepted, once there are so many of them.
    pub async fn accepted(&mut self, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        while ids.len() < count {
            let (of_request, accepted) = self.next().await;
            ids.extend(of_request.into_iter().filter(|_| accepted));
        }
        ids
    }

    /// Requests that nobody has asked for yet.
    pub fn rest(&mut self) -> Vec<(Vec<String>, bool)> {
        std::iter::from_fn(|| self.seen.try_recv().ok()).collect()
    }
}

async fn take(State(shared): State<Arc<Shared>>, body: String) -> (StatusCode, HeaderMap) {
    let alerts: Vec<Alert> = serde_json::from_str(&body).unwrap();
    let ids: Vec<String> = alerts.into_iter().map(|alert| alert.id).collect();
    let reply = (shared.answer.lock().unwrap())(&ids);
    let status = match reply {
        Reply::Status(code) => StatusCode::from_u16(code).unwrap(),
        Reply::Slow(_) => StatusCode::TOO_MANY_REQUESTS,
        Reply::Hang => StatusCode::GATEWAY_TIMEOUT,
    };
    shared.seen.send((ids, status.is_success())).await.unwrap();
    let mut headers = HeaderMap::new();
    match reply {
        Reply::Slow(seconds) => drop(headers.insert("retry-after", HeaderValue::from(seconds))),
        Reply::Hang => std::future::pending().await,
        Reply::Status(_) => {}
    }
    (status, headers)
}

/// Posts alerts as a JSON array: 2xx is delivered, 400 refused, all else to be tried again.
pub struct Post {
    pub name: &'static str,
    pub address: std::net::SocketAddr,
    pub portion: Portion,
    pub client: reqwest::Client,
}

impl Post {
    pub fn new(name: &'static str, server: &Server, max_alerts: usize) -> Self {
        let portion = Portion { max_alerts, linger: Duration::ZERO };
        Self { name, address: server.address, portion, client: reqwest::Client::new() }
    }
}

#[async_trait]
impl Sink for Post {
    fn name(&self) -> &str {
        self.name
    }

    fn portion(&self) -> Portion {
        self.portion
    }

    async fn send(&self, alerts: &[Alert]) -> Vec<Outcome> {
        assert!(alerts.len() <= self.portion.max_alerts);
        let body = serde_json::to_string(alerts).unwrap();
        let answer = self.client.post(format!("http://{}/", self.address)).body(body).send().await;
        let outcome = match answer {
            Ok(answer) if answer.status().is_success() => Outcome::Delivered,
            Ok(answer) if answer.status() == 400 => Outcome::Refused { reason: "400: bad alert".into() },
            Ok(answer) => {
                let after = answer.headers().get("retry-after").and_then(|v| v.to_str().ok()?.parse().ok());
                let reason = answer.status().to_string();
                Outcome::Retry { reason, after: after.map(Duration::from_secs) }
            }
            Err(error) => Outcome::Retry { reason: error.without_url().to_string(), after: None },
        };
        vec![outcome; alerts.len()]
    }

    async fn probe(&self) -> Result<String, String> {
        Ok("it is there".into())
    }
}

/// Panics whenever it is to send.
pub struct Panics;

#[async_trait]
impl Sink for Panics {
    fn name(&self) -> &str {
        "panics"
    }

    fn portion(&self) -> Portion {
        Portion { max_alerts: 10, linger: Duration::ZERO }
    }

    async fn send(&self, _: &[Alert]) -> Vec<Outcome> {
        panic!("this sink does so")
    }

    async fn probe(&self) -> Result<String, String> {
        Err("it panics".into())
    }
}
