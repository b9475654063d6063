//! The service's HTTP address: `/metrics`, `/healthz`, `/readyz`, `/status`. Says only what is fit to be
//! seen by whoever reaches the port: numbers, names of rules, sinks and partitions, reasons.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::status::{About, Status};
use super::{Health, Metrics};

/// Requests still under way at the end get this long.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why the address cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {listen}: {error}; {}", advice(error))]
pub struct ListenError {
    listen: SocketAddr,
    #[source]
    error: io::Error,
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program has this port, perhaps an aksentry that still runs; stop it, or set listen of [telemetry] to another port"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address; set listen of [telemetry] to one it has, such as 127.0.0.1:9464"
        }
        io::ErrorKind::PermissionDenied => "set listen of [telemetry] to a port above 1023",
        _ => "set listen of [telemetry] to an address that can be used",
    }
}

/// A running server; dropping it ends it at once.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    end: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    /// Where it listens: the port that was found where port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends requests that are under way, and itself.
    pub async fn close(mut self) {
        self.end.cancel();
        // A client that reads slowly cannot keep the service from ending.
        let _ = tokio::time::timeout(FAREWELL, &mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Service {
    about: About,
    started: Instant,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

/// Begins to serve.
pub async fn serve(
    listen: SocketAddr,
    about: About,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
) -> Result<Server, ListenError> {
    let error = |error| ListenError { listen, error };
    let listener = TcpListener::bind(listen).await.map_err(error)?;
    let address = listener.local_addr().map_err(error)?;
    let service = Arc::new(Service { about, started: Instant::now(), metrics, health });
    let router = Router::new()
        .route("/", get(index))
        .route("/metrics", get(metrics_text))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/status", get(status))
        .fallback(async || (StatusCode::NOT_FOUND, "nothing here; see /\n"))
        .with_state(service);
    let end = CancellationToken::new();
    let ended = end.clone().cancelled_owned();
    let task = tokio::spawn(async move {
        // Failures to accept are tried again inside; there is no other end than ours.
        let _ = axum::serve(listener, router).with_graceful_shutdown(ended).await;
    });
    Ok(Server { address, end, task })
}

async fn index(State(service): State<Arc<Service>>) -> Response {
    let text = format!(
        "aksentry {}\n\n/metrics  for Prometheus\n/healthz  200 while everything moves\n/readyz   200, or 503 and why\n/status   the state as JSON; `aksentry top` shows it\n",
        service.about.version
    );
    text.into_response()
}

/// The text is OpenMetrics, which the older format's readers understand; browsers show only the latter.
async fn metrics_text(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = if accept.contains("application/openmetrics-text") {
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    } else {
        "text/plain; version=0.0.4; charset=utf-8"
    };
    ([(CONTENT_TYPE, kind)], service.metrics.render()).into_response()
}

fn verdict(lines: &[String]) -> Response {
    let caching = [(CACHE_CONTROL, "no-store")];
    if lines.is_empty() {
        return (caching, "ok\n").into_response();
    }
    let text: String = lines.iter().map(|line| format!("{}\n", line.replace('\n', " "))).collect();
    (StatusCode::SERVICE_UNAVAILABLE, caching, text).into_response()
}

async fn healthz(State(service): State<Arc<Service>>) -> Response {
    verdict(&service.health.stopped())
}

async fn readyz(State(service): State<Arc<Service>>) -> Response {
    verdict(&service.health.troubles())
}

async fn status(State(service): State<Arc<Service>>) -> Response {
    let status = Status::of(&service.about, service.started.elapsed(), &service.metrics, &service.health);
    match serde_json::to_string(&status) {
        Ok(text) => ([(CONTENT_TYPE, "application/json")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn server() -> (Server, Arc<Metrics>, Arc<Health>) {
        let (metrics, health) = (Arc::new(Metrics::new()), Arc::new(Health::default()));
        let about = About { version: "1.2.3".into(), replica: "aksentry-0".into() };
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        (serve(any, about, metrics.clone(), health.clone()).await.unwrap(), metrics, health)
    }

    async fn get(server: &Server, path: &str, accept: &str) -> (u16, String, String) {
        let url = format!("http://{}{path}", server.address());
        let answer = reqwest::Client::new().get(url).header("Accept", accept).send().await.unwrap();
        let kind = answer.headers().get("content-type").map(|v| v.to_str().unwrap().to_owned());
        (answer.status().as_u16(), kind.unwrap_or_default(), answer.text().await.unwrap())
    }

    #[tokio::test]
    async fn every_page_says_what_it_should() {
        let (server, metrics, health) = server().await;
        metrics.bytes.inc_by(42);
        let (code, kind, text) = get(&server, "/metrics", "*/*").await;
        assert_eq!((code, kind.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
        assert!(text.contains("aksentry_bytes_total 42\n") && text.ends_with("# EOF\n"), "{text}");
        let open = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
        assert!(get(&server, "/metrics", open).await.1.starts_with("application/openmetrics-text"));

        assert_eq!(get(&server, "/healthz", "*/*").await.0, 200);
        assert_eq!(get(&server, "/readyz", "*/*").await.2, "ok\n");
        health.set("archive", Some("cannot be written:\nno space"));
        health.set("partition 3", Some("stalled"));
        let (code, _, text) = get(&server, "/readyz", "*/*").await;
        assert_eq!(
            (code, text.as_str()),
            (503, "archive: cannot be written: no space\npartition 3: stalled\n")
        );
        assert_eq!(get(&server, "/healthz", "*/*").await.0, 200);

        let (code, kind, text) = get(&server, "/status", "*/*").await;
        assert_eq!((code, kind.as_str()), (200, "application/json"));
        let status: Status = serde_json::from_str(&text).unwrap();
        assert_eq!((status.version.as_str(), status.bytes, status.ready), ("1.2.3", 42, false));
        assert!(get(&server, "/", "*/*").await.2.contains("/readyz"));
        assert_eq!(get(&server, "/secrets", "*/*").await.0, 404);
        server.close().await;
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_said_clearly() {
        let (first, metrics, health) = server().await;
        let about = About { version: String::new(), replica: String::new() };
        let error = serve(first.address(), about, metrics, health).await.unwrap_err().to_string();
        let start = format!("cannot listen on {}: Address already in use", first.address());
        assert!(error.starts_with(&start) && error.contains("set listen of [telemetry]"), "{error}");
    }

    #[tokio::test]
    async fn closing_waits_for_nobody_long_and_frees_the_port() {
        let (server, ..) = server().await;
        let address = server.address();
        // A client that never finishes its request.
        let idle = tokio::net::TcpStream::connect(address).await.unwrap();
        server.close().await;
        drop(idle);
        TcpListener::bind(address).await.unwrap();
    }
}
