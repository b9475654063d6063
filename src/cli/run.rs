//! `aksentry run`: the long-running service.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use notify::{RecursiveMode, Watcher};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::service::Service;
use super::{Context, Exit, clock, config};
use crate::outbox::control;
use crate::pipeline::live::RuleSet;
use crate::telemetry::status::About;
use crate::telemetry::{http, log};

#[derive(Debug, Args)]
pub(super) struct Run {
    /// The configuration (TOML); docs/configuration.md lists its keys
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Changes of files come in bursts; what comes within this counts as one.
const BURST: Duration = Duration::from_millis(500);

impl Run {
    pub fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let config = config::open(&self.config)?;
        log::init(&config.telemetry.log, !std::io::stderr().is_terminal())
            .map_err(anyhow::Error::msg)
            .context("[telemetry] log")?;
        runtime()?.block_on(async {
            let stop = stop_at_signal()?;
            let service = Service::open(&config, context, Vec::new()).await?;
            let (reload, reloads) = mpsc::channel(1);
            let _watching = watch(service.rules.clone(), reload)?;
            let about =
                About { version: env!("CARGO_PKG_VERSION").into(), replica: service.replica().to_owned() };
            let (metrics, health) = (service.metrics.clone(), service.health.clone());
            let telemetry = http::serve(config.telemetry.listen, about, metrics, health).await?;
            let (outbox, state) = (service.outbox.clone(), config.state.clone());
            let socket = tokio::spawn(async move { control::serve(outbox, &state, clock()).await });
            tracing::info!(
                version = env!("CARGO_PKG_VERSION"),
                rules = service.rules.count(),
                sinks = config.sinks.len(),
                telemetry = %telemetry.address(),
                "aksentry runs"
            );
            let outcome = service.run(stop, reloads).await;
            socket.abort();
            telemetry.close().await;
            if outcome.is_ok() {
                tracing::info!("aksentry ends; everything it took is committed");
            }
            outcome.map(|()| Exit::Done)
        })
    }
}

/// The runtime of everything that waits.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the runtime")
}

/// Cancelled at the first SIGTERM or Ctrl-C; the second ends the process at once.
pub(super) fn stop_at_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let heard = stop.clone();
    let mut signals = [SignalKind::terminate(), SignalKind::interrupt()]
        .map(signal)
        .into_iter()
        .collect::<Result<Vec<Signal>, _>>()
        .context("listening for signals")?;
    tokio::spawn(async move {
        loop {
            let waits = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
            futures::future::select_all(waits).await;
            if heard.is_cancelled() {
                std::process::exit(130);
            }
            tracing::info!("told to stop; a second signal ends at once");
            heard.cancel();
        }
    });
    Ok(stop)
}

/// Asks for a reload at SIGHUP and when a file of rules, lists or addresses changes. Watching ends with the value.
fn watch(rules: Arc<RuleSet>, reload: mpsc::Sender<()>) -> anyhow::Result<notify::RecommendedWatcher> {
    let mut hangup = signal(SignalKind::hangup()).context("listening for SIGHUP")?;
    let (changed, mut changes) = mpsc::channel::<()>(1);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access()) {
            // A change that is already waiting stands for this one too.
            let _ = changed.try_send(());
        }
    })
    .context("watching the folders of rules")?;
    let folders = rules.folders().into_iter().map(|folder| (folder, RecursiveMode::Recursive));
    // A folder of databases may hold anything else; only its own files count.
    let databases = rules.geoip_folders().into_iter().map(|folder| (folder, RecursiveMode::NonRecursive));
    for (folder, mode) in folders.chain(databases) {
        if let Err(error) = watcher.watch(&folder, mode) {
            tracing::warn!(folder = %folder.display(), "changes are not noticed, send SIGHUP instead: {error}");
        }
    }
    tokio::spawn(async move {
        loop {
            tokio::select! {
                Some(()) = hangup.recv() => tracing::info!("SIGHUP: reading rules and lists again"),
                Some(()) = changes.recv() => {
                    tokio::time::sleep(BURST).await;
                    while changes.try_recv().is_ok() {}
                }
            }
            if reload.send(()).await.is_err() {
                return;
            }
        }
    });
    Ok(watcher)
}
