//! This replica's part in the evaluation of windows: the journal it writes, and what of whose rows is in.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::keeper::Applied;
use super::segment::Draft;
use super::watermark::{Mark, Watermark};

/// What did not change is said again after so long: well before others stop to believe it, and soon
/// enough for a new leader, who waits to hear it.
const SAY_AGAIN: Duration = Duration::from_secs(5);

/// A snapshot is taken when so many segments, or more bytes than the last one had, came since.
const SEGMENTS: u64 = 100;
const BYTES: usize = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Rows are journaled, for whoever leads.
    Follower,
    /// Rows are journaled and evaluated. Segments of ours before this number come back to us through the
    /// store; those from it on were evaluated before they were written.
    Leader { direct: u64 },
}

/// Role, journal and account.
#[derive(Debug)]
pub struct Windows {
    replica: String,
    role: Role,
    draft: Draft,
    /// Number of the next segment.
    next: u64,
    applied: Applied,
    /// Segments and bytes since the last snapshot, and the last one's size.
    since: (u64, usize),
    /// What was last said of partitions, and when.
    said: Option<(BTreeMap<String, Mark>, Instant)>,
    last_size: usize,
    /// Whether there is a journal at all: a replay through the sinks has none.
    journaled: bool,
}

impl Windows {
    /// `next` is the number of the next segment; `None` = no journal, and this process evaluates alone.
    pub fn new(replica: String, next: Option<u64>) -> Self {
        let role = if next.is_some() { Role::Follower } else { Role::Leader { direct: 0 } };
        Self {
            replica,
            role,
            draft: Draft::default(),
            next: next.unwrap_or(0),
            applied: Applied::new(),
            since: (0, 0),
            said: None,
            last_size: 0,
            journaled: next.is_some(),
        }
    }

    pub fn leads(&self) -> bool {
        self.role != Role::Follower
    }

    pub fn is_journaled(&self) -> bool {
        self.journaled
    }

    /// Bytes waiting to be journaled.
    pub fn waiting(&self) -> usize {
        self.draft.len()
    }

    /// Adds the rows a batch left.
    pub fn keep(&mut self, portion: &[u8]) {
        if self.journaled {
            self.draft.push(portion);
        }
    }

    /// Closes the segment of what was kept; `marks` come from the watermark. `None` without a journal.
    /// A segment without rows still tells how far time has come, so followers write those too, seldom
    /// where it stands still.
    pub fn cut(&mut self, watermark: &Watermark, now: Instant) -> Option<(u64, Bytes)> {
        if !self.journaled || (self.draft.is_empty() && self.leads()) {
            return None;
        }
        let marks = watermark.marks();
        let said = |(said, at): &(BTreeMap<String, Mark>, Instant)| {
            *said == marks && now.duration_since(*at) < SAY_AGAIN
        };
        if self.draft.is_empty() && (marks.is_empty() || self.said.as_ref().is_some_and(said)) {
            return None;
        }
        self.said = Some((marks.clone(), now));
        let bytes = self.draft.take(marks);
        let number = self.next;
        self.next += 1;
        if let Role::Leader { .. } = self.role {
            self.since = (self.since.0 + 1, self.since.1 + bytes.len());
        }
        Some((number, bytes))
    }

    /// Becomes leader; what was kept so far must have been [`cut`](Self::cut) before. Returns the number
    /// from which segments of ours need not come back.
    pub fn lead(&mut self, applied: Applied) -> u64 {
        self.role = Role::Leader { direct: self.next };
        self.applied = applied;
        // What came before is one more reason to write it down anew soon.
        self.since = (SEGMENTS, 0);
        self.next
    }

    pub fn follow(&mut self) {
        self.role = Role::Follower;
        self.applied.clear();
        self.said = None;
    }

    /// Notes that a segment's rows are in.
    pub fn absorbed(&mut self, replica: String, number: u64, bytes: usize) {
        self.applied.insert(replica, number);
        self.since = (self.since.0 + 1, self.since.1 + bytes);
    }

    /// Whether the state of windows should be written down: enough came since, and everything of ours
    /// from before we led is in.
    pub fn snapshot_due(&self) -> bool {
        self.can_snapshot() && (self.since.0 >= SEGMENTS || self.since.1 > BYTES.max(self.last_size))
    }

    /// Whether a snapshot now would hold all of ours.
    pub fn can_snapshot(&self) -> bool {
        let Role::Leader { direct } = self.role else { return false };
        let ours = self.applied.get(&self.replica).map_or(0, |last| last + 1);
        self.journaled && ours >= direct
    }

    /// What of whom a snapshot of now holds; the snapshot's size is noted.
    pub fn snapshot_taken(&mut self, size: usize) -> Applied {
        self.since = (0, 0);
        self.last_size = size;
        let mut applied = self.applied.clone();
        if let Some(last) = self.next.checked_sub(1) {
            applied.insert(self.replica.clone(), last);
        }
        applied
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_leader_waits_for_its_own_older_rows_before_it_writes_state() {
        let mut windows = Windows::new("b".into(), Some(4));
        let (watermark, now) = (Watermark::default(), Instant::now());
        windows.keep(b"row");
        assert_eq!(windows.cut(&watermark, now).map(|(number, _)| number), Some(4));
        let direct = windows.lead(Applied::from([("a".into(), 9), ("b".into(), 2)]));
        assert_eq!(direct, 5);
        assert!(!windows.can_snapshot());
        windows.absorbed("b".into(), 3, 10);
        assert!(!windows.snapshot_due());
        windows.absorbed("b".into(), 4, 10);
        assert!(windows.snapshot_due());
        windows.keep(b"row");
        assert_eq!(windows.cut(&watermark, now).map(|(number, _)| number), Some(5));
        assert_eq!(windows.snapshot_taken(100), Applied::from([("a".into(), 9), ("b".into(), 5)]));
        assert!(!windows.snapshot_due());
        windows.follow();
        assert!(!windows.can_snapshot());
    }

    #[test]
    fn a_follower_says_what_is_new_and_the_rest_now_and_then() {
        let mut windows = Windows::new("b".into(), Some(0));
        let (mut watermark, now) = (Watermark::default(), Instant::now());
        assert_eq!(windows.cut(&watermark, now), None, "it reads nothing yet");
        let partition = crate::event::Partition::from("0");
        watermark.note(&partition, Some(100));
        assert_eq!(windows.cut(&watermark, now).map(|(number, _)| number), Some(0));
        assert_eq!(windows.cut(&watermark, now + SAY_AGAIN / 2), None, "nothing is new");
        assert_eq!(windows.cut(&watermark, now + SAY_AGAIN).map(|(number, _)| number), Some(1));
        watermark.note(&partition, Some(200));
        assert_eq!(windows.cut(&watermark, now + SAY_AGAIN).map(|(number, _)| number), Some(2));
        windows.keep(b"row");
        assert_eq!(windows.cut(&watermark, now + SAY_AGAIN).map(|(number, _)| number), Some(3));
    }

    #[test]
    fn without_a_journal_it_leads_and_writes_nothing() {
        let mut windows = Windows::new("a".into(), None);
        assert!(windows.leads());
        windows.keep(b"row");
        assert_eq!((windows.waiting(), windows.cut(&Watermark::default(), Instant::now())), (0, None));
        assert!(!windows.can_snapshot());
    }
}
