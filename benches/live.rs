//! Alert delay from hub to sink, memory and CPU of a running service, at fixed rates.
//!
//! Starts the program itself (`aksentry run`) against the development hub and an HTTP endpoint that
//! answers as the Logs Ingestion API does; both are in this process. Messages of 50 events are published
//! at the rate; one event in two hundred raises an alert. The delay is from publishing a message to the
//! arrival of its alert. Not a criterion bench: what is measured is a rate held for a while, not a
//! function called often. `cargo bench --bench live`; `-- --seconds N` for longer runs.

use std::collections::HashMap;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aksentry::hub::{Hub, Options};
use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use serde_json::{Value, json};

const RECORDS: usize = 50;
const ALERT_EVERY: usize = 200;
const RATES: [usize; 2] = [1_000, 10_000];
const CLUSTER: &str = "/SUBSCRIPTIONS/3F1D5C60-0000-4000-8000-00000000B001/RESOURCEGROUPS/RG-BENCH/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/AKS-BENCH";

type Arrivals = Arc<Mutex<HashMap<String, Instant>>>;

fn main() {
    // `cargo test --all-targets` runs benches too; then there is nothing to measure.
    let arguments: Vec<String> = std::env::args().collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let seconds = arguments.iter().position(|a| a == "--seconds").and_then(|at| arguments.get(at + 1));
    let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(30);
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    println!(
        "{:>9}  {:>8}  {:>8}  {:>8}  {:>8}  {:>9}  {:>10}",
        "events/s", "alerts", "p50 ms", "p99 ms", "max ms", "RSS MB", "CPU s/M ev"
    );
    for rate in RATES {
        runtime.block_on(measure(rate, seconds));
    }
}

/// An event of about 2.6 KB, as kube-audit has them with a body.
fn event(n: usize, alerting: bool) -> Value {
    #[expect(clippy::disallowed_methods, reason = "the delay is measured against the wall clock")]
    let now = chrono::Utc::now();
    let now = now.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let (user, verb, object, uri) = if alerting {
        let object = json!({"resource": "pods", "subresource": "exec", "namespace": "shop", "name": "web-0", "apiVersion": "v1"});
        (
            format!("planted-{n}@contoso.com"),
            "create",
            object,
            "/api/v1/namespaces/shop/pods/web-0/exec?command=ls".to_owned(),
        )
    } else {
        let object = json!({"resource": "configmaps", "namespace": "team", "name": format!("cm-{}", n % 97), "apiVersion": "v1"});
        (
            "system:serviceaccount:team:worker".to_owned(),
            "update",
            object,
            format!("/api/v1/namespaces/team/configmaps/cm-{}", n % 97),
        )
    };
    let body = json!({"kind": "ConfigMap", "data": {"settings": "x".repeat(1_500)}});
    let event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse",
        "auditID": format!("{n:08x}-0000-4000-8000-0000000000be"), "stage": "ResponseComplete",
        "requestURI": uri, "verb": verb,
        "user": {"username": user, "groups": ["system:authenticated"]},
        "sourceIPs": ["20.50.2.10"], "userAgent": "kubectl/v1.31.0",
        "objectRef": object, "responseStatus": {"metadata": {}, "code": 200}, "requestObject": body,
        "requestReceivedTimestamp": now, "stageTimestamp": now,
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
    });
    json!({
        "time": now, "category": "kube-audit", "resourceId": CLUSTER,
        "operationName": "Microsoft.ContainerService/managedClusters/diagnosticLogs/Read",
        "properties": {"log": format!("{event}\n"), "stream": "stdout", "pod": "kube-apiserver-6d4b"},
    })
}

async fn measure(rate: usize, seconds: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(Options { partitions: 4, ..Options::default() }).await.expect("a hub");
    let arrivals = Arrivals::default();
    let sentinel = sink(arrivals.clone()).await;
    let service = start(folder.path(), &hub.endpoint(), &sentinel);
    // The first message waits for partitions to be claimed and links to be opened; it is not counted.
    hub.publish(None, message(usize::MAX / 2, usize::MAX).0);
    let warm = Instant::now();
    while arrivals.lock().expect("no panic").is_empty() && warm.elapsed() < Duration::from_secs(60) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let cpu_before = cpu_seconds(&service);

    let total = rate * seconds;
    let mut published: HashMap<String, Instant> = HashMap::new();
    let begun = Instant::now();
    for first in (0..total).step_by(RECORDS) {
        let due = begun + Duration::from_secs_f64(first as f64 / rate as f64);
        tokio::time::sleep_until(due.into()).await;
        let (body, alerting) = message(first, ALERT_EVERY);
        let now = Instant::now();
        published.extend(alerting.into_iter().map(|user| (user, now)));
        hub.publish(None, body);
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    while Instant::now() < deadline
        && !published.keys().all(|user| arrivals.lock().expect("no panic").contains_key(user))
    {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let arrived = arrivals.lock().expect("no panic").clone();
    let mut delays: Vec<Duration> =
        published.iter().filter_map(|(user, at)| Some(arrived.get(user)?.duration_since(*at))).collect();
    delays.sort_unstable();
    let at = |share: f64| {
        let index = ((delays.len() as f64 * share) as usize).min(delays.len().saturating_sub(1));
        delays.get(index).map_or(f64::NAN, |delay| delay.as_secs_f64() * 1e3)
    };
    let cpu = (cpu_seconds(&service) - cpu_before) / (total as f64 / 1e6);
    println!(
        "{rate:>9}  {:>8}  {:>8.0}  {:>8.0}  {:>8.0}  {:>9.0}  {cpu:>10.1}",
        format!("{}/{}", delays.len(), published.len()),
        at(0.5),
        at(0.99),
        at(1.0),
        peak_rss(&service),
    );
    end(service);
}

/// A message of records; the identities whose events raise an alert.
fn message(first: usize, every: usize) -> (Bytes, Vec<String>) {
    let mut alerting = Vec::new();
    let records: Vec<Value> = (first..first + RECORDS)
        .map(|n| {
            let planted = n % every == 0 || (every == usize::MAX && n == first);
            if planted {
                alerting.push(format!("planted-{n}@contoso.com"));
            }
            event(n, planted)
        })
        .collect();
    (json!({"records": records}).to_string().into(), alerting)
}

/// An endpoint that takes rows and notes when each identity came first.
async fn sink(arrivals: Arrivals) -> String {
    let take = move |body: Bytes| {
        let arrivals = arrivals.clone();
        async move {
            let now = Instant::now();
            let mut text = Vec::new();
            if flate2::read::MultiGzDecoder::new(body.as_ref()).read_to_end(&mut text).is_err() {
                return StatusCode::BAD_REQUEST;
            }
            let rows: Vec<Value> = serde_json::from_slice(&text).unwrap_or_default();
            let mut arrivals = arrivals.lock().expect("no panic");
            for row in &rows {
                if let Some(user) = row["Key"]["username"].as_str() {
                    arrivals.entry(user.to_owned()).or_insert(now);
                }
            }
            StatusCode::NO_CONTENT
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = Router::new().fallback(take);
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

fn start(folder: &std::path::Path, hub: &str, sentinel: &str) -> Child {
    let shown = folder.display();
    let configuration = format!(
        r#"
[source.eventhubs]
namespace = "localhost"
hub = "aks-audit"
endpoint = "{hub}"
replica = "bench"
auth = {{ kind = "connection-string", env = "BENCH_HUB" }}
[archive]
url = "file://{shown}/archive"
roll = "10s"
[state]
dir = "{shown}/state"
[telemetry]
listen = "127.0.0.1:0"
log = "warn"
[[sink]]
type = "sentinel"
endpoint = "{sentinel}"
rule_id = "dcr-0123456789abcdef0123456789abcdef"
stream = "Custom-AksentryAlerts"
auth = {{ kind = "token", env = "BENCH_SENTINEL" }}
"#
    );
    let path = folder.join("bench.toml");
    std::fs::write(&path, configuration).expect("a configuration");
    Command::new(env!("CARGO_BIN_EXE_aksentry"))
        .args(["run", "--config"])
        .arg(&path)
        .env("BENCH_HUB", "Endpoint=sb://localhost/;SharedAccessKeyName=bench;SharedAccessKey=YmVuY2g=")
        .env("BENCH_SENTINEL", "token")
        .stdout(Stdio::null())
        .spawn()
        .expect("the program")
}

fn end(mut service: Child) {
    let _ = Command::new("kill").args(["-TERM", &service.id().to_string()]).status();
    let _ = service.wait();
}

/// Peak resident memory in MB.
fn peak_rss(service: &Child) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
    line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

/// User and system time, at the kernel's usual hundred ticks a second.
fn cpu_seconds(service: &Child) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", service.id())).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}
