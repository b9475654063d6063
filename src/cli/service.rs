//! From a configuration to a running service: every part is opened, wired and, at the end, let go.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Context, clock, engine, terminal};
use crate::archive;
use crate::checkpoint::Checkpoints;
use crate::config::{self, Config};
use crate::detect::{Emission, EngineConfig};
use crate::event::Clock;
use crate::identity::TokenSource;
use crate::outbox::dead_letters::{self, DeadLetters};
use crate::outbox::{self, Outbox, SinkRoute};
use crate::pipeline::live::{Archive, Live, OpenSource, Parts, RuleSet, Settings};
use crate::rules::{Diagnostic, Sources};
use crate::sink::delivery::{Delivery, Telling};
use crate::sink::email::{self, Email};
use crate::sink::file::AlertFile;
use crate::sink::http::Timeouts;
use crate::sink::sentinel::{Sentinel, Target};
use crate::sink::webhook::Webhook;
use crate::sink::{self, Sink};
use crate::source::Source;
use crate::source::eventhubs::EventHubs;
use crate::source::files::Files;
use crate::store::{Environment, Store};
use crate::telemetry::{Health, Metrics};

/// Bytes of rows the archive may have waiting in memory and in unfinished files.
const ARCHIVE_PENDING: u64 = 256 << 20;
/// Bytes at which a file of the archive is finished.
const ARCHIVE_FILE: u64 = 128 << 20;
/// Without an archive a commit costs next to nothing.
const COMMIT_EVERY: Duration = Duration::from_secs(5);
/// What is left of a supervisor's ten seconds when everything is committed.
const DRAIN: Duration = Duration::from_secs(2);

/// A service, ready to run.
pub(super) struct Service {
    pub metrics: Arc<Metrics>,
    pub health: Arc<Health>,
    pub outbox: Outbox,
    pub rules: Arc<RuleSet>,
    parts: Parts,
    sinks: Vec<Arc<dyn Sink>>,
}

fn refuse(problems: &[Diagnostic]) -> anyhow::Error {
    for problem in problems {
        terminal::say(&problem.to_string());
    }
    match problems.len() {
        1 => anyhow!("the problem above must be solved first"),
        n => anyhow!("the {n} problems above must be solved first"),
    }
}

/// The rules as configured, compiled once to know that they can be.
fn rules(config: &Config, sources: Sources, geoip: Vec<PathBuf>) -> anyhow::Result<Arc<RuleSet>> {
    let lateness = config.detect.allowed_lateness;
    let settings = EngineConfig {
        emission: Emission::First,
        replayed: false,
        lateness,
        memory: config.detect.memory,
        lazy: true,
        ..EngineConfig::default()
    };
    let of = config.clone();
    let adjust = Box::new(move |catalog: &mut crate::rules::Catalog| {
        let mut problems = of.check_rules(catalog);
        of.detect.apply(catalog);
        problems.extend(catalog.open_geoip(&geoip));
        problems.extend(catalog.geoip.verify());
        problems
    });
    let rules = RuleSet::load(sources, adjust, settings).map_err(|problems| refuse(&problems))?;
    Ok(Arc::new(rules))
}

/// The sink a table `[[sink]]` describes.
pub(super) async fn sink(config: &config::SinkConfig, clock: &Clock) -> anyhow::Result<Arc<dyn Sink>> {
    let name = config.name.clone();
    let failed = |reason: String| anyhow!("sink \"{}\": {reason}", config.name);
    let timeouts = Timeouts::default();
    Ok(match &config.kind {
        sink::Config::Sentinel { endpoint, rule_id, stream, auth } => {
            let tokens = TokenSource::open(auth).await.map_err(|e| failed(e.to_string()))?;
            tracing::info!(sink = name, "signs in with {}", tokens.chosen());
            let target = Target { endpoint, rule_id, stream };
            Arc::new(Sentinel::new(name, target, tokens, timeouts, clock.clone()).map_err(failed)?)
        }
        sink::Config::Email { server, auth, from, to, digest } => {
            let settings = email::Settings {
                server: server.clone(),
                auth: auth.clone(),
                from: from.clone(),
                to: to.clone(),
                digest: *digest,
            };
            let opened = Email::open(name, settings, clock.clone()).await;
            Arc::new(opened.map_err(|e| failed(e.to_string()))?)
        }
        sink::Config::Webhook { url, shape, hmac } => {
            Arc::new(Webhook::new(name, url, *shape, hmac.clone(), timeouts, clock.clone()).map_err(failed)?)
        }
        sink::Config::File { path } => Arc::new(AlertFile::new(name, path)),
    })
}

/// The checkpoint store of a hub.
pub(super) fn checkpoints(config: &Config) -> anyhow::Result<Checkpoints> {
    let store = Store::open(&config.checkpoint, &Environment::read()).context("[checkpoint]")?;
    Ok(match &config.source {
        config::Source::EventHubs(hub) => {
            Checkpoints::new(store, &hub.namespace, &hub.hub, &hub.consumer_group)
        }
        config::Source::Files { .. } => Checkpoints::new(store, "files", "followed", "aksentry"),
    })
}

/// How a configured source is opened.
fn open_source(config: &Config, checkpoints: &Checkpoints, metrics: &Arc<Metrics>) -> OpenSource {
    match config.source.clone() {
        config::Source::EventHubs(hub) => {
            let (checkpoints, metrics) = (checkpoints.clone(), metrics.clone());
            Box::new(move || {
                let (hub, checkpoints) = (hub.clone(), checkpoints.clone());
                let metrics = metrics.clone();
                Box::pin(async move {
                    let source = EventHubs::open(*hub, checkpoints, metrics, clock()).await?;
                    Ok(Box::new(source) as Box<dyn Source>)
                })
            })
        }
        config::Source::Files { paths, follow } => {
            let (checkpoints, metrics) = (checkpoints.clone(), metrics.clone());
            Box::new(move || {
                let (paths, checkpoints) = (paths.clone(), checkpoints.clone());
                let metrics = metrics.clone();
                Box::pin(async move {
                    let files = if follow {
                        Files::follow(paths, checkpoints, metrics, clock()).await?
                    } else {
                        Files::once(paths, metrics, clock())?
                    };
                    Ok(Box::new(files) as Box<dyn Source>)
                })
            })
        }
    }
}

impl Service {
    /// Opens every part; `more` are sinks beside the configured ones.
    pub async fn open(
        config: &Config,
        context: &Context,
        more: Vec<Arc<dyn Sink>>,
    ) -> anyhow::Result<Service> {
        let clock = clock();
        let (of, sources) = (config.clone(), engine::sources(context)?);
        let geoip = engine::geoip(context, config).to_vec();
        // Planning rules waits for a runtime of its own, which a thread of this one must not.
        let rules = tokio::task::spawn_blocking(move || rules(&of, sources, geoip))
            .await
            .context("planning rules")??;
        let metrics = Arc::new(Metrics::new());
        let health = Arc::new(Health::default());
        std::fs::create_dir_all(&config.state).with_context(|| {
            format!("making the state folder {}; [state] dir says which", config.state.display())
        })?;
        let mut sinks = Vec::new();
        let mut routes = Vec::new();
        for configured in &config.sinks {
            sinks.push(sink(configured, &clock).await?);
            routes.push(SinkRoute { name: configured.name.clone(), min_severity: configured.min_severity });
        }
        for sink in more {
            let min_severity = crate::alert::Severity::Informational;
            routes.push(SinkRoute { name: sink.name().to_owned(), min_severity });
            sinks.push(sink);
        }
        let kept = outbox::Config { max_bytes: config.outbox.max, ..outbox::Config::default() };
        let letters = config.state.join(outbox::DEAD_LETTERS);
        let dead_letters = DeadLetters::open(&letters, dead_letters::DEFAULT_CAP, metrics.clone())?;
        let outbox = Outbox::open(&config.state, kept, &routes, dead_letters.clone(), metrics.clone())?;
        let checkpoints = checkpoints(config)?;
        let follows = !matches!(config.source, config::Source::Files { follow: false, .. });
        let replica = match &config.source {
            config::Source::EventHubs(hub) => hub.replica.clone(),
            config::Source::Files { .. } => "files".to_owned(),
        };
        let lease = match &config.source {
            config::Source::EventHubs(hub) => hub.lease,
            config::Source::Files { .. } => Duration::from_secs(10),
        };
        let archive = match &config.archive {
            Some(archive) => Some(Archive {
                store: Store::open(&archive.location, &Environment::read()).context("[archive]")?,
                spool: config.state.join("spool"),
                config: archive::Config { max_file_bytes: ARCHIVE_FILE, replica: replica.clone() },
                retention: archive.retention,
            }),
            None => None,
        };
        let settings = Settings {
            replica,
            commit_every: config.archive.as_ref().map_or(COMMIT_EVERY, |archive| archive.roll),
            lateness: config.detect.allowed_lateness,
            lease,
            archive_pending: ARCHIVE_PENDING,
        };
        let parts = Parts {
            settings,
            clock,
            metrics: metrics.clone(),
            health: health.clone(),
            outbox: outbox.clone(),
            dead_letters,
            rules: rules.clone(),
            source: open_source(config, &checkpoints, &metrics),
            archive,
            checkpoints: follows.then_some(checkpoints),
            finite: !follows,
        };
        Ok(Service { metrics, health, outbox, rules, parts, sinks })
    }

    /// The name under which partitions are owned.
    pub fn replica(&self) -> &str {
        &self.parts.settings.replica
    }

    /// Changes how the source is opened.
    pub fn wrap_source(&mut self, wrap: impl FnOnce(OpenSource) -> OpenSource) {
        let none: OpenSource = Box::new(|| Box::pin(std::future::pending()));
        let inner = std::mem::replace(&mut self.parts.source, none);
        self.parts.source = wrap(inner);
    }

    /// Runs until told to stop, or until a source that ends has ended and its alerts are delivered.
    pub async fn run(self, stop: CancellationToken, reloads: mpsc::Receiver<()>) -> anyhow::Result<()> {
        let finite = self.parts.finite;
        let telling = Telling { metrics: self.metrics, health: self.health };
        let delivery = Delivery::start(self.outbox.clone(), self.sinks, telling, self.parts.clock.clone());
        let outcome = Live::new(self.parts, reloads).run(stop.clone()).await;
        if finite && outcome.is_ok() && !stop.is_cancelled() {
            // Nobody is in a hurry: a source that ended waits for its alerts, up to a minute.
            delivery.drain(Duration::from_secs(60)).await;
        } else {
            delivery.drain(DRAIN).await;
        }
        if let Err(error) = outcome {
            bail!("{error}");
        }
        Ok(())
    }
}
