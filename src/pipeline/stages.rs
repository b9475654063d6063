//! Reading, decoding and deduplicating on several threads, with everything in input order.
//!
//! One thread reads, each worker decodes a chunk by itself, waits for its turn to take out duplicates
//! (a few microseconds), works on what is left, and hands the outcome to the caller's thread, which
//! sees the chunks in the order they were read. So the outcome does not depend on the number of
//! threads, and no more than a few chunks are in memory.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, PoisonError};

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use arrow::record_batch::RecordBatch;
use crossbeam_channel::{Receiver, Sender, bounded};

use super::parquet::{self, Rows, Sorted};
use crate::decode::{Decoded, Decoder, Dedup, DedupError};
use crate::event::{Batch, Counts, Reject, cluster_name};
use crate::source::files::{Chunk, FileProblem, FileStatus, Inputs, Reader, Sizes};

/// Ids of events kept in memory to tell duplicates; the rest of a longer archive goes to temporary files.
const IDS_IN_MEMORY: usize = 1_000_000;

/// Told how many bytes were read from disk since the last call.
pub trait Progress: Sync {
    fn advance(&self, bytes: u64);
}

/// Which rows the run is about; the account covers everything that was read.
#[derive(Debug, Clone, Default)]
pub struct Range {
    /// First microsecond since the epoch that is in.
    pub since: Option<i64>,
    /// First microsecond that is out.
    pub until: Option<i64>,
    /// Resource id or name of a cluster, in any case.
    pub cluster: Option<String>,
}

impl Range {
    /// Whether every row is in.
    pub fn is_all(&self) -> bool {
        self.since.is_none() && self.until.is_none() && self.cluster.is_none()
    }

    /// Leaves the rows that are in range; rows without a time are out of any range of time.
    pub fn select(&self, mut batch: Batch) -> Batch {
        if !self.is_all() {
            self.narrow(&mut batch.audit, &mut batch.audit_ids);
            self.narrow(&mut batch.control_plane, &mut batch.control_plane_ids);
        }
        batch
    }

    fn narrow(&self, rows: &mut RecordBatch, ids: &mut Vec<u64>) {
        let mask: Vec<bool> = (0..rows.num_rows()).map(|row| self.holds(rows, row)).collect();
        if mask.iter().all(|keep| *keep) {
            return;
        }
        let mut keep = mask.iter();
        ids.retain(|_| keep.next().copied().unwrap_or(false));
        // A mask of the batch's own length cannot be refused.
        if let Ok(fewer) = filter_record_batch(rows, &BooleanArray::from(mask)) {
            *rows = fewer;
        }
    }

    fn holds(&self, rows: &RecordBatch, row: usize) -> bool {
        let time = rows.column_by_name("time").and_then(|c| {
            let times = c.as_primitive_opt::<TimestampMicrosecondType>()?;
            times.is_valid(row).then(|| times.value(row))
        });
        let cluster = rows.column_by_name("cluster").and_then(|c| {
            let names = c.as_string_view_opt()?;
            names.is_valid(row).then(|| names.value(row))
        });
        self.since.is_none_or(|since| time.is_some_and(|t| t >= since))
            && self.until.is_none_or(|until| time.is_some_and(|t| t < until))
            && self.cluster.as_ref().is_none_or(|wanted| cluster.is_some_and(|c| names(c, wanted)))
    }
}

/// Whether `wanted` is the resource id or its last segment.
fn names(id: &str, wanted: &str) -> bool {
    id.eq_ignore_ascii_case(wanted) || cluster_name(id).eq_ignore_ascii_case(wanted)
}

/// What the caller sees of one chunk.
pub struct Piece<T> {
    /// Index of the file.
    pub file: usize,
    /// What was wrong with the file, if this is its end.
    pub problem: Option<FileStatus>,
    pub counts: Counts,
    pub rejects: Vec<Reject>,
    /// The worker's outcome, where there was something to work on.
    pub outcome: Option<T>,
}

/// What a worker makes rows of.
enum Work {
    Chunk(Chunk),
    Rows(Rows),
}

type Job = (u64, Result<Work, FileProblem>);
type Done<T> = (u64, Result<Piece<T>, DedupError>);

/// Whose turn it is to take out duplicates.
struct Turn {
    next: u64,
    dedup: Dedup,
    stopped: bool,
}

struct Turns {
    state: Mutex<Turn>,
    changed: Condvar,
}

impl Turns {
    /// Runs `f` when all earlier chunks had their turn; `None` when the run was stopped.
    fn take<R>(&self, sequence: u64, f: impl FnOnce(&mut Dedup) -> R) -> Option<R> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = |turn: &mut Turn| turn.next != sequence && !turn.stopped;
        let mut state = self.changed.wait_while(state, waiting).unwrap_or_else(PoisonError::into_inner);
        if state.stopped {
            return None;
        }
        let result = f(&mut state.dedup);
        state.next += 1;
        drop(state);
        self.changed.notify_all();
        Some(result)
    }

    fn stop(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stopped = true;
        self.changed.notify_all();
    }
}

/// Reads all inputs; `work` runs on `threads` workers, `each` on this thread, in input order.
/// Ends early with the error of `each`.
pub fn run<T: Send>(
    inputs: &Inputs,
    threads: usize,
    progress: &dyn Progress,
    work: &(dyn Fn(&Batch) -> T + Sync),
    range: &Range,
    each: &mut dyn FnMut(Piece<T>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let threads = threads.max(1);
    let turn = Turn { next: 0, dedup: Dedup::new(IDS_IN_MEMORY), stopped: false };
    let turns = Turns { state: Mutex::new(turn), changed: Condvar::new() };
    let (jobs, todo) = bounded::<Job>(threads);
    let (done, results) = bounded::<Done<T>>(threads * 2);
    std::thread::scope(|scope| {
        scope.spawn(move || read(inputs, range, progress, &jobs));
        for _ in 0..threads {
            let (todo, done, turns) = (todo.clone(), done.clone(), &turns);
            scope.spawn(move || decode(&todo, &done, turns, work, range));
        }
        drop((todo, done));
        let outcome = in_order(&results, each);
        // Whoever still waits for a turn or a place in a queue is let go.
        turns.stop();
        drop(results);
        outcome
    })
}

fn read(inputs: &Inputs, range: &Range, progress: &dyn Progress, jobs: &Sender<Job>) {
    let sorted = Sorted::new(inputs);
    let mut sequence = 0;
    let mut send = |item: Result<Work, FileProblem>| {
        progress.advance(match &item {
            Ok(Work::Chunk(chunk)) => chunk.bytes_read,
            Ok(Work::Rows(rows)) => rows.bytes_read,
            Err(problem) => problem.bytes_read,
        });
        sequence += 1;
        jobs.send((sequence - 1, item)).is_ok()
    };
    let unreadable = sorted.unreadable.iter().cloned().map(Err);
    let others = Reader::new(&sorted.others, Sizes::default()).map(|item| match item {
        Ok(chunk) => Ok(Work::Chunk(Chunk { file: sorted.other(chunk.file), ..chunk })),
        Err(problem) => Err(FileProblem { file: sorted.other(problem.file), ..problem }),
    });
    if unreadable.chain(others).all(&mut send) {
        sorted.parts(range, &mut |item| send(item.map(Work::Rows)));
    }
}

fn decode<T>(
    todo: &Receiver<Job>,
    done: &Sender<Done<T>>,
    turns: &Turns,
    work: &dyn Fn(&Batch) -> T,
    range: &Range,
) {
    let mut decoder = Decoder::of_cluster(range.cluster.as_deref());
    for (sequence, job) in todo {
        let decoded = match job {
            Ok(Work::Chunk(chunk)) => Ok((chunk.file, decoder.decode(&chunk.raw), true)),
            Ok(Work::Rows(Rows { file, part: None, bytes_read })) => {
                Err(FileProblem { file, status: FileStatus::Ok, bytes_read })
            }
            Ok(Work::Rows(Rows { file, part: Some(part), bytes_read })) => match parquet::read(&part) {
                Ok(decoded) => Ok((file, decoded, false)),
                Err(error) => {
                    let status = FileStatus::Incomplete(error.to_string());
                    Err(FileProblem { file, status, bytes_read })
                }
            },
            Err(problem) => Err(problem),
        };
        let piece = match decoded {
            Ok((file, decoded, ours)) => {
                let Some(kept) = turns.take(sequence, |dedup| dedup.retain(decoded)) else { return };
                kept.map(|Decoded { batch, counts, rejects }| {
                    let batch = range.select(batch);
                    let outcome = Some(work(&batch));
                    if ours {
                        decoder.recycle(batch);
                    }
                    Piece { file, problem: None, counts, rejects, outcome }
                })
            }
            Err(FileProblem { file, status, .. }) => {
                if turns.take(sequence, |_| ()).is_none() {
                    return;
                }
                let (counts, rejects) = (Counts::default(), Vec::new());
                let problem = (status != FileStatus::Ok).then_some(status);
                Ok(Piece { file, problem, counts, rejects, outcome: None })
            }
        };
        if done.send((sequence, piece)).is_err() {
            return;
        }
    }
}

fn in_order<T>(
    results: &Receiver<Done<T>>,
    each: &mut dyn FnMut(Piece<T>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut early = BTreeMap::new();
    let mut next = 0;
    for (sequence, piece) in results {
        early.insert(sequence, piece);
        while let Some(piece) = early.remove(&next) {
            each(piece?)?;
            next += 1;
        }
    }
    Ok(())
}
