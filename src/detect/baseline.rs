//! Baseline rules: fire for the first row of a key that was not seen for a while.
//!
//! Rows are taken in order of event time when the watermark has passed them, so that the order of
//! partitions and files changes nothing. A cluster is learnt first: the rule is silent until it has
//! seen that much of the cluster's log.

use std::collections::{BTreeMap, HashMap};

use arrow::error::ArrowError;

use super::buffer::Buffer;
use super::codec::{Reader, SavedError, Writer};
use super::rows::Rows;

/// Rows are taken when event time has moved on by this much: putting them in order costs the same for
/// one as for all.
const EVERY: i64 = 10_000_000;

/// State of one baseline rule; times in microseconds.
#[derive(Debug)]
pub struct Baseline {
    pub buffer: Buffer,
    span: i64,
    learn: i64,
    /// Rows up to here were taken.
    done: i64,
    /// Key → when it was last seen.
    seen: HashMap<String, i64>,
    /// Rows that would have fired while their cluster was still being learnt, by cluster.
    pub muted: BTreeMap<String, u64>,
    /// Rows that came when their time was forgotten already.
    pub too_late: u64,
}

impl Baseline {
    pub fn new(buffer: Buffer, span: i64, learn: i64) -> Self {
        let (seen, muted) = (HashMap::new(), BTreeMap::new());
        Self { buffer, span, learn, done: i64::MIN, seen, muted, too_late: 0 }
    }

    /// Adds kept rows; those without a time come at no moment and are dropped.
    pub fn push(&mut self, rows: Rows) -> Result<(), ArrowError> {
        self.buffer.push(rows.timed()?)
    }

    /// Rows up to `watermark`, in order; they leave the buffer.
    pub fn due(&mut self, watermark: i64) -> Result<Option<Rows>, ArrowError> {
        if watermark < self.done.saturating_add(EVERY) {
            return Ok(None);
        }
        let rows = self.buffer.sorted()?;
        // Whether a key was known then is forgotten.
        let late = rows.after(self.done.saturating_sub(self.span));
        let until = rows.after(watermark);
        let due = (until > late).then(|| rows.slice(late, until));
        if until > 0 {
            self.too_late += late as u64;
            self.buffer.drop_first(until)?;
        }
        if watermark < i64::MAX {
            self.done = watermark;
        }
        Ok(due)
    }

    /// Notes that `key` was seen, and tells whether that is news. `begun` is when the cluster's log begins.
    pub fn is_new(&mut self, key: &str, cluster: &str, time: i64, begun: i64) -> bool {
        if let Some(last) = self.seen.get_mut(key) {
            let known = time.saturating_sub(*last) < self.span;
            // A row that is late or came again must not make the key older than it is.
            *last = time.max(*last);
            if known {
                return false;
            }
        } else {
            self.seen.insert(key.to_string(), time);
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

    /// Writes everything it knows.
    pub fn save(&mut self, to: &mut Writer) -> Result<(), ArrowError> {
        to.i64(self.done);
        to.count(self.seen.len());
        for (key, last) in &self.seen {
            to.text(key);
            to.i64(*last);
        }
        to.count(self.muted.len());
        for (cluster, rows) in &self.muted {
            to.text(cluster);
            to.u64(*rows);
        }
        self.buffer.save(to)
    }

    /// Takes over what [`Baseline::save`] wrote.
    pub fn load(&mut self, from: &mut Reader) -> Result<(), SavedError> {
        self.done = from.time()?;
        for _ in 0..from.count(16)? {
            self.seen.insert(from.text()?.to_string(), from.time()?);
        }
        for _ in 0..from.count(16)? {
            self.muted.insert(from.text()?.to_string(), from.u64()?);
        }
        self.buffer.load_saved(from)
    }
}
