//! The source against a hub over real AMQP: what is needed to open one and to see what it gives.

mod faults;
mod idle;
mod opening;
mod replicas;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aksentry::checkpoint::Checkpoints;
use aksentry::event::Partition;
use aksentry::event::Span;
use aksentry::hub::Hub;
use aksentry::hub::Options;
use aksentry::identity::Auth;
use aksentry::source::Incoming;
use aksentry::source::Received;
use aksentry::source::Source;
use aksentry::source::eventhubs::Config;
use aksentry::source::eventhubs::EventHubs;
use aksentry::source::eventhubs::Start;
use aksentry::source::eventhubs::Timing;
use aksentry::source::eventhubs::Transport;
use aksentry::store::Environment;
use aksentry::store::Location;
use aksentry::store::Store;
use aksentry::telemetry::Metrics;
use bytes::Bytes;
use tempfile::TempDir;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout;

/// Longer than anything here takes, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(60);
const LEASE: Duration = Duration::from_secs(2);

/// A hub and a place for checkpoints.
struct Rig {
    hub: Hub,
    folder: TempDir,
}

impl Rig {
    async fn new() -> Self {
        Self::with(Options::default()).await
    }

    async fn with(options: Options) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Self { hub: Hub::start(options).await.unwrap(), folder: tempfile::tempdir().unwrap() }
    }

    fn config(&self, replica: &str) -> Config {
        config(&self.hub, replica)
    }

    fn checkpoints(&self) -> Checkpoints {
        let location = Location::Folder(self.folder.path().join("checkpoints"));
        let store = Store::open(&location, &Environment::default()).unwrap();
        Checkpoints::new(store, "localhost", "audit", "$Default")
    }

    async fn open(&self, replica: &str) -> Reading {
        self.open_as(self.config(replica)).await
    }

    async fn open_as(&self, config: Config) -> Reading {
        let metrics = Arc::new(Metrics::new());
        let open = EventHubs::open(config, self.checkpoints(), Arc::clone(&metrics), clock());
        Reading::new(timeout(PATIENCE, open).await.unwrap().unwrap(), metrics)
    }

    /// Adds `count` messages to each partition; each names its partition and how many were before it.
    fn publish(&self, counts: &mut BTreeMap<u16, usize>, count: usize) {
        for _ in 0..count {
            for partition in 0..self.hub.partitions() {
                let before = counts.entry(partition).or_default();
                self.hub.publish(Some(partition), body(partition, *before));
                *before += 1;
            }
        }
    }
}

pub fn config(hub: &Hub, replica: &str) -> Config {
    Config {
        namespace: "localhost".to_owned(),
        hub: "audit".to_owned(),
        consumer_group: "$Default".to_owned(),
        start: Start::Earliest,
        endpoint: Some(hub.endpoint()),
        transport: Transport::Tcp,
        auth: Auth::ConnectionString(hub.connection_string()),
        replica: replica.to_owned(),
        prefetch_bytes: 8 << 20,
        lease: LEASE,
        timing: Timing {
            patience: Duration::from_secs(5),
            check: Duration::from_millis(200),
            stall: Duration::from_millis(800),
            first_retry: Duration::from_millis(20),
            last_retry: Duration::from_millis(500),
        },
    }
}

/// Counts microseconds of its own: nothing here depends on the time of day.
fn clock() -> aksentry::event::Clock {
    let now = AtomicI64::new(0);
    Arc::new(move || now.fetch_add(1, Ordering::Relaxed))
}

fn body(partition: u16, number: usize) -> Bytes {
    format!("{partition}-{number}").into()
}

/// A source, and everything it gave.
struct Reading {
    source: Box<EventHubs>,
    metrics: Arc<Metrics>,
    bodies: BTreeMap<Partition, Vec<String>>,
    spans: BTreeMap<Partition, Span>,
    lost: Vec<Partition>,
}

impl Reading {
    fn new(source: EventHubs, metrics: Arc<Metrics>) -> Self {
        let (bodies, spans) = (BTreeMap::new(), BTreeMap::new());
        Self { source: Box::new(source), metrics, bodies, spans, lost: Vec::new() }
    }

    /// Takes one thing more.
    async fn step(&mut self) {
        let incoming = timeout(PATIENCE, self.source.next()).await.expect("nothing came").unwrap();
        match incoming.expect("the source ended") {
            Incoming::Messages(Received { raw, span, .. }) => {
                let bodies = raw.bodies.iter().map(|body| String::from_utf8(body.to_vec()).unwrap());
                assert_eq!(span.last.sequence - span.first + 1, raw.bodies.len() as i64);
                self.bodies.entry(Arc::clone(&span.partition)).or_default().extend(bodies);
                self.spans.insert(Arc::clone(&span.partition), span);
            }
            Incoming::Lost(partition) => self.lost.push(partition),
            Incoming::Partitions(_) | Incoming::Owned(_) => {}
        }
    }

    fn count(&self) -> usize {
        self.bodies.values().map(Vec::len).sum()
    }

    /// Reads until there are as many messages.
    async fn until(&mut self, count: usize) {
        while self.count() < count {
            self.step().await;
        }
    }

    /// Reads on, whatever comes, until something is so.
    async fn while_reading(&mut self, mut done: impl FnMut(&Self) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(start.elapsed() < PATIENCE, "it never became so: {}", self.metrics.render());
            // Metrics and leases tell nobody when they change.
            let _ = timeout(Duration::from_millis(20), self.step()).await;
        }
    }

    /// Notes everything given so far as done.
    async fn commit(&self) -> Vec<bool> {
        let mut done = Vec::new();
        for span in self.spans.values() {
            done.push(self.source.commits().commit(span).await.unwrap());
        }
        done
    }

    fn metric(&self, line: &str) -> Option<f64> {
        let text = self.metrics.render();
        text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok())
    }

    fn owned(&self) -> f64 {
        self.metric("aksentry_partitions_owned ").unwrap_or_default()
    }

    /// Whether every partition gave exactly these many messages, each once and in order.
    fn assert_complete(&self, counts: &BTreeMap<u16, usize>) {
        for (partition, count) in counts {
            let expected: Vec<String> = (0..*count).map(|number| format!("{partition}-{number}")).collect();
            let got = self.bodies.get(partition.to_string().as_str());
            assert_eq!(got, Some(&expected), "partition {partition}");
        }
    }
}

/// Waits until something is so that tells nobody.
async fn until(mut done: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !done().await {
        assert!(start.elapsed() < PATIENCE, "it never became so");
        sleep(Duration::from_millis(20)).await;
    }
}
