//! How far event time has come, over all partitions, those of other replicas too.
//!
//! A partition that has said nothing for a while holds nobody up. Times are microseconds since the
//! epoch; idleness is measured on the monotonic clock, which no correction of the wall clock moves.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::event::Partition;

/// A partition without news for so long does not count.
pub const IDLE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy)]
struct Mark {
    latest: i64,
    heard: Instant,
}

/// Latest event time of each partition.
#[derive(Debug, Default)]
pub struct Watermark {
    marks: BTreeMap<Partition, Mark>,
    /// It never goes back: what was concluded stays concluded.
    reached: Option<i64>,
}

impl Watermark {
    /// Notes the latest event time seen in a partition.
    pub fn note(&mut self, partition: &Partition, latest: i64, now: Instant) {
        let mark = self.marks.entry(partition.clone()).or_insert(Mark { latest, heard: now });
        mark.latest = mark.latest.max(latest);
        mark.heard = now;
    }

    /// The partition is not heard any more by us; what others say of it counts when it comes.
    pub fn forget(&mut self, partition: &str) {
        self.marks.remove(partition);
    }

    /// The latest time of each partition, to be told to others.
    pub fn marks(&self) -> impl Iterator<Item = (&Partition, i64)> {
        self.marks.iter().map(|(partition, mark)| (partition, mark.latest))
    }

    /// The event time that all partitions which are not idle have reached. When all are idle, the
    /// furthest of them: nobody is left to wait for.
    pub fn seen(&mut self, now: Instant) -> Option<i64> {
        let lively = self.marks.values().filter(|mark| now.duration_since(mark.heard) < IDLE);
        let slowest = lively.map(|mark| mark.latest).min();
        let seen = slowest.or_else(|| self.marks.values().map(|mark| mark.latest).max());
        self.reached = self.reached.max(seen);
        self.reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_partition_counts_until_it_is_idle() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let (a, b): (Partition, Partition) = ("0".into(), "1".into());
        let mut watermark = Watermark::default();
        assert_eq!(watermark.seen(at(0)), None);
        watermark.note(&a, 100, at(0));
        watermark.note(&b, 40, at(0));
        assert_eq!(watermark.seen(at(1)), Some(40));
        watermark.note(&a, 300, at(29));
        assert_eq!(watermark.seen(at(29)), Some(40));
        assert_eq!(watermark.seen(at(31)), Some(300), "b is idle");
        watermark.note(&b, 50, at(32));
        assert_eq!(watermark.seen(at(32)), Some(300), "it never goes back");
        watermark.note(&a, 500, at(33));
        assert_eq!(watermark.seen(at(80)), Some(500), "all idle: the furthest");
    }
}
