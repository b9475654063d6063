//! Messages of one partition put together for the pipeline. Here repeats are dropped and gaps noticed,
//! by sequence number: a receiver that was opened again must neither repeat nor skip.

use std::time::UNIX_EPOCH;

use azure_messaging_eventhubs::models::AmqpMessage;
use azure_messaging_eventhubs::models::ReceivedEventData;
use bytes::Bytes;

use crate::event::Partition;
use crate::event::Position;
use crate::event::RawBatch;
use crate::event::Span;

const MOST_BYTES: usize = 1 << 20;
const MOST_MESSAGES: usize = 512;

/// What one message is to us.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) position: Position,
    pub(super) body: Bytes,
}

impl Message {
    /// `after` is the sequence number before it, for a service that does not number its messages.
    pub(super) fn of(event: &ReceivedEventData, after: Option<i64>) -> Self {
        let enqueued = event.enqueued_time().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let position = Position {
            sequence: event.sequence_number().unwrap_or_else(|| after.map_or(0, |after| after + 1)),
            offset: event.offset().clone().unwrap_or_default(),
            enqueued: enqueued.map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX)),
        };
        let body = match event.event_data().body() {
            Some(body) => Bytes::copy_from_slice(body),
            // Not one binary section, which is what every sender of Azure makes: hand on the message as it
            // is on the wire, so that the decoder can tell what it was.
            None => AmqpMessage::serialize(event.raw_amqp_message()).unwrap_or_default().into(),
        };
        Self { position, body }
    }
}

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Added,
    /// Seen before.
    Repeated,
    /// Added, and this many in front of it never came.
    Missing(i64),
}

/// Messages not handed on yet.
#[derive(Debug, Default)]
pub(super) struct Gather {
    bodies: Vec<Bytes>,
    bytes: usize,
    first: i64,
    last: Option<Position>,
    /// Sequence number of the last message added, this batch or an earlier one.
    seen: Option<i64>,
}

impl Gather {
    /// Goes on behind `seen`.
    pub(super) fn behind(seen: Option<i64>) -> Self {
        Self { seen, ..Self::default() }
    }

    pub(super) fn seen(&self) -> Option<i64> {
        self.seen
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn messages(&self) -> usize {
        self.bodies.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bodies.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes >= MOST_BYTES || self.bodies.len() >= MOST_MESSAGES
    }

    pub(super) fn add(&mut self, message: Message) -> Taken {
        let sequence = message.position.sequence;
        let missing = match self.seen {
            Some(seen) if sequence <= seen => return Taken::Repeated,
            Some(seen) => sequence - seen - 1,
            None => 0,
        };
        if self.bodies.is_empty() {
            self.first = sequence;
        }
        self.bytes += message.body.len();
        self.bodies.push(message.body);
        self.last = Some(message.position);
        self.seen = Some(sequence);
        if missing > 0 { Taken::Missing(missing) } else { Taken::Added }
    }

    /// Everything gathered; begins anew behind it.
    pub(super) fn take(&mut self, partition: &Partition) -> Option<(RawBatch, Span)> {
        let last = self.last.take()?;
        self.bytes = 0;
        let span = Span { partition: Partition::clone(partition), first: self.first, last };
        Some((RawBatch { bodies: std::mem::take(&mut self.bodies) }, span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(sequence: i64, bytes: usize) -> Message {
        let position = Position { sequence, offset: (sequence * 10).to_string(), enqueued: sequence };
        Message { position, body: vec![b'x'; bytes].into() }
    }

    #[test]
    fn repeats_are_dropped_and_gaps_counted() {
        let mut gather = Gather::behind(Some(4));
        let taken: Vec<_> =
            [4, 5, 6, 6, 3, 9, 10].into_iter().map(|sequence| gather.add(message(sequence, 10))).collect();
        use Taken::{Added, Missing, Repeated};
        assert_eq!(taken, [Repeated, Added, Added, Repeated, Repeated, Missing(2), Added]);
        let (raw, span) = gather.take(&"0".into()).unwrap();
        assert_eq!(raw.bodies.len(), 4);
        assert_eq!((span.first, span.last.sequence, span.last.offset.as_str()), (5, 10, "100"));
        assert!(gather.is_empty() && gather.take(&"0".into()).is_none());
        assert_eq!(gather.add(message(10, 1)), Repeated);
        assert_eq!(gather.add(message(11, 1)), Added);
    }

    #[test]
    fn a_batch_is_bounded_by_bytes_and_by_messages() {
        let mut gather = Gather::behind(None);
        gather.add(message(0, MOST_BYTES - 1));
        assert!(!gather.is_full());
        gather.add(message(1, 1));
        assert!(gather.is_full());
        gather.take(&"0".into());
        for sequence in 2..2 + MOST_MESSAGES as i64 {
            assert!(!gather.is_full());
            gather.add(message(sequence, 1));
        }
        assert!(gather.is_full());
    }
}
