//! Our own Parquet among the inputs of a run: told apart from all else, and read in parts.
//!
//! A part is read by whoever has a thread to spare. Its rows come with the ids the decoder gave them, so
//! duplicates, windows and alerts are those of the messages. What the range leaves out by path or by the
//! statistics of a row group is neither read nor counted.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array as _, AsArray as _};

use super::stages::Range;
use crate::archive::info::Ledger;
use crate::archive::read::{Opened, Part};
use crate::archive::{self, Selection, Stored, Unusable};
use crate::decode::{Decoded, tally_times};
use crate::event::{Batch, Counts, Table};
use crate::source::files::{FileProblem, FileStatus, Inputs};

/// The inputs by who reads them.
#[derive(Debug, Default)]
pub struct Sorted {
    /// Our own Parquet.
    pub own: Vec<Stored>,
    /// Everything else.
    pub others: Inputs,
    /// Index among all inputs of each of our own, and of each of the others.
    own_at: Vec<usize>,
    others_at: Vec<usize>,
    /// What could not even be looked at.
    pub unreadable: Vec<FileProblem>,
}

impl Sorted {
    /// Looks at each file. For threads that may wait.
    pub fn new(inputs: &Inputs) -> Self {
        let mut sorted = Self::default();
        for (at, file) in inputs.files.iter().enumerate() {
            let path = file.path.to_string_lossy().into_owned();
            match Stored::recognise(path, file.bytes, file.blob.clone()) {
                Ok(Some(stored)) => {
                    sorted.own.push(stored);
                    sorted.own_at.push(at);
                }
                // Whoever reads it says what is wrong with it.
                Ok(None) | Err(Unusable::Disk(_)) => {
                    sorted.others.files.push(file.clone());
                    sorted.others_at.push(at);
                }
                Err(error) => sorted.unreadable.push(problem(at, file.bytes, &error)),
            }
        }
        sorted
    }

    /// The place among all inputs of one of the others.
    pub fn other(&self, at: usize) -> usize {
        self.others_at.get(at).copied().unwrap_or(at)
    }

    /// Hands the parts of our own files on, with the file each is of and the bytes of it that no part told
    /// of before. Stops when `each` says so. For threads that may wait.
    pub fn parts(&self, range: &Range, each: &mut dyn FnMut(Result<Rows, FileProblem>) -> bool) {
        for members in archive::by_folder(&self.own).into_values() {
            let members: Vec<(usize, &Stored)> = members
                .into_iter()
                .filter_map(|own| Some((*self.own_at.get(own)?, self.own.get(own)?)))
                .collect();
            if !folder(&members, range, each) {
                return;
            }
        }
    }
}

/// Some rows of a file.
pub struct Rows {
    /// Index among all inputs.
    pub file: usize,
    /// None where the file has no rows that count.
    pub part: Option<Part>,
    /// Bytes of the file, with its first part.
    pub bytes_read: u64,
}

fn problem(file: usize, bytes_read: u64, error: &Unusable) -> FileProblem {
    FileProblem { file, status: FileStatus::Unreadable(error.to_string()), bytes_read }
}

/// The files of one folder, in order; `false` to stop.
fn folder(
    members: &[(usize, &Stored)],
    range: &Range,
    each: &mut dyn FnMut(Result<Rows, FileProblem>) -> bool,
) -> bool {
    let mut opened: Vec<(usize, Opened)> = Vec::new();
    for (file, stored) in members {
        match Opened::open(Arc::new((*stored).clone())) {
            Ok(Some(open)) => opened.push((*file, open)),
            Ok(None) => {
                let status = FileStatus::NotALog(Some("Parquet without the archive's columns".into()));
                if !each(Err(FileProblem { file: *file, status, bytes_read: stored.bytes })) {
                    return false;
                }
            }
            Err(error) => {
                if !each(Err(problem(*file, stored.bytes, &error))) {
                    return false;
                }
            }
        }
    }
    let footers: HashMap<String, _> =
        opened.iter().map(|(_, open)| (open.file.path.clone(), open.metadata.clone())).collect();
    let footer = |file: &Stored| match footers.get(&file.path) {
        Some(footer) => Ok(Arc::clone(footer)),
        None => file.footer(),
    };
    let replaced = archive::replaced(opened.iter().map(|(_, open)| &*open.file), &footer).unwrap_or_default();
    opened.retain(|(_, open)| !replaced.contains(archive::name(&open.file.path)));

    let mut selections = HashMap::new();
    // Copies of audit events are told by `Dedup`, wherever they are.
    let lines: Vec<(usize, &Stored)> = opened
        .iter()
        .filter(|(_, open)| open.table == Table::ControlPlane)
        .map(|(file, open)| (*file, &*open.file))
        .collect();
    let stored: Vec<&Stored> = lines.iter().map(|(_, stored)| *stored).collect();
    match archive::repeated(&stored, &footer) {
        Ok(found) => selections.extend(lines.iter().map(|(file, _)| *file).zip(found)),
        Err(error) => {
            // It shows again when the file is read; until then no row is taken for a copy.
            tracing::debug!("copies in a folder of the archive were not told apart: {error}");
        }
    }
    for (file, open) in opened {
        let selection = selections.get(&file).and_then(Option::as_ref);
        let mut bytes_read = open.file.bytes;
        let parts = open.parts(range.since, range.until, selection);
        let none = parts.is_empty().then_some(None);
        for part in parts.into_iter().map(Some).chain(none) {
            if !each(Ok(Rows { file, part, bytes_read: std::mem::take(&mut bytes_read) })) {
                return false;
            }
        }
    }
    true
}

/// The ledger of the inputs' own Parquet, and how many files are something else. For threads that may wait.
pub fn ledger(inputs: &Inputs) -> (Ledger, u64) {
    let sorted = Sorted::new(inputs);
    let mut ledger = Ledger::read(&sorted.own);
    let unreadable = sorted.unreadable.iter().filter_map(|problem| {
        Some(format!("{}: {}", inputs.files.get(problem.file)?.path.display(), problem.status))
    });
    ledger.damaged.extend(unreadable);
    (ledger, sorted.others.files.len() as u64)
}

/// Reads a part: its rows and their account, duplicates among them not yet removed.
pub fn read(part: &Part) -> Result<Decoded, Unusable> {
    let batch = part.read()?;
    let mut counts = account(&batch);
    let copies = (part.rows as u64).saturating_sub(counts.records);
    counts.duplicates = copies;
    counts.records += copies;
    counts.messages = counts.records;
    tally_times(&mut counts, &batch);
    Ok(Decoded { batch, counts, rejects: Vec::new() })
}

fn account(batch: &Batch) -> Counts {
    let (events, control_plane) = (batch.audit.num_rows() as u64, batch.control_plane.num_rows() as u64);
    let cut = batch.audit.column_by_name("truncated").and_then(|c| c.as_boolean_opt());
    let mut counts = Counts {
        records: events + control_plane,
        events,
        control_plane,
        truncated: cut.map_or(0, |cut| cut.true_count() as u64),
        ..Counts::default()
    };
    for table in Table::ALL {
        let (rows, _) = table.rows(batch);
        let Some(names) = rows.column_by_name("category").and_then(|c| c.as_string_view_opt()) else {
            continue;
        };
        for row in 0..names.len() {
            let name = if names.is_valid(row) { names.value(row) } else { "" };
            match counts.categories.get_mut(name) {
                Some(count) => *count += 1,
                None => drop(counts.categories.insert(name.to_owned(), 1)),
            }
        }
    }
    counts
}

impl Range {
    /// The same as the archive calls it.
    pub fn selection(&self) -> Selection {
        Selection { since: self.since, until: self.until, cluster: self.cluster.clone() }
    }

    /// Leaves out the files of an archive that hold nothing of the range, as their paths tell.
    pub fn prune(&self, inputs: &mut Inputs) {
        let selection = self.selection();
        if !selection.is_all() {
            inputs.files.retain(|file| selection.may_hold(&file.path.to_string_lossy()));
        }
    }
}
