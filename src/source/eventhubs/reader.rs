//! Reads one partition: takes messages, hands them on in batches as large as the pipeline is slow, and gets
//! over whatever happens to the connection by making a new one that goes on behind the last message handed
//! on. Ends when it is stopped, when another receiver takes the partition, or when the very first attempt
//! shows that the configuration is wrong.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::UNIX_EPOCH;

use azure_messaging_eventhubs::StartLocation;
use azure_messaging_eventhubs::StartPosition;
use azure_messaging_eventhubs::models::ReceivedEventData;
use futures::FutureExt as _;
use futures::StreamExt as _;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::budget::Room;
use super::budget::Size;
use super::config::Backoff;
use super::config::Start;
use super::fault::Fault;
use super::gather::Gather;
use super::gather::Message;
use super::gather::Taken;
use super::health::Progress;
use super::lease;
use super::management::Extent;
use super::shared::Shared;
use crate::event::Partition;
use crate::event::Position;
use crate::source::Incoming;
use crate::source::Received;
use crate::source::SourceError;
use crate::telemetry::metrics;

/// What the hub has is asked for in front of every attempt, but reading can do without.
const EXTENT_PATIENCE: Duration = Duration::from_secs(5);
/// The messages a link has ahead are adapted when they are this many times too many, or too few, and after
/// so many messages: opening again costs more than a few that are not ahead.
const TOO_MANY: u32 = 2;
const ENOUGH_TO_SHRINK: u64 = 16;
const TOO_FEW: u32 = 4;
const ENOUGH_TO_GROW: u64 = 2000;

/// Why a reader ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Stopped,
    Stolen,
    /// Said why.
    Failed,
}

/// Why a connection ended.
enum Trouble {
    Fault(Fault),
    Stalled,
    /// The sizes of messages changed.
    Resize,
    /// Nobody wants messages any more.
    Closed,
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Where to go on.
#[derive(Debug, Clone)]
enum Place {
    /// The checkpoint was not read yet.
    Unknown,
    /// As configured: there is no checkpoint.
    Start,
    Earliest,
    Behind(Position),
}

pub(super) struct Reader {
    shared: Arc<Shared>,
    partition: Partition,
    progress: Arc<Progress>,
    place: Place,
    /// Something was handed on.
    handed: bool,
    size: Size,
    backoff: Backoff,
    messages: Counter,
    lag: Gauge,
    stalled: Gauge,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, partition: Partition) -> Self {
        let label = label(&partition);
        let metrics = &shared.metrics;
        let messages = metrics.messages.get_or_create(&label).clone();
        let lag = metrics.lag.get_or_create(&label).clone();
        let stalled = metrics.stalled.get_or_create(&label).clone();
        Self {
            progress: shared.health.add(&partition),
            place: Place::Unknown,
            handed: false,
            size: Size::unknown(),
            backoff: Backoff::new(shared.timing()),
            messages,
            lag,
            stalled,
            shared,
            partition,
        }
    }

    /// Reads until the end, and says of a partition that is lost that it is.
    pub(super) async fn run(mut self, stop: CancellationToken) -> End {
        // Dropping the reading in the middle loses nothing: what was not handed on is nobody's.
        let end = tokio::select! {
            biased;
            () = stop.cancelled() => End::Stopped,
            end = self.read() => end,
        };
        let shared = &self.shared;
        shared.health.remove(&self.partition);
        let label = label(&self.partition);
        shared.metrics.lag.remove(&label);
        shared.metrics.stalled.remove(&label);
        if end != End::Failed && !shared.closing.is_cancelled() {
            shared.held.remove(&self.partition);
            self.say_lost().await;
        }
        end
    }

    async fn say_lost(&self) {
        let lost = Ok(Incoming::Lost(Partition::clone(&self.partition)));
        tokio::select! {
            () = self.shared.closing.cancelled() => {}
            _ = self.shared.out.send(lost) => {}
        }
    }

    async fn read(&mut self) -> End {
        let owned = Ok(Incoming::Owned(Partition::clone(&self.partition)));
        // Fails where nobody listens any more, which reading finds out too.
        let _ = self.shared.out.send(owned).await;
        let partition = Partition::clone(&self.partition);
        self.progress.change(|state| state.disconnected = Some(Instant::now()));
        loop {
            self.progress.change(|state| {
                state.waiting.get_or_insert_with(Instant::now);
            });
            let Err(trouble) = self.connection().await;
            let fault = match trouble {
                Trouble::Closed => return End::Stopped,
                Trouble::Resize => {
                    tracing::debug!(%partition, "messages have another size now: opening the receiver again");
                    None
                }
                Trouble::Stalled => {
                    tracing::warn!(%partition, "the hub has messages and none came: connecting anew");
                    self.count("stalled");
                    None
                }
                Trouble::Fault(Fault::Stolen(_)) => {
                    tracing::info!(%partition, "another receiver took the partition");
                    self.count("stolen");
                    return End::Stolen;
                }
                Trouble::Fault(fault) => Some(fault),
            };
            if let Some(fault) = fault
                && let Some(end) = self.failed(fault).await
            {
                return end;
            }
            // Connecting takes the partition away from whoever reads it, so it must be ours still.
            if !self.is_ours().await {
                return End::Stolen;
            }
        }
    }

    /// Waits after a fault, or ends.
    async fn failed(&mut self, fault: Fault) -> Option<End> {
        self.progress.change(|state| {
            state.disconnected.get_or_insert_with(Instant::now);
        });
        if fault.is_permanent() && !self.shared.proven.load(Ordering::Relaxed) {
            let error = SourceError(fault.text().to_owned());
            // Fails where nobody listens, who then needs no error.
            let _ = self.shared.out.send(Err(error)).await;
            return Some(End::Failed);
        }
        let delay = self.backoff.delay();
        let partition = &self.partition;
        tracing::warn!(%partition, error = fault.text(), ?delay, "reading failed: connecting anew");
        self.count("error");
        sleep(delay).await;
        None
    }

    async fn is_ours(&self) -> bool {
        match self.shared.held.get(&self.partition) {
            Some(holding) => lease::renew(&self.shared, &self.partition, &holding).await,
            None => false,
        }
    }

    fn count(&self, reason: &str) {
        let reason = metrics::Reason { reason: reason.to_owned() };
        self.shared.metrics.reconnects.get_or_create(&reason).inc();
    }

    /// One connection, until it is of no use any more.
    async fn connection(&mut self) -> Result<std::convert::Infallible, Trouble> {
        let shared = Arc::clone(&self.shared);
        let start = self.start().await?;
        let client = shared.link.connect().await?;
        let ahead = shared.budget.ahead(&self.size);
        let receiver = client.receiver(&self.partition, start, ahead).await?;
        let mut events = receiver.stream_events();
        let mut gather = Gather::behind(match &self.place {
            Place::Behind(position) => Some(position.sequence),
            _ => None,
        });
        let mut proof = std::pin::pin!(sleep(shared.timing().check));
        let mut works = false;
        let opened = self.messages.get();
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = self.progress.reopen.notified() => return Err(Trouble::Stalled),
                () = &mut proof, if !works => {
                    works = true;
                    self.works();
                    continue;
                }
            };
            self.take(event, &mut gather)?;
            if !works {
                works = true;
                self.works();
            }
            self.progress.change(|state| state.waiting = None);
            // What is here already comes along; nothing is waited for.
            let (mut trouble, mut room) = (None, Room::default());
            let mut more = shared.budget.grow(&mut room, gather.bytes());
            while more && trouble.is_none() && !gather.is_full() {
                let Some(event) = events.next().now_or_never() else { break };
                trouble = self.take(event, &mut gather).err();
                more = shared.budget.grow(&mut room, gather.bytes());
            }
            if !gather.is_empty() {
                // Room first: who waits for it must not keep others from being handed on.
                shared.budget.fill(&mut room, gather.bytes()).await;
                let slot = loop {
                    tokio::select! {
                        biased;
                        slot = shared.out.reserve() => break slot.map_err(|_| Trouble::Closed)?,
                        // While the pipeline is busy the batch grows.
                        event = events.next(), if more && trouble.is_none() && !gather.is_full() => {
                            trouble = self.take(event, &mut gather).err();
                            more = shared.budget.grow(&mut room, gather.bytes());
                            shared.budget.fill(&mut room, gather.bytes()).await;
                        }
                    }
                };
                let (bytes, messages) = (gather.bytes(), gather.messages());
                if let Some((raw, span)) = gather.take(&self.partition) {
                    self.note(&span.last, messages, bytes);
                    let (received, room) = ((shared.clock)(), room.0);
                    slot.send(Ok(Incoming::Messages(Received { raw, span, received, room })));
                }
            }
            if let Some(trouble) = trouble {
                return Err(trouble);
            }
            let better = shared.budget.ahead(&self.size);
            let seen = self.messages.get() - opened;
            if (ahead > better * TOO_MANY && seen > ENOUGH_TO_SHRINK)
                || (ahead * TOO_FEW < better && seen > ENOUGH_TO_GROW)
            {
                return Err(Trouble::Resize);
            }
            self.progress.change(|state| state.waiting = Some(Instant::now()));
        }
    }

    /// Messages come, or could.
    fn works(&mut self) {
        self.shared.proven.store(true, Ordering::Relaxed);
        self.backoff.reset();
        self.progress.change(|state| state.disconnected = None);
    }

    fn take(
        &mut self,
        event: Option<azure_messaging_eventhubs::Result<ReceivedEventData>>,
        gather: &mut Gather,
    ) -> Result<(), Trouble> {
        let event = match event {
            Some(Ok(event)) => event,
            Some(Err(error)) => return Err(self.shared.link.fault(&error).into()),
            None => return Err(Fault::Passing("the receiver ended".to_owned()).into()),
        };
        let message = Message::of(&event, gather.seen());
        let sequence = message.position.sequence;
        self.size.see(message.body.len());
        match gather.add(message) {
            Taken::Added => {}
            Taken::Repeated => {
                tracing::debug!(partition = %self.partition, sequence, "a message came again: dropped");
            }
            Taken::Missing(missing) => tracing::warn!(
                partition = %self.partition,
                missing,
                before = sequence,
                "messages are missing: they expired in the hub before they were read, or it is compacted"
            ),
        }
        Ok(())
    }

    /// Everything up to `last` is handed on.
    fn note(&mut self, last: &Position, messages: usize, bytes: usize) {
        let shared = &self.shared;
        self.messages.inc_by(messages as u64);
        shared.metrics.bytes.inc_by(bytes as u64);
        let queue = metrics::Queue { queue: "source" };
        let taken = i64::try_from(shared.budget.taken()).unwrap_or(i64::MAX);
        shared.metrics.queue_bytes.get_or_create(&queue).set(taken);
        let received = (shared.clock)();
        let mut lag = None;
        self.progress.change(|state| {
            let came = last.sequence - state.seen.unwrap_or(last.sequence);
            state.lag = state.lag.map(|lag| (lag - came).max(0));
            lag = state.lag;
            state.seen = Some(last.sequence);
            state.handed = state.seen;
            state.received = Some(received);
            state.stalled = false;
            state.idle = false;
        });
        if let Some(lag) = lag {
            self.lag.set(lag);
        }
        self.stalled.set(0);
        self.place = Place::Behind(last.clone());
        self.handed = true;
    }

    /// Where the next connection begins.
    async fn start(&mut self) -> Result<StartPosition, Trouble> {
        if matches!(self.place, Place::Unknown) {
            self.place = match self.checkpoint().await? {
                Some(position) => Place::Behind(position),
                None => Place::Start,
            };
        }
        let start = self.shared.link.config.start;
        if matches!((&self.place, start), (Place::Start, Start::Latest)) {
            self.place = Place::Behind(self.newest().await?);
        }
        if let Place::Behind(position) = self.place.clone()
            && let Some(extent) = self.extent().await
            && extent.last.sequence < position.sequence
        {
            self.begin_anew(&position, &extent).await?;
        }
        let (seen, location) = match (&self.place, start) {
            // Nothing was ever sent to the partition: no place to be behind of.
            (Place::Behind(position), _) if position.sequence < 0 => (Some(-1), StartLocation::Earliest),
            (Place::Behind(position), _) => {
                (Some(position.sequence), StartLocation::SequenceNumber(position.sequence))
            }
            (Place::Start, Start::Time(time)) => {
                // Of messages that were taken at that very time, too. The service counts milliseconds.
                let before = u64::try_from(time / 1000 - 1).unwrap_or(0);
                (None, StartLocation::EnqueuedTime(UNIX_EPOCH + Duration::from_millis(before)))
            }
            _ => (Some(-1), StartLocation::Earliest),
        };
        self.progress.change(|state| state.seen = seen);
        tracing::info!(partition = %self.partition, start = ?location, "reading");
        Ok(StartPosition { location, inclusive: false })
    }

    async fn checkpoint(&self) -> Result<Option<Position>, Fault> {
        let patience = self.shared.timing().patience;
        match timeout(patience, self.shared.checkpoints.position(&self.partition)).await {
            Ok(Ok(position)) => Ok(position),
            Ok(Err(error)) => Err(Fault::Passing(error.to_string())),
            Err(_) => Err(Fault::timeout("reading the checkpoint", patience)),
        }
    }

    /// "Latest" means now, once: it is noted as a checkpoint, so that no later attempt, and no other
    /// replica, takes a later now for it.
    async fn newest(&self) -> Result<Position, Fault> {
        let newest = self.shared.management.extent(&self.partition).await?.last;
        let patience = self.shared.timing().patience;
        match timeout(patience, self.shared.checkpoints.write_position(&self.partition, &newest)).await {
            Ok(Ok(())) => Ok(newest),
            Ok(Err(error)) => Err(Fault::Passing(error.to_string())),
            Err(_) => Err(Fault::timeout("writing the first checkpoint", patience)),
        }
    }

    async fn extent(&self) -> Option<Extent> {
        let patience = EXTENT_PATIENCE.min(self.shared.timing().patience);
        timeout(patience, self.shared.management.extent(&self.partition)).await.ok()?.ok()
    }

    /// The hub ends before our place: it was deleted and made again, and counts from the beginning.
    async fn begin_anew(&mut self, position: &Position, extent: &Extent) -> Result<(), Trouble> {
        tracing::warn!(
            partition = %self.partition,
            checkpoint = position.sequence,
            last = extent.last.sequence,
            "the hub ends before the checkpoint: it was made anew, reading it from its beginning"
        );
        let patience = self.shared.timing().patience;
        if std::mem::take(&mut self.handed) {
            // The pipeline must not take the new numbers for old ones.
            self.say_lost().await;
            self.progress.change(|state| state.handed = None);
        }
        match timeout(patience, self.shared.checkpoints.forget_position(&self.partition)).await {
            Ok(Ok(())) => self.place = Place::Earliest,
            Ok(Err(error)) => return Err(Fault::Passing(error.to_string()).into()),
            Err(_) => return Err(Fault::timeout("removing the checkpoint", patience).into()),
        }
        Ok(())
    }
}

fn label(partition: &Partition) -> metrics::Partition {
    metrics::Partition { partition: partition.to_string() }
}
