//! Events that came before are dropped: the same event under two categories, a message delivered twice.
//!
//! Owns the memory of what was seen: ids by the hour of the event, the hours used least recently moved
//! to temporary files when there are more than the limit; what is old is let go when the caller says so. Calls are in input order, by one thread at a
//! time. Control-plane rows pass: two equal lines are two lines.

use std::collections::HashMap;
use std::fs;
use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::path::PathBuf;

use arrow::array::{Array, AsArray, BooleanArray, PrimitiveArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use hashbrown::HashSet;
use tempfile::TempDir;

use super::{Decoded, tally_times};
use crate::event::HOUR;

/// What failed while duplicates were looked for.
#[derive(Debug, thiserror::Error)]
pub enum DedupError {
    #[error("creating a temporary folder for the ids of seen events: {0}")]
    Folder(#[source] io::Error),
    #[error("writing the ids of seen events to {path}: {source}")]
    Write { path: PathBuf, source: io::Error },
    #[error("reading the ids of seen events from {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("removing the ids of seen events in {path}: {source}")]
    Remove { path: PathBuf, source: io::Error },
    #[error("removing duplicates from a batch: {0}")]
    Filter(#[source] ArrowError),
}

/// Ids are hashes already.
#[derive(Debug, Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 << 8) | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = id;
    }
}

type Ids = HashSet<u64, BuildHasherDefault<Identity>>;

/// The hour of events without any time.
const NO_TIME: i64 = i64::MIN;

/// Ids of events without a time that [`Dedup::forget`] leaves.
const TIMELESS: usize = 65_536;

/// Ids of the events of one hour.
#[derive(Debug, Default)]
struct Hour {
    hour: i64,
    /// `None` while they are in the file.
    ids: Option<Ids>,
    used: u64,
    /// Where they are, if they were moved out since they last changed.
    file: Option<PathBuf>,
    /// Whether they were ever moved out.
    has_file: bool,
}

/// Remembers which events were seen.
#[derive(Debug)]
pub struct Dedup {
    max_ids_in_memory: usize,
    in_memory: usize,
    hours: Vec<Hour>,
    index: HashMap<i64, usize>,
    clock: u64,
    folder: Option<TempDir>,
}

impl Dedup {
    /// Keeps about `max_ids_in_memory` ids (some 16 bytes each) and the hour in use in memory.
    pub fn new(max_ids_in_memory: usize) -> Self {
        Self {
            max_ids_in_memory,
            in_memory: 0,
            hours: Vec::new(),
            index: HashMap::new(),
            clock: 0,
            folder: None,
        }
    }

    /// Removes the events seen before, in an earlier batch or in this one, and accounts for them.
    pub fn retain(&mut self, mut decoded: Decoded) -> Result<Decoded, DedupError> {
        let Columns { time, record_time, truncated } = match columns(&decoded.batch.audit) {
            Some(columns) => columns,
            None => return Ok(decoded),
        };
        let ids = &decoded.batch.audit_ids;
        let mut keep: Option<Vec<bool>> = None;
        let mut cut_dropped = 0;
        for (row, id) in ids.iter().enumerate().take(time.len()) {
            let at = time.is_valid(row).then(|| time.value(row));
            let hour = at.map_or(NO_TIME, |t| t.div_euclid(HOUR));
            // The true time of a cut event is somewhat before the upload time it fell back to.
            let cut = truncated.value(row);
            let fell_back =
                cut && at.is_some() && record_time.is_valid(row) && at == Some(record_time.value(row));
            let mut new = self.insert(hour, *id)?;
            if fell_back {
                new &= self.insert(hour - 1, *id)?;
            }
            if !new {
                keep.get_or_insert_with(|| vec![true; ids.len()])[row] = false;
                cut_dropped += u64::from(cut);
            }
        }
        let Some(keep) = keep else { return Ok(decoded) };

        let filter = BooleanArray::from(keep);
        let kept = filter_record_batch(&decoded.batch.audit, &filter).map_err(DedupError::Filter)?;
        let mut row = 0;
        decoded.batch.audit_ids.retain(|_| {
            row += 1;
            filter.value(row - 1)
        });
        let dropped = (decoded.batch.audit.num_rows() - kept.num_rows()) as u64;
        decoded.batch.audit = kept;
        decoded.counts.events -= dropped;
        decoded.counts.truncated -= cut_dropped;
        decoded.counts.duplicates += dropped;
        tally_times(&mut decoded.counts, &decoded.batch);
        Ok(decoded)
    }

    /// Whether the id is new in that hour; it is known afterwards.
    fn insert(&mut self, hour: i64, id: u64) -> Result<bool, DedupError> {
        let at = match self.index.get(&hour) {
            Some(at) => *at,
            None => {
                self.hours.push(Hour { hour, ids: Some(Ids::default()), ..Hour::default() });
                self.index.insert(hour, self.hours.len() - 1);
                self.hours.len() - 1
            }
        };
        self.clock += 1;
        let clock = self.clock;
        let Some(entry) = self.hours.get_mut(at) else { return Ok(true) };
        entry.used = clock;
        let ids = match &mut entry.ids {
            Some(ids) => ids,
            slot => {
                let ids = read(entry.file.as_ref())?;
                self.in_memory += ids.len();
                slot.insert(ids)
            }
        };
        let new = ids.insert(id);
        if new {
            entry.file = None;
            self.in_memory += 1;
        }
        while self.in_memory > self.max_ids_in_memory {
            if !self.move_out(clock)? {
                break;
            }
        }
        Ok(new)
    }

    /// Lets go of what was seen in hours (since the epoch) before `hour`: for input without an end, of which
    /// old events come again no more, or may then count twice. Events without a time are let go when
    /// there are many of them.
    pub fn forget(&mut self, hour: i64) -> Result<(), DedupError> {
        let mut outcome = Ok(());
        let Self { hours, in_memory, folder, .. } = self;
        hours.retain(|entry| {
            let held = entry.ids.as_ref().map_or(0, Ids::len);
            let few = entry.hour == NO_TIME && entry.ids.is_some() && held < TIMELESS;
            if entry.hour >= hour || few {
                return true;
            }
            *in_memory -= held;
            if let Some(folder) = folder.as_ref().filter(|_| entry.has_file) {
                let path = file_of(folder, entry.hour);
                if let Err(source) = fs::remove_file(&path) {
                    outcome = Err(DedupError::Remove { path, source });
                }
            }
            false
        });
        self.index = self.hours.iter().enumerate().map(|(at, entry)| (entry.hour, at)).collect();
        outcome
    }

    /// Moves the hour used least recently, but not the one used at `clock`, to a file.
    fn move_out(&mut self, clock: u64) -> Result<bool, DedupError> {
        let oldest =
            self.hours.iter_mut().filter(|h| h.ids.is_some() && h.used != clock).min_by_key(|h| h.used);
        let Some(hour) = oldest else { return Ok(false) };
        let Some(ids) = &hour.ids else { return Ok(false) };
        let count = ids.len();
        if hour.file.is_none() {
            let folder = match &self.folder {
                Some(folder) => folder,
                None => self.folder.insert(TempDir::new().map_err(DedupError::Folder)?),
            };
            let path = file_of(folder, hour.hour);
            let mut sorted: Vec<u64> = ids.iter().copied().collect();
            sorted.sort_unstable();
            let bytes: Vec<u8> = sorted.iter().flat_map(|id| id.to_le_bytes()).collect();
            fs::write(&path, bytes).map_err(|source| DedupError::Write { path: path.clone(), source })?;
            hour.file = Some(path);
            hour.has_file = true;
        }
        hour.ids = None;
        self.in_memory -= count;
        Ok(true)
    }
}

fn file_of(folder: &TempDir, hour: i64) -> PathBuf {
    folder.path().join(format!("{hour}.ids"))
}

fn read(path: Option<&PathBuf>) -> Result<Ids, DedupError> {
    let Some(path) = path else { return Ok(Ids::default()) };
    let bytes = fs::read(path).map_err(|source| DedupError::Read { path: path.clone(), source })?;
    let (chunks, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() {
        let source = io::Error::new(io::ErrorKind::InvalidData, "the file ends inside an id");
        return Err(DedupError::Read { path: path.clone(), source });
    }
    Ok(chunks.iter().map(|chunk| u64::from_le_bytes(*chunk)).collect())
}

struct Columns {
    time: PrimitiveArray<TimestampMicrosecondType>,
    record_time: PrimitiveArray<TimestampMicrosecondType>,
    truncated: BooleanArray,
}

fn columns(audit: &RecordBatch) -> Option<Columns> {
    Some(Columns {
        time: audit.column_by_name("time")?.as_primitive_opt()?.clone(),
        record_time: audit.column_by_name("record_time")?.as_primitive_opt()?.clone(),
        truncated: audit.column_by_name("truncated")?.as_boolean_opt()?.clone(),
    })
}
