//! Questions about the hub, on a connection of their own: one that carries messages may be the very thing
//! in doubt. The token is fixed when the connection is made, so an answer that fails is asked for again on
//! a new one.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use azure_messaging_eventhubs::models::EventHubPartitionProperties;
use tokio::sync::Mutex;

use super::fault::Fault;
use super::link::Client;
use super::link::Link;
use crate::event::Partition;
use crate::event::Position;

/// What the hub has of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Extent {
    /// Sequence number of the oldest message there is.
    pub(super) first: i64,
    /// The newest message; where there was never one its sequence is -1.
    pub(super) last: Position,
}

impl Extent {
    fn of(properties: EventHubPartitionProperties) -> Self {
        let enqueued =
            properties.last_enqueued_time_utc.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Self {
            first: properties.beginning_sequence_number,
            last: Position {
                sequence: properties.last_enqueued_sequence_number,
                offset: properties.last_enqueued_offset,
                enqueued: enqueued.map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX)),
            },
        }
    }

    /// How many messages there are behind `seen`.
    pub(super) fn behind(&self, seen: i64) -> i64 {
        self.last.sequence.saturating_sub(seen.max(self.first - 1)).max(0)
    }
}

/// Opened when it is first needed.
pub(super) struct Management {
    link: Arc<Link>,
    client: Mutex<Option<Client>>,
}

impl Management {
    pub(super) fn new(link: Arc<Link>) -> Self {
        Self { link, client: Mutex::default() }
    }

    /// The ids of all partitions.
    pub(super) async fn partitions(&self) -> Result<Vec<Partition>, Fault> {
        let mut slot = self.client.lock().await;
        // Taken out while it is used: a call that is given up in the middle leaves no half-used client.
        if let Some(client) = slot.take()
            && let Ok(ids) = client.partitions().await
        {
            *slot = Some(client);
            return Ok(ids.into_iter().map(Partition::from).collect());
        }
        let client = self.link.connect().await?;
        let ids = client.partitions().await?;
        *slot = Some(client);
        Ok(ids.into_iter().map(Partition::from).collect())
    }

    /// What the hub has of a partition now.
    pub(super) async fn extent(&self, partition: &str) -> Result<Extent, Fault> {
        let mut slot = self.client.lock().await;
        if let Some(client) = slot.take()
            && let Ok(properties) = client.properties(partition).await
        {
            *slot = Some(client);
            return Ok(Extent::of(properties));
        }
        let client = self.link.connect().await?;
        let properties = client.properties(partition).await?;
        *slot = Some(client);
        Ok(Extent::of(properties))
    }

    /// Ends the connection.
    pub(super) async fn close(&self) {
        self.client.lock().await.take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_behind_are_those_that_are_still_there() {
        let last = Position { sequence: 99, offset: String::new(), enqueued: 0 };
        let extent = Extent { first: 40, last };
        assert_eq!(extent.behind(98), 1);
        assert_eq!(extent.behind(10), 60, "the first forty have expired");
        assert_eq!(extent.behind(i64::MIN), 60);
        assert_eq!(extent.behind(99), 0);
        let last = Position { sequence: -1, offset: String::new(), enqueued: 0 };
        assert_eq!(Extent { first: 0, last }.behind(i64::MIN), 0);
    }
}
