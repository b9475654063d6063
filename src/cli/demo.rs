//! `aksentry demo`: the whole service on one machine, with nothing installed.
//!
//! An embedded development hub is filled with the samples; the service reads it over AMQP as it would
//! read Azure, archives to a temporary folder, and its alerts go through the outbox to a sink that prints
//! them. It ends when the hub was read to its end.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use async_trait::async_trait;
use bytes::Bytes;
use clap::Args;
use include_dir::{Dir, include_dir};
use tokio::sync::mpsc;

use super::output::{Alerts, Format};
use super::service::Service;
use super::{Context, Exit, run, terminal};
use crate::alert::Alert;
use crate::config::Config;
use crate::hub::{Hub, Options};
use crate::pipeline::live::OpenSource;
use crate::sink::{Outcome, Portion, Sink};
use crate::source::files::{FileReader, Sizes};
use crate::source::{Commit, Incoming, Source, SourceError};
use crate::telemetry::Metrics;
use crate::telemetry::log;

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Log what the service does
    #[arg(long)]
    verbose: bool,
}

static SAMPLES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/samples/hub");

const PARTITIONS: u16 = 4;

impl Demo {
    pub fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let filter = if self.verbose { "info" } else { "error" };
        log::init(filter, false).map_err(anyhow::Error::msg)?;
        let folder = tempfile::Builder::new().prefix("aksentry-demo-").tempdir().context("a folder")?;
        let outcome = run::runtime()?.block_on(self.demo(context, folder.path()));
        let Done { alerts, metrics, archive, elapsed } = outcome?;
        if !context.terminal.quiet {
            summary(alerts, &metrics, archive, elapsed);
        }
        Ok(Exit::Done)
    }

    async fn demo(&self, context: &Context, folder: &Path) -> anyhow::Result<Done> {
        let say = |text: &str| {
            if !context.terminal.quiet {
                terminal::say(text);
            }
        };
        let begun = Instant::now();
        let stop = run::stop_at_signal()?;
        let hub = Hub::start(Options { partitions: PARTITIONS, ..Options::default() }).await?;
        let messages = publish(&hub)?;
        say(&format!("hub       {messages} messages in {PARTITIONS} partitions at {}", hub.endpoint()));
        let text = configuration(&hub.endpoint(), folder);
        let key = "Endpoint=sb://localhost/;SharedAccessKeyName=demo;SharedAccessKey=ZGVtbw==";
        let variable = |name: &str| (name == "DEMO_HUB").then(|| key.to_owned());
        let config = Config::parse(Path::new("demo.toml"), &text, &variable).map_err(|problems| {
            anyhow!("{}", problems.first().map(ToString::to_string).unwrap_or_default())
        })?;

        let format = context.global.format.unwrap_or(context.default_format());
        let style = if format == Format::Table { context.terminal.stdout } else { Default::default() };
        let printed = Arc::new(Mutex::new(Alerts::new(super::output::shared_stdout(), format, style)));
        let printer = Arc::new(Printed { alerts: printed.clone() });
        let mut service = Service::open(&config, context, vec![printer]).await?;
        say(&format!("service   {} rules; archive and state in {}", service.rules.count(), folder.display()));
        say("");
        service.wrap_source(|open| until(open, messages));
        let metrics = service.metrics.clone();
        let (_reload, reloads) = mpsc::channel(1);
        service.run(stop, reloads).await?;
        let mut printed = printed.lock().unwrap_or_else(PoisonError::into_inner);
        printed.finish()?;
        let archive = folder_size(&folder.join("archive"));
        Ok(Done { alerts: printed.count(), metrics, archive, elapsed: begun.elapsed() })
    }
}

struct Done {
    alerts: u64,
    metrics: Arc<Metrics>,
    /// Files and bytes.
    archive: (u64, u64),
    elapsed: Duration,
}

/// The configuration a demo runs with; it differs from a real one in its addresses alone.
fn configuration(endpoint: &str, folder: &Path) -> String {
    let folder = folder.display();
    format!(
        r#"[source.eventhubs]
namespace = "localhost"
hub = "aks-audit"
endpoint = "{endpoint}"
auth = {{ kind = "connection-string", env = "DEMO_HUB" }}
[checkpoint]
url = "file://{folder}/checkpoints"
[archive]
url = "file://{folder}/archive"
[state]
dir = "{folder}/state"
"#
    )
}

/// Puts every sample message into the hub.
fn publish(hub: &Hub) -> anyhow::Result<u64> {
    let mut messages = 0;
    let mut files: Vec<_> = SAMPLES.files().collect();
    files.sort_by_key(|file| file.path());
    for file in files {
        let mut reader = FileReader::of_bytes(file.contents(), Sizes::default())
            .map_err(|status| anyhow!("samples/{}: {status}", file.path().display()))?;
        while let Ok(raw) = reader.next_batch() {
            for body in raw.bodies {
                for line in body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
                    hub.publish(None, Bytes::copy_from_slice(line));
                    messages += 1;
                }
            }
        }
    }
    Ok(messages)
}

/// A source that ends after so many messages.
struct Until {
    inner: Box<dyn Source>,
    left: u64,
}

fn until(open: OpenSource, messages: u64) -> OpenSource {
    Box::new(move || {
        let opened = open();
        Box::pin(async move {
            let inner = opened.await?;
            Ok(Box::new(Until { inner, left: messages }) as Box<dyn Source>)
        })
    })
}

#[async_trait]
impl Source for Until {
    async fn next(&mut self) -> Result<Option<Incoming>, SourceError> {
        if self.left == 0 {
            return Ok(None);
        }
        let incoming = self.inner.next().await?;
        if let Some(Incoming::Messages(received)) = &incoming {
            self.left = self.left.saturating_sub(received.raw.bodies.len() as u64);
        }
        Ok(incoming)
    }

    fn is_idle(&self, partition: &str) -> bool {
        self.inner.is_idle(partition)
    }

    fn trouble(&self) -> Option<String> {
        self.inner.trouble()
    }

    fn commits(&self) -> Arc<dyn Commit> {
        self.inner.commits()
    }

    async fn close(self: Box<Self>) {
        self.inner.close().await;
    }
}

/// The sink that prints.
struct Printed<W: std::io::Write> {
    alerts: Arc<Mutex<Alerts<W>>>,
}

#[async_trait]
impl<W: std::io::Write + Send> Sink for Printed<W> {
    fn name(&self) -> &str {
        "terminal"
    }

    fn portion(&self) -> Portion {
        Portion { max_alerts: 1000, linger: Duration::ZERO }
    }

    async fn send(&self, alerts: &[Alert]) -> Vec<Outcome> {
        let mut printed = self.alerts.lock().unwrap_or_else(PoisonError::into_inner);
        let written = alerts.iter().map(|alert| match printed.write(alert) {
            Ok(()) => Outcome::Delivered,
            Err(error) => Outcome::Refused { reason: error.to_string() },
        });
        written.collect()
    }

    async fn probe(&self) -> Result<String, String> {
        Ok("standard output".into())
    }
}

fn folder_size(folder: &Path) -> (u64, u64) {
    let pattern = format!("{}/**/*.parquet", folder.display());
    let files = glob::glob(&pattern).into_iter().flatten().flatten();
    files.fold((0, 0), |(n, bytes), file| (n + 1, bytes + file.metadata().map_or(0, |about| about.len())))
}

fn summary(alerts: u64, metrics: &Metrics, (files, bytes): (u64, u64), elapsed: Duration) {
    let records = |outcome: &str| {
        let label = crate::telemetry::metrics::Outcome { outcome: outcome.into() };
        metrics.records.get_or_create(&label).get()
    };
    let lines = [
        String::new(),
        format!("records   {} events, {} of the control plane, {} duplicates",
            records("event"), records("control_plane"), records("duplicate")),
        format!("archive   {files} Parquet files, {:.1} MB from {:.1} MB of messages",
            bytes as f64 / 1e6, metrics.bytes.get() as f64 / 1e6),
        format!("alerts    {alerts} in {:.1} s, each with a stable id", elapsed.as_secs_f64()),
        String::new(),
        "Next:".into(),
        "  aksentry replay samples/hub               the same alerts, complete, from files".into(),
        "  aksentry rules show secret-access-bulk    what a rule says and how it is written".into(),
        "  aksentry hunt -e \"SELECT username, count(*) AS n FROM audit GROUP BY username ORDER BY n DESC\" samples/hub".into(),
        "  aksentry hub --load samples/hub           a hub to try a configuration on: deploy/aksentry.toml".into(),
    ];
    for line in lines {
        terminal::say(&line);
    }
}
