//! Wiring of the live service, its end, and beginning again.
//!
//! The outbox and the delivery live longer than what is wired here: they are given, not made.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::commit::{Committer, Group};
use super::detect::{Detect, Fault};
use super::keeper::{Keeper, Order};
use super::reload::RuleSet;
use super::windows::Windows;
use super::{Control, Settings};
use crate::archive::{self, Writer};
use crate::checkpoint::{CheckpointError, Checkpoints};
use crate::event::Clock;
use crate::outbox::Outbox;
use crate::outbox::dead_letters::DeadLetters;
use crate::source::{Source, SourceError};
use crate::store::Store;
use crate::telemetry::{Health, Metrics};

/// Opens the source, again and again where the service begins again.
pub type OpenSource = Box<dyn Fn() -> BoxFuture<'static, Result<Box<dyn Source>, SourceError>> + Send + Sync>;

/// Where rows are archived.
pub struct Archive {
    pub store: Store,
    /// Folder of files that are being written.
    pub spool: PathBuf,
    pub config: archive::Config,
    /// Days older than this are removed.
    pub retention: Option<Duration>,
}

/// What the service is made of.
pub struct Parts {
    pub settings: Settings,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    pub health: Arc<Health>,
    pub outbox: Outbox,
    pub dead_letters: DeadLetters,
    pub rules: Arc<RuleSet>,
    pub source: OpenSource,
    pub archive: Option<Archive>,
    /// Where the journal of windows is; without one this process evaluates windows alone and forgets
    /// them when it ends.
    pub checkpoints: Option<Checkpoints>,
    /// Whether the source ends by itself.
    pub finite: bool,
}

/// Why the service ended.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    #[error("{0}")]
    Source(SourceError),
    #[error("stopped before everything was committed; what is missing is read again at the next start: {0}")]
    Unfinished(String),
}

/// How long each part of the end may take, so that a supervisor's ten seconds are enough: the last
/// commit, giving the lease on windows back, closing the source. The delivery has what is left.
const COMMIT: Duration = Duration::from_secs(4);
const GIVE_BACK: Duration = Duration::from_secs(1);
const CLOSE: Duration = Duration::from_secs(2);
/// How often the archive is looked through for days past their retention.
const SWEEP: Duration = Duration::from_secs(6 * 3600);
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_AT_MOST: Duration = Duration::from_secs(60);

/// The live service.
pub struct Live {
    parts: Parts,
    reloads: mpsc::Receiver<()>,
}

/// A task that ends with the value.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Removes days past their retention, now and then.
fn sweep(parts: &Parts) -> impl Future<Output = ()> + Send + use<> {
    let clock = parts.clock.clone();
    let kept = parts.archive.as_ref().and_then(|archive| Some((archive.store.clone(), archive.retention?)));
    async move {
        let Some((store, retention)) = kept else { return };
        let retention = i64::try_from(retention.as_micros()).unwrap_or(i64::MAX);
        loop {
            match archive::expire(&store, clock().saturating_sub(retention)).await {
                Ok(expired) if expired.files > 0 => {
                    tracing::info!(
                        files = expired.files,
                        bytes = expired.bytes,
                        "days past their retention removed"
                    );
                }
                Ok(_) => {}
                Err(error) => tracing::warn!("days past their retention were not removed: {error}"),
            }
            tokio::time::sleep(SWEEP).await;
        }
    }
}

/// Tasks beside the detecting thread.
struct Tasks {
    committer: JoinHandle<()>,
    keeper: Option<(JoinHandle<()>, mpsc::Sender<Order>)>,
}

impl Live {
    /// `reloads` asks for rules and lists to be read again.
    pub fn new(parts: Parts, reloads: mpsc::Receiver<()>) -> Self {
        Self { parts, reloads }
    }

    /// Runs until told to stop or the source ends, beginning again from the last commit where it must.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), LiveError> {
        let mut pause = AGAIN;
        let _sweeper = AbortOnDrop(tokio::spawn(sweep(&self.parts)));
        loop {
            let begun = tokio::time::Instant::now();
            let reason = match self.once(&stop).await {
                Ok(()) => return Ok(()),
                Err(Fault::Source(error)) => return Err(LiveError::Source(error)),
                Err(Fault::Begin(reason)) if stop.is_cancelled() => {
                    return Err(LiveError::Unfinished(reason));
                }
                Err(Fault::Begin(reason)) => reason,
            };
            if begun.elapsed() > AGAIN_AT_MOST {
                pause = AGAIN;
            }
            tracing::error!("beginning again from the last commit in {pause:?}: {reason}");
            self.parts.health.set("pipeline", Some(&reason));
            let _ = tokio::time::timeout(pause, stop.cancelled()).await;
            if stop.is_cancelled() {
                return Ok(());
            }
            pause = (pause * 2).min(AGAIN_AT_MOST);
        }
    }

    async fn once(&mut self, stop: &CancellationToken) -> Result<(), Fault> {
        let parts = &self.parts;
        let (control, mut controls) = mpsc::channel::<Control>(64);
        let (groups, todo) = mpsc::channel::<Group>(4);
        let (orders, orders_in) = mpsc::channel::<Order>(16);
        let archive = match &parts.archive {
            Some(archive) => Some(
                Writer::open(&archive.spool, archive.config.clone())
                    .map_err(|e| Fault::Begin(e.to_string()))?,
            ),
            None => None,
        };
        let mut source = tokio::select! {
            source = (parts.source)() => source?,
            () = stop.cancelled() => return Ok(()),
        };
        let (keeper, next) = match self.keeper(&control).await {
            Ok(keeper) => keeper,
            Err(fault) => {
                source.close().await;
                return Err(fault);
            }
        };
        let rules = parts.rules.clone();
        // Planning waits for a runtime of its own, which a thread of this one must not.
        let engine = tokio::task::spawn_blocking(move || rules.engine()).await;
        let engine = engine.unwrap_or_else(|error| Err(error.to_string())).map_err(Fault::Begin)?;
        let committer = Committer {
            replica: parts.settings.replica.clone(),
            journal: parts.checkpoints.as_ref().map(Checkpoints::journal),
            archive: parts.archive.as_ref().map(|archive| archive.store.clone()),
            commit: source.commits(),
            metrics: parts.metrics.clone(),
            health: parts.health.clone(),
            control: control.clone(),
        };
        let detect = Detect {
            handle: Handle::current(),
            settings: parts.settings.clone(),
            clock: parts.clock.clone(),
            stop: stop.clone(),
            metrics: parts.metrics.clone(),
            health: parts.health.clone(),
            outbox: parts.outbox.clone(),
            dead_letters: parts.dead_letters.clone(),
            archive,
            groups,
            orders: orders.clone(),
            engine,
            windows: Windows::new(parts.settings.replica.clone(), next),
            finite: parts.finite,
        };
        let tasks = Tasks {
            committer: tokio::spawn(committer.run(todo)),
            keeper: keeper.map(|keeper| (tokio::spawn(keeper.run(orders_in)), orders)),
        };

        let (done, mut ended) = oneshot::channel();
        let thread = std::thread::Builder::new().name("detect".into()).spawn(move || {
            let outcome = detect.run(source.as_mut(), &mut controls);
            // Whoever waited is gone only if the process is.
            let _ = done.send((outcome, source));
        });
        thread.map_err(|e| Fault::Begin(format!("cannot start the detecting thread: {e}")))?;
        let ended = loop {
            tokio::select! {
                ended = &mut ended => break ended,
                Some(()) = self.reloads.recv() => self.reload(&control).await,
            }
        };
        match ended {
            Ok((outcome, source)) => {
                let finished = tasks.end().await;
                let closed = tokio::time::timeout(CLOSE, source.close()).await;
                outcome?;
                if closed.is_err() {
                    tracing::warn!("the source did not close in time; its leases expire by themselves");
                }
                finished
            }
            // The thread is gone without a word: it panicked, and the panic is on standard error.
            Err(_) => {
                let _ = tasks.end().await;
                Err(Fault::Begin("the detecting thread failed; this is a defect worth a report".into()))
            }
        }
    }

    /// The keeper of windows and the number of the first segment; none without a journal.
    async fn keeper(&self, control: &mpsc::Sender<Control>) -> Result<(Option<Keeper>, Option<u64>), Fault> {
        let Some(checkpoints) = &self.parts.checkpoints else { return Ok((None, None)) };
        let settings = &self.parts.settings;
        let mut keeper =
            Keeper::new(checkpoints.clone(), settings.replica.clone(), settings.lease, control.clone());
        let failed = |error: CheckpointError| Fault::Begin(error.to_string());
        let next = keeper.next_number().await.map_err(failed)?;
        keeper.begin().await.map_err(failed)?;
        Ok((Some(keeper), Some(next)))
    }

    async fn reload(&self, control: &mpsc::Sender<Control>) {
        let rules = self.parts.rules.clone();
        let metrics = &self.parts.metrics;
        // Planning takes a tenth of a second, which other tasks need not wait for.
        let reloaded = tokio::task::spawn_blocking(move || rules.reload()).await;
        let outcome = match reloaded {
            Ok(Ok(None)) => {
                tracing::info!("rules and lists were read again: nothing changed");
                return;
            }
            Ok(Ok(Some((engine, changes)))) => {
                for change in changes {
                    tracing::info!("reloaded: {change}");
                }
                let _ = control.send(Control::Reload(Box::new(engine))).await;
                "done"
            }
            Ok(Err(problems)) => {
                for problem in problems {
                    tracing::error!("{problem}");
                }
                tracing::error!("rules and lists were not reloaded; the last good ones stay");
                "refused"
            }
            Err(error) => {
                tracing::error!("rules and lists were not reloaded: {error}");
                "refused"
            }
        };
        let label = crate::telemetry::metrics::Outcome { outcome: outcome.into() };
        metrics.reloads.get_or_create(&label).inc();
    }
}

impl Tasks {
    /// Lets the last groups become durable, then gives the lease on windows back.
    async fn end(self) -> Result<(), Fault> {
        let abort = self.committer.abort_handle();
        let committed = tokio::time::timeout(COMMIT, self.committer).await;
        abort.abort();
        if let Some((task, orders)) = self.keeper {
            let (done, released) = oneshot::channel();
            let given_back = async {
                if orders.send(Order::Stop(done)).await.is_ok() {
                    let _ = released.await;
                }
            };
            if tokio::time::timeout(GIVE_BACK, given_back).await.is_err() {
                task.abort();
            }
        }
        match committed {
            Ok(Ok(())) => Ok(()),
            _ => Err(Fault::Begin("the last commit did not succeed in time".into())),
        }
    }
}
