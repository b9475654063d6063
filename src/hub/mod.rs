//! A development hub: an embedded, in-memory, Event Hubs-compatible AMQP 1.0 endpoint on loopback.
//!
//! For development, tests and `aksentry demo` only: nothing is on disk, nothing is encrypted, and it
//! listens on 127.0.0.1. It speaks what clients of Event Hubs use: `$cbs`, `$management`, readers of
//! partitions that begin at an offset, a sequence number, a time or the end, epochs that steal, and
//! senders. One log stands behind every hub name, unless one name is given. Tests can cut connections,
//! detach links and stall partitions.
//!
//! Left to others: reading the files that are loaded (`cli`).

mod batch;
mod connection;
mod encoding;
mod frames;
mod link;
mod log;
mod node;
mod sas;
mod seats;
mod selector;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fe2o3_amqp_types::definitions::{AmqpError, Error};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use xxhash_rust::xxh3::xxh3_64;

use crate::event::Clock;
use crate::identity::Secret;

pub use log::Log;

use log::Content;
use seats::Seats;

/// The port of AMQP without encryption.
pub const DEFAULT_PORT: u16 = 5672;
/// As many as the largest kind of Event Hub has.
pub const MOST_PARTITIONS: u16 = 2000;

/// When a delivery that came in is settled. The Azure SDK for Rust notes a delivery only after it has
/// been written, and waits for ever if it is settled before that; no real service is as fast.
const SETTLE_AFTER: Duration = Duration::from_millis(10);

/// What a hub is to be like.
#[derive(Clone)]
pub struct Options {
    /// 0: any that is free.
    pub port: u16,
    pub partitions: u16,
    /// The only name it goes by, upper or lower case; `None`: every name.
    pub hub: Option<String>,
    /// Name and key that shared access signatures must be made with; `None`: any token is good.
    pub key: Option<(String, Secret)>,
    /// The oldest messages are dropped beyond this.
    pub retain_bytes: usize,
    /// The service's own time, which messages are stamped with and tokens expire by.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            partitions: 4,
            hub: None,
            key: None,
            retain_bytes: 256 << 20,
            clock: Arc::new(system_time),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the hub plays a service, and a service has its own time")]
fn system_time() -> i64 {
    chrono::Utc::now().timestamp_micros()
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { port, partitions, hub, key, retain_bytes, clock: _ } = self;
        f.debug_struct("Options")
            .field("port", port)
            .field("partitions", partitions)
            .field("hub", hub)
            .field("key", key)
            .field("retain_bytes", retain_bytes)
            .finish_non_exhaustive()
    }
}

/// A hub that cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    #[error("listening on 127.0.0.1:{port}: {reason}; give another port, or 0 for any that is free")]
    Listen { port: u16, reason: io::Error },
    #[error("a hub with {0} partitions: give a number from 1 to {MOST_PARTITIONS}")]
    Partitions(usize),
}

/// A partition's part in what runs.
#[derive(Debug, Default)]
struct Flow {
    news: watch::Sender<()>,
    stalled: AtomicBool,
    delivered: AtomicU64,
}

/// What connections and links share.
#[derive(Debug)]
struct Shared {
    options: Options,
    address: SocketAddr,
    /// When the hub was started, milliseconds since the epoch.
    created: i64,
    log: Mutex<Log>,
    flows: Vec<Flow>,
    /// Counts messages that go to no partition in particular.
    turn: AtomicUsize,
    seats: Arc<Seats>,
    /// Of the connections there are now.
    cut: Mutex<CancellationToken>,
    refuse: AtomicBool,
    stop: CancellationToken,
}

impl Shared {
    fn now(&self) -> i64 {
        (self.options.clock)()
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn partitions(&self) -> usize {
        self.flows.len()
    }

    fn goes_by(&self, name: &str) -> bool {
        self.options.hub.as_ref().is_none_or(|hub| hub.eq_ignore_ascii_case(name))
    }

    fn partition(&self, id: &str) -> Option<usize> {
        id.parse().ok().filter(|id| *id < self.partitions())
    }

    fn news(&self, partition: usize) -> Option<watch::Receiver<()>> {
        self.flows.get(partition).map(|flow| flow.news.subscribe())
    }

    fn stalled(&self, partition: usize) -> bool {
        self.flows.get(partition).is_some_and(|flow| flow.stalled.load(Ordering::Acquire))
    }

    fn count_delivery(&self, partition: usize) {
        if let Some(flow) = self.flows.get(partition) {
            flow.delivered.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn uncount_delivery(&self, partition: usize) {
        if let Some(flow) = self.flows.get(partition) {
            flow.delivered.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Adds messages to one partition: the one given, that of their key, or the next in turn. Gives the
    /// sequence number of the last.
    fn add(&self, partition: Option<usize>, messages: Vec<Content>) -> Option<i64> {
        let key =
            messages.first().and_then(log::partition_key).map(|key| xxh3_64(format!("{key:?}").as_bytes()));
        let count = self.partitions();
        let partition = partition.unwrap_or_else(|| match key {
            Some(hash) => usize::try_from(hash % (count as u64)).unwrap_or_default(),
            None => self.turn.fetch_add(1, Ordering::Relaxed) % count,
        });
        let now = self.now().div_euclid(1000);
        let last = {
            let mut log = self.log();
            let append = |message| log.append(partition, message, now, self.options.retain_bytes);
            messages.into_iter().map(append).last().flatten()
        };
        if let Some(flow) = self.flows.get(partition) {
            flow.news.send_replace(());
        }
        last
    }

    fn cut(&self) -> CancellationToken {
        self.cut.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn refuses(&self) -> bool {
        self.refuse.load(Ordering::Acquire)
    }
}

/// A running hub. Stops when the last clone is dropped, or by [`Hub::stop`].
#[derive(Debug, Clone)]
pub struct Hub {
    shared: Arc<Shared>,
    listener: Arc<Mutex<Option<JoinHandle<()>>>>,
    _stop: Arc<DropGuard>,
}

impl Hub {
    /// Starts an empty hub on 127.0.0.1.
    pub async fn start(options: Options) -> Result<Self, HubError> {
        Self::start_with(options, Log::default()).await
    }

    /// Starts a hub with the messages of one that was stopped. It has at least the partitions of the log.
    pub async fn start_with(options: Options, mut log: Log) -> Result<Self, HubError> {
        log.extend_to(usize::from(options.partitions));
        let partitions = log.partitions();
        if partitions == 0 || partitions > usize::from(MOST_PARTITIONS) {
            return Err(HubError::Partitions(partitions));
        }
        let listen = |reason| HubError::Listen { port: options.port, reason };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            created: (options.clock)().div_euclid(1000),
            options,
            address,
            log: Mutex::new(log),
            flows: (0..partitions).map(|_| Flow::default()).collect(),
            turn: AtomicUsize::new(0),
            seats: Arc::default(),
            cut: Mutex::default(),
            refuse: AtomicBool::new(false),
            stop: stop.clone(),
        });
        let listener = tokio::spawn(connection::listen(Arc::clone(&shared), listener));
        Ok(Self {
            shared,
            listener: Arc::new(Mutex::new(Some(listener))),
            _stop: Arc::new(stop.drop_guard()),
        })
    }

    /// Cuts all connections, gives the port back, and hands out the messages. The hub's other clones
    /// have none from then on.
    pub async fn stop(self) -> Log {
        self.shared.stop.cancel();
        self.drop_connections();
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(listener) = listener {
            // It can only end by itself, or because the runtime ends.
            let _ = listener.await;
        }
        std::mem::take(&mut *self.shared.log())
    }

    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// The address as a client's custom endpoint: `amqp://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("amqp://{}", self.shared.address)
    }

    /// What a client may use as connection string, beside [`Hub::endpoint`]: with the hub's key where it
    /// has one, else with any.
    pub fn connection_string(&self) -> Secret {
        let (name, key) = match &self.shared.options.key {
            Some((name, key)) => (name.as_str(), key.expose()),
            None => ("RootManageSharedAccessKey", "SAS_KEY_VALUE"),
        };
        let port = self.shared.address.port();
        Secret::new(format!(
            "Endpoint=sb://localhost:{port};SharedAccessKeyName={name};SharedAccessKey={key};\
             UseDevelopmentEmulator=true;"
        ))
    }

    pub fn partitions(&self) -> u16 {
        u16::try_from(self.shared.partitions()).unwrap_or(MOST_PARTITIONS)
    }

    /// Adds a message and gives its sequence number. Without a partition they take turns; one that there
    /// is not is counted on from the first.
    pub fn publish(&self, partition: Option<u16>, body: Bytes) -> i64 {
        let partition = partition.map(|partition| usize::from(partition) % self.shared.partitions());
        self.shared.add(partition, vec![log::content(vec![body.to_vec()])]).unwrap_or(-1)
    }

    /// The newest sequence number of a partition; `None` if it never had a message.
    pub fn last_sequence(&self, partition: u16) -> Option<i64> {
        let bounds = self.shared.log().bounds(usize::from(partition))?;
        bounds.last.map(|(sequence, _, _)| sequence)
    }

    /// Messages kept now.
    pub fn messages(&self) -> usize {
        self.shared.log().len()
    }

    /// Events sent to readers since the start, by partition; each counts again when it is sent again. The
    /// one a reader has no credit for yet counts already, so that it is never less than what was received.
    pub fn deliveries(&self) -> Vec<u64> {
        self.shared.flows.iter().map(|flow| flow.delivered.load(Ordering::Acquire)).collect()
    }

    /// How many readers are attached, to wait for some.
    pub fn readers(&self) -> watch::Receiver<usize> {
        self.shared.seats.count()
    }

    /// Resets every connection there is.
    pub fn drop_connections(&self) {
        let mut cut = self.shared.cut.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *cut).cancel();
    }

    /// Detaches every reader with `amqp:internal-error`.
    pub fn detach_links(&self) {
        let text = "The service was unable to process the request; please retry the operation.".to_owned();
        self.shared.seats.clear(&Error::new(AmqpError::InternalError, text, None));
    }

    /// While stalled, a partition's readers stay attached and get nothing.
    pub fn stall(&self, partition: u16, stalled: bool) {
        if let Some(flow) = self.shared.flows.get(usize::from(partition)) {
            flow.stalled.store(stalled, Ordering::Release);
            flow.news.send_replace(());
        }
    }

    /// While refusing, new connections are reset at once; those there are stay.
    pub fn refuse(&self, refuse: bool) {
        self.shared.refuse.store(refuse, Ordering::Release);
    }
}
