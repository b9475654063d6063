//! A clock that jumps back an hour while the service runs. The clock is a parameter of the library, so the
//! service runs in this process.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use aksentry::alert::Severity;
use aksentry::checkpoint::Checkpoints;
use aksentry::detect::{Emission, EngineConfig};
use aksentry::event::Clock;
use aksentry::hub::{Hub, Options};
use aksentry::outbox::dead_letters::{DEFAULT_CAP, DeadLetters};
use aksentry::outbox::{self, Outbox, SinkRoute};
use aksentry::pipeline::live::{Live, LiveError, Parts, RuleSet, Settings};
use aksentry::rules::Sources;
use aksentry::sink::delivery::{Delivery, Telling};
use aksentry::sink::file::AlertFile;
use aksentry::source::Source;
use aksentry::source::eventhubs::EventHubs;
use aksentry::store::{Environment, Location, Store};
use aksentry::telemetry::{Health, Metrics};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::traffic::{BEGIN, traffic};
use super::{Scene, dead_letters, ids_in, wait_for};

const HOUR: i64 = 3_600_000_000;

/// The service in this process.
struct Running {
    task: JoinHandle<Result<(), LiveError>>,
    stop: CancellationToken,
    delivery: Delivery,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    _reloads: mpsc::Sender<()>,
}

impl Running {
    async fn start(hub: &Hub, folder: &Path, file: &Path, clock: Clock) -> Self {
        let (metrics, health) = (Arc::new(Metrics::new()), Arc::new(Health::default()));
        let lateness = chrono::TimeDelta::minutes(10);
        let config = EngineConfig { emission: Emission::First, lateness, ..EngineConfig::default() };
        let sources = Sources { detections: Some(super::place().join("detections")), lists: None };
        let load = move || RuleSet::load(sources, Box::new(|_| Vec::new()), config).unwrap();
        let rules = Arc::new(tokio::task::spawn_blocking(load).await.unwrap());
        let dead = DeadLetters::open(&folder.join("dead-letters"), DEFAULT_CAP, metrics.clone()).unwrap();
        let routes = [SinkRoute { name: "file".into(), min_severity: Severity::Informational }];
        let kept = outbox::Config::default();
        let outbox = Outbox::open(folder, kept, &routes, dead.clone(), metrics.clone()).unwrap();
        let delivery = Delivery::start(
            outbox.clone(),
            vec![Arc::new(AlertFile::new("file", file))],
            Telling { metrics: metrics.clone(), health: health.clone() },
            clock.clone(),
        );
        let location = Location::Folder(folder.join("checkpoints"));
        let store = Store::open(&location, &Environment::default()).unwrap();
        let checkpoints = Checkpoints::new(store, "localhost", "audit", "$Default");
        let hub = crate::eventhubs::config(hub, "a");
        let (leases, counts, time) = (checkpoints.clone(), metrics.clone(), clock.clone());
        let settings = Settings {
            replica: "a".into(),
            commit_every: Duration::from_millis(500),
            lateness,
            lease: Duration::from_secs(2),
            archive_pending: 0,
        };
        let parts = Parts {
            settings,
            clock,
            metrics: metrics.clone(),
            health: health.clone(),
            outbox,
            dead_letters: dead,
            rules,
            source: Box::new(move || {
                let (hub, leases, counts, time) = (hub.clone(), leases.clone(), counts.clone(), time.clone());
                Box::pin(async move {
                    let source = EventHubs::open(hub, leases, counts, time).await?;
                    Ok(Box::new(source) as Box<dyn Source>)
                })
            }),
            archive: None,
            checkpoints: Some(checkpoints),
            finite: false,
        };
        let (reload, reloads) = mpsc::channel(1);
        let stop = CancellationToken::new();
        let task = tokio::spawn(Live::new(parts, reloads).run(stop.clone()));
        Self { task, stop, delivery, health, metrics, _reloads: reload }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
        self.delivery.drain(Duration::from_secs(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_back_an_hour_loses_and_delays_nothing() {
    // The hub has a clock of its own, and that is right.
    let scene = Scene::with(Options { clock: Arc::new(|| BEGIN + HOUR), ..Options::default() }).await;
    let traffic = traffic(6_000, 60);
    let time = Arc::new(AtomicI64::new(BEGIN + HOUR));
    let ours = time.clone();
    let clock: Clock = Arc::new(move || ours.fetch_add(1, Ordering::Relaxed));
    let (state, file) = (scene.folder.path().join("state"), scene.folder.path().join("alerts.ndjson"));
    let third = traffic.messages.len() / 3;
    let broken = [Bytes::from_static(b"not json at all")];
    let arrived = |service: &Running, messages: &[Bytes]| {
        let wanted = scene.replayed(messages);
        assert!(!wanted.is_empty());
        let all = || wanted.is_subset(&ids_in(&file)).then_some(());
        let account = || format!("{:?}\n{}", service.health.troubles(), service.metrics.render());
        wait_for("every alert", all, account);
    };

    let service = Running::start(&scene.hub, &state, &file, clock.clone()).await;
    scene.publish(&traffic.messages[..third]);
    scene.publish(&broken);
    arrived(&service, &traffic.messages[..third]);
    // What comes now is of the future by our clock.
    time.store(BEGIN - HOUR / 2, Ordering::Relaxed);
    scene.publish(&traffic.messages[third..2 * third]);
    scene.publish(&broken);
    arrived(&service, &traffic.messages[..2 * third]);
    assert_eq!(service.health.troubles(), Vec::<String>::new());
    service.stop().await;

    // It is still wrong after a restart.
    let service = Running::start(&scene.hub, &state, &file, clock).await;
    scene.publish(&traffic.messages[2 * third..]);
    scene.publish(&broken);
    arrived(&service, &traffic.messages);
    service.stop().await;
    assert_eq!(ids_in(&file), scene.replayed(&traffic.messages));
    let lines = std::fs::read_to_string(&file).unwrap().lines().count();
    assert_eq!(lines, ids_in(&file).len(), "an alert came twice");
    assert_eq!(dead_letters(&state).len(), 3);
}
