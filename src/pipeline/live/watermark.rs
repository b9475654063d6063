//! How far event time has come, over all partitions, those of other replicas too.
//!
//! A partition counts from the moment somebody reads it, and holds everybody up until its messages were
//! seen or the hub says that it has none: what lies unread may be old. Times are microseconds since the
//! epoch.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::event::Partition;

/// What another replica said counts for so long; it says something every few seconds.
pub const HEARSAY: Duration = Duration::from_secs(60);

/// How far a partition is: the latest event time seen, and whether the hub has nothing newer.
pub type Mark = (Option<i64>, bool);

#[derive(Debug, Clone, Copy)]
struct Known {
    mark: Mark,
    /// When another replica said so; `None` for a partition of ours.
    heard: Option<Instant>,
}

/// Latest event time of each partition.
#[derive(Debug, Default)]
pub struct Watermark {
    known: BTreeMap<Partition, Known>,
    /// It never goes back: what was concluded stays concluded.
    reached: Option<i64>,
}

impl Watermark {
    /// This replica begins to read the partition.
    pub fn own(&mut self, partition: Partition) {
        let known = self.known.entry(partition).or_insert(Known { mark: (None, false), heard: None });
        (known.mark.1, known.heard) = (false, None);
    }

    /// Messages of a partition of ours were seen; the latest event time among them, if they had any.
    pub fn note(&mut self, partition: &Partition, latest: Option<i64>) {
        self.own(partition.clone());
        if let Some(known) = self.known.get_mut(partition) {
            known.mark.0 = known.mark.0.max(latest);
        }
    }

    /// What another replica says of a partition it reads.
    pub fn hear(&mut self, partition: Partition, (latest, idle): Mark, now: Instant) {
        let known = self.known.entry(partition).or_insert(Known { mark: (None, idle), heard: Some(now) });
        // What we know of our own partitions we know better.
        if known.heard.is_some() {
            *known = Known { mark: (known.mark.0.max(latest), idle), heard: Some(now) };
        }
    }

    /// A partition that exists: somebody reads it or soon will, and until they are heard nothing is
    /// concluded, for at most [`HEARSAY`].
    pub fn expect(&mut self, partition: Partition, now: Instant) {
        self.known.entry(partition).or_insert(Known { mark: (None, false), heard: Some(now) });
    }

    /// The partition is not read by us any more; somebody else goes on with it.
    pub fn lose(&mut self, partition: &str, now: Instant) {
        if let Some(known) = self.known.get_mut(partition) {
            *known = Known { mark: (known.mark.0, false), heard: Some(now) };
        }
    }

    /// Asks of each partition of ours whether the hub has nothing newer.
    pub fn look(&mut self, idle: impl Fn(&str) -> bool) {
        for (partition, known) in &mut self.known {
            if known.heard.is_none() {
                known.mark.1 = idle(partition);
            }
        }
    }

    /// The partitions of ours, to be told to others.
    pub fn marks(&self) -> BTreeMap<String, Mark> {
        let ours = self.known.iter().filter(|(_, known)| known.heard.is_none());
        ours.map(|(partition, known)| (partition.to_string(), known.mark)).collect()
    }

    /// The event time that all partitions with anything unread have reached.
    pub fn seen(&mut self, now: Instant) -> Option<i64> {
        let mut slowest: Option<i64> = None;
        for known in self.known.values() {
            let old = known.heard.is_some_and(|heard| now.duration_since(heard) >= HEARSAY);
            match known.mark {
                _ if old => {}
                (_, true) => {}
                (Some(latest), false) => slowest = Some(slowest.map_or(latest, |s| s.min(latest))),
                (None, false) => return self.reached,
            }
        }
        let furthest = || self.known.values().filter_map(|known| known.mark.0).max();
        self.reached = self.reached.max(slowest.or_else(furthest));
        self.reached
    }

    /// Whether the hub has nothing for anybody: what is known is all there is.
    pub fn is_all_seen(&self) -> bool {
        !self.known.is_empty() && self.known.values().all(|known| known.mark.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_counts_until_it_has_nothing_unread() {
        let now = Instant::now();
        let (a, b): (Partition, Partition) = ("0".into(), "1".into());
        let mut watermark = Watermark::default();
        watermark.own(a.clone());
        watermark.own(b.clone());
        watermark.note(&a, Some(100));
        assert_eq!(watermark.seen(now), None, "b was not heard yet");
        watermark.note(&b, Some(40));
        assert_eq!(watermark.seen(now), Some(40));
        watermark.note(&a, Some(300));
        watermark.look(|partition| partition == "1");
        assert_eq!((watermark.seen(now), watermark.is_all_seen()), (Some(300), false));
        watermark.note(&b, Some(50));
        assert_eq!(watermark.seen(now), Some(300), "it never goes back");
        watermark.look(|_| true);
        assert!(watermark.is_all_seen());
        watermark.note(&a, None);
        assert!(!watermark.is_all_seen());
    }

    #[test]
    fn what_others_say_counts_for_a_while_and_not_of_ours() {
        let now = Instant::now();
        let (a, b): (Partition, Partition) = ("0".into(), "1".into());
        let mut watermark = Watermark::default();
        watermark.note(&a, Some(100));
        watermark.hear(a.clone(), (Some(900), true), now);
        watermark.hear(b.clone(), (Some(40), false), now);
        assert_eq!(watermark.marks(), BTreeMap::from([("0".to_owned(), (Some(100), false))]));
        assert_eq!(watermark.seen(now), Some(40));
        assert_eq!(watermark.seen(now + HEARSAY), Some(100), "the other replica is silent");
        watermark.lose("0", now);
        watermark.hear(a, (Some(200), false), now);
        watermark.hear(b, (Some(150), false), now);
        assert_eq!(watermark.seen(now), Some(150), "what was ours is another's");
        watermark.expect("2".into(), now);
        watermark.hear("1".into(), (Some(180), false), now);
        assert_eq!(watermark.seen(now), Some(150), "one that nobody reads yet");
        assert_eq!(watermark.seen(now + HEARSAY), Some(200));
    }
}
