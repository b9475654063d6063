//! What `[source.eventhubs]` says, and the intervals that only tests change.

use std::time::Duration;

use crate::identity::Auth;

/// Where reading begins where no checkpoint exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    #[default]
    Earliest,
    Latest,
    /// Microseconds since the epoch.
    Time(i64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    #[default]
    Tcp,
    WebSocket,
}

/// What `[source.eventhubs]` says.
#[derive(Debug, Clone)]
pub struct Config {
    /// Fully qualified: `contoso.servicebus.windows.net`.
    pub namespace: String,
    pub hub: String,
    pub consumer_group: String,
    pub start: Start,
    /// `amqp://127.0.0.1:5672`: plaintext for loopback only, which the configuration has made sure of.
    pub endpoint: Option<String>,
    pub transport: Transport,
    pub auth: Auth,
    /// Unique and, for a pod, stable: the name under which partitions are owned.
    pub replica: String,
    /// Bytes of messages that are taken ahead, all partitions together.
    pub prefetch_bytes: usize,
    /// A lease not renewed for this long is anybody's.
    pub lease: Duration,
    pub timing: Timing,
}

/// How long is waited for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// For a connection to open, and for each answer of `$management`.
    pub patience: Duration,
    /// Between two looks at what the hub has of each partition.
    pub check: Duration,
    /// A partition of which the hub has messages and none come for this long is stalled.
    pub stall: Duration,
    /// Between the first two attempts to connect; doubled with each.
    pub first_retry: Duration,
    /// Between two attempts at most.
    pub last_retry: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(30),
            check: Duration::from_secs(5),
            stall: Duration::from_secs(20),
            first_retry: Duration::from_millis(100),
            last_retry: Duration::from_secs(30),
        }
    }
}

/// Grows with each failure, with jitter, so that replicas do not come back all at once.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    last: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(timing: &Timing) -> Self {
        Self { first: timing.first_retry, last: timing.last_retry, next: timing.first_retry }
    }

    /// How long to wait now.
    pub(super) fn delay(&mut self) -> Duration {
        let delay = self.next.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.next = (self.next * 2).min(self.last);
        delay
    }

    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }
}
