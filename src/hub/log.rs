//! The messages of the hub, in memory: partitions of events with sequence number, offset and time.
//!
//! [`Log`] appends, finds where a reader begins, and drops the oldest events of all partitions when
//! more bytes are kept than it may keep. It knows nothing of connections, links or clocks.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use fe2o3_amqp::Sendable;
use fe2o3_amqp_types::messaging::annotations::OwnedKey;
use fe2o3_amqp_types::messaging::{Batch, Body, Data, Message, MessageAnnotations};
use fe2o3_amqp_types::primitives::{Timestamp, Value};

use super::selector::Start;

/// A message as clients send and receive it.
pub(super) type Content = Message<Body<Value>>;

const PARTITION_KEY: &str = "x-opt-partition-key";
/// What an event takes beside its body: annotations, maps, list entries.
const EVENT_OVERHEAD: usize = 1024;

/// A message of nothing but these data sections.
pub(super) fn content(body: Vec<Vec<u8>>) -> Content {
    let sections: Vec<Data> = body.into_iter().map(Data::from).collect();
    Message::from(Body::Data(Batch::new(sections)))
}

/// The key a sender wants its messages kept together by.
pub(super) fn partition_key(message: &Content) -> Option<&Value> {
    let annotations = message.message_annotations.as_ref()?;
    annotations.0.get(&OwnedKey::from(PARTITION_KEY))
}

/// One message of a partition. Never changes, so that a reader sends it without a copy of its own.
#[derive(Debug)]
pub(super) struct Event {
    pub sequence: i64,
    offset: i64,
    /// Milliseconds since the epoch.
    enqueued: i64,
    /// Place among the events of all partitions.
    order: u64,
    size: usize,
    pub sendable: Sendable<Body<Value>>,
}

#[derive(Debug, Default)]
struct Partition {
    events: VecDeque<Arc<Event>>,
    /// Sequence number of the next event.
    next: i64,
    /// Offset of the next event: the bytes before it, as in the service.
    offset: i64,
    /// Sequence, offset and time of the newest event, kept when the event is dropped.
    last: Option<(i64, i64, i64)>,
}

/// What is known of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub begin: i64,
    /// Sequence, offset and time in milliseconds of the newest event; `None` if there never was one.
    pub last: Option<(i64, i64, i64)>,
    pub empty: bool,
}

/// Every message of a hub; survives the hub it was taken from.
#[derive(Debug, Default)]
pub struct Log {
    partitions: Vec<Partition>,
    bytes: usize,
    order: u64,
}

impl Log {
    /// Partitions are added, never taken away: their events would be lost.
    pub(super) fn extend_to(&mut self, partitions: usize) {
        let count = self.partitions.len().max(partitions);
        self.partitions.resize_with(count, Partition::default);
    }

    pub(super) fn partitions(&self) -> usize {
        self.partitions.len()
    }

    /// Adds a message and gives its sequence number; `None` if there is no such partition.
    pub(super) fn append(
        &mut self,
        partition: usize,
        message: Content,
        now: i64,
        retain: usize,
    ) -> Option<i64> {
        let order = self.order;
        let place = self.partitions.get_mut(partition)?;
        // The clock may go back, a partition's time does not.
        let enqueued = place.last.map_or(now, |(_, _, time)| time.max(now));
        let (sequence, offset) = (place.next, place.offset);
        let size = body_size(&message.body) + EVENT_OVERHEAD;
        let sendable = Sendable::builder().message(annotated(message, sequence, offset, enqueued)).build();
        place.events.push_back(Arc::new(Event { sequence, offset, enqueued, order, size, sendable }));
        place.next += 1;
        place.offset = offset.saturating_add(i64::try_from(size).unwrap_or(i64::MAX));
        place.last = Some((sequence, offset, enqueued));
        self.order += 1;
        self.bytes += size;
        while self.bytes > retain && self.drop_oldest() {}
        Some(sequence)
    }

    /// Drops the oldest event of all, but never the only one.
    fn drop_oldest(&mut self) -> bool {
        let oldest = |p: &Partition| p.events.front().map(|event| event.order);
        let place = self.partitions.iter_mut().filter(|p| !p.events.is_empty()).min_by_key(|p| oldest(p));
        let Some(place) = place else { return false };
        if place.events.front().is_some_and(|event| event.order + 1 == self.order) {
            return false;
        }
        if let Some(event) = place.events.pop_front() {
            self.bytes -= event.size;
        }
        true
    }

    /// Up to `most` events from a sequence number on, or from the oldest there is.
    pub(super) fn read(&self, partition: usize, from: i64, most: usize) -> Vec<Arc<Event>> {
        let Some(place) = self.partitions.get(partition) else { return Vec::new() };
        let first = place.events.partition_point(|event| event.sequence < from);
        place.events.iter().skip(first).take(most).cloned().collect()
    }

    /// The sequence number a reader begins with.
    pub(super) fn find(&self, partition: usize, start: Start) -> i64 {
        let Some(place) = self.partitions.get(partition) else { return 0 };
        let before = |pass: &dyn Fn(&Event) -> bool| {
            let at = place.events.partition_point(|event| !pass(event));
            place.events.get(at).map_or(place.next, |event| event.sequence)
        };
        match start {
            Start::Earliest => before(&|_| true),
            Start::Latest => place.next,
            Start::Sequence { at, inclusive } => {
                before(&|e| e.sequence > at || (inclusive && e.sequence == at))
            }
            Start::Offset { at, inclusive } => before(&|e| e.offset > at || (inclusive && e.offset == at)),
            Start::Time { at, inclusive } => before(&|e| e.enqueued > at || (inclusive && e.enqueued == at)),
        }
    }

    pub(super) fn bounds(&self, partition: usize) -> Option<Bounds> {
        let place = self.partitions.get(partition)?;
        let begin = place.events.front().map_or(place.next, |event| event.sequence);
        Some(Bounds { begin, last: place.last, empty: place.events.is_empty() })
    }

    /// Messages kept now, all partitions together.
    pub fn len(&self) -> usize {
        self.partitions.iter().map(|p| p.events.len()).sum()
    }

    /// Whether no message is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bodies a partition keeps, oldest first; data sections of one message are joined.
    pub fn bodies(&self, partition: u16) -> Vec<Bytes> {
        let Some(place) = self.partitions.get(usize::from(partition)) else { return Vec::new() };
        let body = |event: &Arc<Event>| match &event.sendable.message.body {
            Body::Data(sections) => sections.iter().flat_map(|s| s.0.iter().copied()).collect(),
            _ => Bytes::new(),
        };
        place.events.iter().map(body).collect()
    }
}

fn body_size(body: &Body<Value>) -> usize {
    match body {
        Body::Data(sections) => sections.iter().map(|section| section.0.len()).sum(),
        _ => 0,
    }
}

/// The message as the service hands it out: its own sections, and the annotations of its place.
fn annotated(message: Content, sequence: i64, offset: i64, enqueued: i64) -> Content {
    let mut annotations =
        message.message_annotations.unwrap_or_else(|| MessageAnnotations(Default::default()));
    let mut set = |name: &str, value: Value| annotations.0.insert(OwnedKey::from(name), value);
    set("x-opt-sequence-number", Value::Long(sequence));
    set("x-opt-offset", Value::String(offset.to_string()));
    set("x-opt-enqueued-time", Value::Timestamp(Timestamp::from_milliseconds(enqueued)));
    Message { header: None, delivery_annotations: None, message_annotations: Some(annotations), ..message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(times: &[i64]) -> Log {
        let mut log = Log::default();
        log.extend_to(1);
        for time in times {
            log.append(0, content(vec![b"0123456789".to_vec()]), *time, usize::MAX).unwrap();
        }
        log
    }

    #[test]
    fn a_reader_begins_where_it_asks() {
        let log = log(&[100, 200, 200, 300]);
        let offset = |n: i64| n * i64::try_from(10 + EVENT_OVERHEAD).unwrap();
        let find = |start| log.find(0, start);
        assert_eq!(find(Start::Earliest), 0);
        assert_eq!(find(Start::Latest), 4);
        for (inclusive, sequence, time) in [(true, 2, 1), (false, 3, 3)] {
            assert_eq!(find(Start::Sequence { at: 2, inclusive }), sequence);
            assert_eq!(find(Start::Offset { at: offset(2), inclusive }), sequence);
            assert_eq!(find(Start::Time { at: 200, inclusive }), time);
        }
        assert_eq!(find(Start::Sequence { at: 99, inclusive: true }), 4);
        assert_eq!(find(Start::Offset { at: -1, inclusive: false }), 0);
    }

    #[test]
    fn the_oldest_of_all_partitions_go_first() {
        let mut log = Log::default();
        log.extend_to(2);
        let three = 3 * (10 + EVENT_OVERHEAD);
        for n in 0..6 {
            log.append(n % 2, content(vec![b"0123456789".to_vec()]), 0, three).unwrap();
        }
        assert_eq!(log.len(), 3);
        let begin = |partition| log.bounds(partition).unwrap().begin;
        assert_eq!((begin(0), begin(1)), (2, 1));
        // A reader behind what is kept goes on with the oldest there is.
        assert_eq!(log.read(0, 0, 9).first().unwrap().sequence, 2);
        // One that is too large alone is kept until the next comes.
        log.append(0, content(vec![vec![0; 9000]]), 0, three).unwrap();
        assert_eq!(log.len(), 1);
        assert_eq!(
            log.bounds(1).unwrap(),
            Bounds { begin: 3, last: log.bounds(1).unwrap().last, empty: true }
        );
    }

    #[test]
    fn time_in_a_partition_does_not_go_back() {
        let log = log(&[500, 100]);
        assert_eq!(log.bounds(0).unwrap().last.unwrap().2, 500);
    }
}
