//! Baseline rules: fire for the first row of a key that was not seen for a while.
//!
//! Rows are taken in order of event time when the watermark has passed them, so that the order of
//! partitions and files changes nothing. A cluster is learnt first: the rule is silent until it has
//! seen that much of the cluster's log.

use std::collections::{BTreeMap, HashMap};

use arrow::error::ArrowError;

use super::buffer::Buffer;
use super::rows::Rows;

/// State of one baseline rule; times in microseconds.
#[derive(Debug)]
pub struct Baseline {
    pub buffer: Buffer,
    span: i64,
    learn: i64,
    /// Key → when it was last seen.
    seen: HashMap<String, i64>,
    /// Rows that would have fired while their cluster was still being learnt, by cluster.
    pub muted: BTreeMap<String, u64>,
}

impl Baseline {
    pub fn new(buffer: Buffer, span: i64, learn: i64) -> Self {
        Self { buffer, span, learn, seen: HashMap::new(), muted: BTreeMap::new() }
    }

    /// Adds kept rows; those without a time come at no moment and are dropped.
    pub fn push(&mut self, rows: Rows) -> Result<(), ArrowError> {
        self.buffer.push(rows.timed()?)
    }

    /// Rows up to `watermark`, in order; they leave the buffer.
    pub fn due(&mut self, watermark: i64) -> Result<Option<Rows>, ArrowError> {
        let rows = self.buffer.sorted()?;
        let until = rows.after(watermark);
        let due = (until > 0).then(|| rows.slice(0, until));
        if due.is_some() {
            self.buffer.drop_first(until)?;
        }
        Ok(due)
    }

    /// Notes that `key` was seen, and tells whether that is news. `begun` is when the cluster's log begins.
    pub fn is_new(&mut self, key: &str, cluster: &str, time: i64, begun: i64) -> bool {
        let before = self.seen.insert(key.to_string(), time);
        if before.is_some_and(|last| time.saturating_sub(last) < self.span) {
            return false;
        }
        let learnt = time.saturating_sub(begun) >= self.learn;
        if !learnt {
            *self.muted.entry(cluster.to_string()).or_default() += 1;
        }
        learnt
    }

    /// Lets go of keys that were last seen so long ago that they count as new again.
    pub fn forget(&mut self, watermark: i64) {
        let horizon = watermark.saturating_sub(self.span);
        self.seen.retain(|_, last| *last > horizon);
    }
}
