//! Azure Event Hubs: partitions shared between replicas, receivers with a recovery of their own.

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
}
