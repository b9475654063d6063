//! `replay --send`: alerts of archives to the configured sinks.
//!
//! They go through an outbox of their own, in the folder `replay` of the state folder: the service that may
//! run meanwhile owns the other one, and has remembered the ids of what it delivered. What no sink takes in
//! time stays there and is sent by the next `--send`; when nothing is left the outbox is removed, so that who
//! wants to send everything again can.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use indicatif::ProgressBar;
use tokio::runtime::Runtime;

use super::{Context, clock, config, run, service, terminal};
use crate::alert::Alert;
use crate::config::Config;
use crate::outbox::dead_letters::{DEFAULT_CAP, DeadLetters};
use crate::outbox::{self, Outbox, SinkRoute, Which};
use crate::rules::parse_duration;
use crate::sink;
use crate::sink::delivery::{Delivery, Telling};
use crate::telemetry::samples::Samples;
use crate::telemetry::{Health, Metrics};

/// The folder of a replay's alerts in the state folder; itself a state folder for `outbox` and `dead-letters`.
const FOLDER: &str = "replay";
/// Alerts put into the outbox at once: one wait for the disk each.
const BATCH: usize = 500;
/// How often it is looked what is left.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// For the last sends to end; what is not acknowledged then stays.
const DRAIN: Duration = Duration::from_secs(2);

/// What becomes of alerts beside printing them.
#[derive(Debug, Args)]
pub(super) struct Sending {
    /// Deliver the alerts through the sinks of the configuration, marked as replayed
    #[arg(long, requires = "config")]
    send: bool,
    /// Configuration of the service: its changes to rules hold, and with --send its sinks get the alerts
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// With --send: give up when no sink has taken an alert for so long, such as 30s or 1h
    #[arg(long, value_name = "SPAN", default_value = "5m", requires = "send")]
    wait: String,
}

impl Sending {
    /// The configuration, if one was named.
    pub fn config(&self) -> anyhow::Result<Option<Config>> {
        self.config.as_deref().map(config::open).transpose()
    }

    /// What sends, if anything is to be sent.
    pub fn open(&self, config: Option<&Config>) -> anyhow::Result<Option<Sender>> {
        let patience = parse_duration(&self.wait).map_err(anyhow::Error::msg);
        let patience = patience.with_context(|| format!("--wait {}", self.wait))?.to_std()?;
        config.filter(|_| self.send).map(|config| Sender::open(config, patience)).transpose()
    }
}

/// Takes alerts, and delivers them in the background.
pub(super) struct Sender {
    runtime: Runtime,
    delivery: Delivery,
    outbox: Outbox,
    sinks: Vec<String>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    state: PathBuf,
    patience: Duration,
    batch: Vec<Alert>,
    /// Alerts that a replay before this one had put already.
    known: usize,
}

impl Sender {
    fn open(config: &Config, patience: Duration) -> anyhow::Result<Self> {
        // Alerts are on standard output already.
        let is_stdout =
            |kind: &sink::Config| matches!(kind, sink::Config::File { path } if path.as_os_str() == "-");
        let wanted: Vec<_> = config.sinks.iter().filter(|sink| !is_stdout(&sink.kind)).collect();
        if wanted.is_empty() {
            bail!("{} has no [[sink]] to send to (alerts are printed without --send)", config.path.display());
        }
        let state = config.state.join(FOLDER);
        std::fs::create_dir_all(&state).with_context(|| {
            format!(
                "making {}, where alerts wait to be sent; [state] dir of {} says where it is, and this user must be allowed to write there",
                state.display(),
                config.path.display()
            )
        })?;
        let (metrics, health, clock) = (Arc::new(Metrics::new()), Arc::new(Health::default()), clock());
        let routes: Vec<SinkRoute> = wanted
            .iter()
            .map(|sink| SinkRoute { name: sink.name.clone(), min_severity: sink.min_severity })
            .collect();
        let kept = outbox::Config { max_bytes: config.outbox.max, ..outbox::Config::default() };
        let dead = DeadLetters::open(&state.join(outbox::DEAD_LETTERS), DEFAULT_CAP, metrics.clone())?;
        let outbox = Outbox::open(&state, kept, &routes, dead, metrics.clone())?;
        let runtime = run::runtime()?;
        let delivery = runtime.block_on(async {
            let mut sinks = Vec::new();
            for configured in wanted {
                sinks.push(service::sink(configured, &clock).await?);
            }
            let telling = Telling { metrics: metrics.clone(), health: health.clone() };
            anyhow::Ok(Delivery::start(outbox.clone(), sinks, telling, clock))
        })?;
        let sinks = routes.into_iter().map(|route| route.name).collect();
        let batch = Vec::new();
        Ok(Self { runtime, delivery, outbox, sinks, metrics, health, state, patience, batch, known: 0 })
    }

    /// Takes an alert; it is durable after [`Sender::finish`] has begun, most are before.
    pub fn put(&mut self, alert: Alert) -> anyhow::Result<()> {
        self.batch.push(alert);
        if self.batch.len() >= BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        let new = self.outbox.put(&self.batch, clock()()).context("keeping alerts that are to be sent")?;
        self.known += self.batch.len() - new;
        self.batch.clear();
        Ok(())
    }

    /// Waits until every alert is delivered or was refused for good; an error if not all were delivered.
    pub fn finish(mut self, context: &Context) -> anyhow::Result<()> {
        self.flush()?;
        let quiet = context.terminal.quiet;
        if self.known > 0 && !quiet {
            terminal::say(&format!(
                "{} of the alerts were put here by a replay before, which could not send everything; each is sent once",
                self.known
            ));
        }
        // Nothing more comes: who gathers alerts for one mail need not wait.
        self.outbox.retry(None, &Which::All)?;
        self.wait(context);
        self.runtime.block_on(self.delivery.drain(DRAIN));
        let left = self.outbox.list(None, None, 1)?.0;
        let account = Account::of(&self.outbox, &self.sinks, &self.metrics, &self.health);
        if !quiet {
            terminal::say(&format!("sent            {}", account.sent()));
        }
        if left.is_empty() {
            let file = self.state.join(outbox::FILE);
            std::fs::remove_file(&file).with_context(|| format!("removing {}", file.display()))?;
        }
        account.verdict(&self.state, quiet)
    }

    /// Until nothing waits, or nothing moves.
    fn wait(&self, context: &Context) {
        let bar = if context.terminal.progress { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        let (mut least, mut moved) = (u64::MAX, Instant::now());
        let mut told = BTreeMap::new();
        loop {
            let left: Vec<(&String, u64)> = self
                .sinks
                .iter()
                .map(|sink| (sink, self.outbox.depth(sink)))
                .filter(|(_, n)| *n > 0)
                .collect();
            let total = left.iter().map(|(_, n)| n).sum();
            if total < least {
                (least, moved) = (total, Instant::now());
            }
            let notes = self.health.notes();
            if !context.terminal.quiet {
                for (sink, note) in notes.iter().filter(|(sink, note)| told.get(*sink) != Some(*note)) {
                    bar.suspend(|| terminal::say(&format!("{sink}: {note}")));
                }
            }
            told = notes;
            if total == 0 || moved.elapsed() >= self.patience {
                return bar.finish_and_clear();
            }
            let names: Vec<String> = left.iter().map(|(sink, n)| format!("{sink} {n}")).collect();
            bar.set_message(format!("alerts to be sent: {}", names.join(", ")));
            bar.tick();
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// What became of the alerts.
struct Account {
    /// By sink: delivered, and still waiting.
    sinks: Vec<(String, u64, u64)>,
    /// Moved to dead letters.
    given_up: u64,
    /// What sinks fail at, a line each.
    errors: Vec<String>,
}

impl Account {
    fn of(outbox: &Outbox, sinks: &[String], metrics: &Metrics, health: &Health) -> Self {
        let samples = Samples::parse(&metrics.render());
        let delivered = |sink: &str| {
            let sends = samples.0.iter().filter(|sample| sample.name == "aksentry_sends_total");
            let is = |sample: &&crate::telemetry::samples::Sample, label: &str, value: &str| {
                sample.labels.get(label).is_some_and(|found| found == value)
            };
            let of_sink = sends.filter(|s| is(s, "sink", sink) && is(s, "outcome", "delivered"));
            of_sink.map(|sample| sample.value as u64).sum()
        };
        let sinks = sinks.iter().map(|sink| (sink.clone(), delivered(sink), outbox.depth(sink))).collect();
        let given_up = samples.counts("aksentry_dead_letters_total", "reason").values().sum();
        let errors = health.notes().iter().map(|(sink, note)| format!("{sink}: {note}")).collect();
        Self { sinks, given_up, errors }
    }

    /// `sentinel 70, email 24 (2 wait)`
    fn sent(&self) -> String {
        let part = |(sink, delivered, waiting): &(String, u64, u64)| match waiting {
            0 => format!("{sink} {delivered}"),
            waiting => format!("{sink} {delivered} ({waiting} wait)"),
        };
        self.sinks.iter().map(part).collect::<Vec<_>>().join(", ")
    }

    /// An error if something was not delivered; with the sinks' reasons if nobody has seen those yet.
    fn verdict(&self, state: &Path, quiet: bool) -> anyhow::Result<()> {
        let waiting: u64 = self.sinks.iter().map(|(_, _, waiting)| waiting).sum();
        let state = state.display();
        let mut reasons = Vec::new();
        if waiting > 0 {
            reasons.push(format!(
                "{waiting} deliveries wait, and the same command tries them again (aksentry outbox list --state {state})"
            ));
        }
        if self.given_up > 0 {
            reasons.push(format!(
                "{} were refused for good (aksentry dead-letters list --state {state})",
                self.given_up
            ));
        }
        if reasons.is_empty() {
            return Ok(());
        }
        let errors = self.errors.iter().filter(|_| quiet);
        let errors: String = errors.map(|error| format!("; {error}")).collect();
        bail!("not every alert was delivered: {}{errors}", reasons.join("; "))
    }
}
