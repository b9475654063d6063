//! Many small files of an hour become few, sorted by time, with each row once.
//!
//! The merged file names those it replaces, so that its upload alone decides: before, readers see the parts;
//! from then on the merged file, whether the parts are still there or not. They are put aside then, or by the
//! next run where this one dies, and deleted by a run an hour later: who listed them before, as a long hunt
//! did, reads them until then. A writer beside is no trouble, because only files that were listed are
//! merged; nor is another run of this, because rows that two merged files share are read once.
//!
//! Synchronous, for a thread that may wait. Memory holds the rows of one merged file.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::compute::concat_batches;
use parquet::arrow::arrow_reader::RowSelection;

use super::about::About;
use super::copies::{MERGED, name, repeated, replaced};
use super::files::{GROUP_ROWS, MERGED_LEVEL, OpenFile, reason, sorted};
use super::ids::file_schema;
use super::layout::{HOUR, Slot, file_name};
use super::read::Opened;
use super::split::size;
use super::stored::{Stored, Unusable};
use super::writer::Finished;
use super::{ArchiveError, publish};
use crate::event::Table;
use crate::store::{Blob, Store, wait};
use xxhash_rust::xxh3::xxh3_64;

/// A merged file holds about this much, and a file of half of it is left as it is.
pub const TARGET: u64 = 64 << 20;
/// Rows of a merged file weigh at most this much in memory, or little more.
const IN_MEMORY: u64 = 256 << 20;
/// Rows of a row group of a merged file weigh about this much.
const GROUP_BYTES: usize = 64 << 20;

/// What was put aside is deleted after so long: microseconds.
pub const ASIDE: i64 = HOUR;
/// Parts stay in sight for so long beside the file that replaces them: a listing in several pages that came too
/// early for the one must still show the others.
pub const SETTLE: Duration = Duration::from_secs(2);

/// How to go about it.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The time, microseconds since the epoch.
    pub now: i64,
    /// [`SETTLE`], where others may be listing.
    pub settle: Duration,
    /// Write and delete nothing.
    pub dry_run: bool,
}

/// What was done in a folder, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Merged {
    /// `table=…/cluster=…/date=…/hour=…`
    pub folder: String,
    /// Files before and after.
    pub files: u64,
    pub into: u64,
    /// Rows afterwards, and how many copies of them are gone. Not known of a dry run.
    pub rows: Option<u64>,
    pub copies: Option<u64>,
    pub bytes: u64,
    pub bytes_after: Option<u64>,
    /// Files that a run before this one had replaced and that are gone now: out of sight, or deleted.
    pub leftovers: u64,
    /// Files that could not be read and are left alone, with the reason.
    pub damaged: Vec<String>,
}

/// Merges what can be merged. Files are made in the folder `spool`. `each` hears of every folder in which there
/// was something to do.
pub fn compact(
    store: &Store,
    spool: &Path,
    plan: Plan,
    each: &mut dyn FnMut(Merged) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    let mut replaced = VecDeque::new();
    let done = folders(store, spool, plan, &mut replaced, each);
    // Also where something failed: other programs take parts and merged file for rows of their own.
    let settled = put_aside(store, &mut replaced, true);
    done.and(settled)
}

/// Keys of files that were replaced, and until when they stay in sight.
type Replaced = VecDeque<(Instant, String)>;

/// Puts aside what was in sight for long enough, or waits for all of it.
fn put_aside(store: &Store, replaced: &mut Replaced, all: bool) -> Result<(), ArchiveError> {
    while let Some((until, key)) = replaced.front() {
        let left = until.saturating_duration_since(Instant::now());
        if !all && !left.is_zero() {
            break;
        }
        std::thread::sleep(left);
        wait(store.put_aside(key)).map_err(ArchiveError::Store)?;
        replaced.pop_front();
    }
    Ok(())
}

fn folders(
    store: &Store,
    spool: &Path,
    plan: Plan,
    replaced: &mut Replaced,
    each: &mut dyn FnMut(Merged) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    let below = |folder: &str| wait(async { store.folders(folder).await }).map_err(ArchiveError::Store);
    for table in Table::ALL {
        for cluster in below(&format!("table={}", table.name()))? {
            for day in below(&cluster)? {
                for hour in below(&day)? {
                    let done = Folder { store, spool, table, folder: &hour, plan }.run(replaced)?;
                    put_aside(store, replaced, false)?;
                    if done != (Merged { folder: hour, ..Merged::default() }) {
                        each(done)?;
                    }
                }
            }
        }
    }
    Ok(())
}

struct Folder<'a> {
    store: &'a Store,
    spool: &'a Path,
    table: Table,
    folder: &'a str,
    plan: Plan,
}

/// A file with the rows of it that count.
type Member = (Opened, Option<RowSelection>);

impl Folder<'_> {
    fn run(&self, aside: &mut Replaced) -> Result<Merged, ArchiveError> {
        let mut done = Merged { folder: self.folder.to_owned(), ..Merged::default() };
        let (mut objects, old) = wait(self.store.list_all(self.folder)).map_err(ArchiveError::Store)?;
        objects.retain(|object| object.key.ends_with(".parquet"));
        for object in old.iter().filter(|object| object.modified <= self.plan.now.saturating_sub(ASIDE)) {
            done.leftovers += 1;
            if !self.plan.dry_run {
                wait(self.store.delete(&object.key)).map_err(ArchiveError::Store)?;
            }
        }
        let mut opened = Vec::new();
        for object in objects {
            let blob = Some(Blob { store: self.store.clone(), key: object.key.clone() });
            let stored = Stored { path: object.key, bytes: object.bytes, blob, table: self.table };
            match Opened::open(Arc::new(stored.clone())) {
                Ok(Some(open)) if open.table == self.table => opened.push(open),
                Ok(_) => done.damaged.push(format!("{}: not the archive's columns", stored.path)),
                Err(Unusable::Store(error)) => return Err(ArchiveError::Store(error)),
                Err(error) => done.damaged.push(format!("{}: {error}", stored.path)),
            }
        }
        let footers: HashMap<String, _> =
            opened.iter().map(|open| (open.file.path.clone(), open.metadata.clone())).collect();
        let footer = |file: &Stored| match footers.get(&file.path) {
            Some(footer) => Ok(Arc::clone(footer)),
            None => file.footer(),
        };
        let unusable = |error: Unusable| self.failed("read the files of", &error.to_string());
        let old = replaced(opened.iter().map(|open| &*open.file), &footer).map_err(unusable)?;
        let (gone, mut members): (Vec<_>, Vec<_>) =
            opened.into_iter().partition(|open| old.contains(name(&open.file.path)));
        done.leftovers += gone.len() as u64;
        for open in gone.iter().filter(|_| !self.plan.dry_run) {
            wait(self.store.put_aside(&open.file.path)).map_err(ArchiveError::Store)?;
        }

        members.sort_by(|a, b| a.file.path.cmp(&b.file.path));
        let portions = portions(&members);
        if portions.is_empty() {
            return Ok(done);
        }
        let stored: Vec<&Stored> = members.iter().map(|open| &*open.file).collect();
        let mut selections: BTreeMap<usize, RowSelection> = BTreeMap::new();
        if !self.plan.dry_run {
            let found = repeated(&stored, &footer).map_err(unusable)?;
            selections = found.into_iter().enumerate().filter_map(|(at, s)| Some((at, s?))).collect();
        }
        for portion in portions {
            done.files += portion.len() as u64;
            done.into += 1;
            let chosen =
                portion.iter().filter_map(|at| Some((members.get(*at)?.clone(), selections.remove(at))));
            let chosen: Vec<Member> = chosen.collect();
            done.bytes += chosen.iter().map(|(open, _)| open.file.bytes).sum::<u64>();
            if self.plan.dry_run {
                continue;
            }
            let merged = self.merge(&chosen)?;
            let before: u64 = chosen.iter().map(|(open, _)| open.rows()).sum();
            *done.rows.get_or_insert_default() += merged.rows;
            *done.copies.get_or_insert_default() += before.saturating_sub(merged.rows);
            *done.bytes_after.get_or_insert_default() += merged.bytes;
            wait(async { Ok(publish(&merged, self.store).await) }).map_err(ArchiveError::Store)??;
            // What is put aside next is there again, whole.
            let head = wait(self.store.head(&merged.key)).map_err(ArchiveError::Store)?;
            if head.is_none_or(|head| head.object.bytes != merged.bytes) {
                return Err(
                    self.failed("merge the files of", "the merged file is not there as it was written")
                );
            }
            let until = Instant::now() + self.plan.settle;
            aside.extend(chosen.iter().map(|(open, _)| (until, open.file.path.clone())));
        }
        Ok(done)
    }

    /// Writes the rows of the members as one file of the spool folder.
    fn merge(&self, members: &[Member]) -> Result<Finished, ArchiveError> {
        let unreadable = |error: Unusable| match error {
            Unusable::Store(error) => ArchiveError::Store(error),
            other => self.failed("read the files of", &other.to_string()),
        };
        let rows_failed = |e: arrow::error::ArrowError| self.failed("merge the files of", &e.to_string());
        let mut about = About::default();
        let mut all = Vec::new();
        for (open, selection) in members {
            let theirs = About::of(&open.metadata);
            about.add_rejected(&theirs.rejected);
            about.cluster = about.cluster.or(theirs.cluster);
            about.replaces.push(name(&open.file.path).to_owned());
            for part in open.parts(None, None, selection.as_ref()) {
                all.push(part.whole().map_err(unreadable)?);
            }
        }
        let rows = if all.is_empty() {
            concat_batches(&file_schema(self.table), &[])
        } else {
            sorted(self.table, &all)
        };
        drop(all);
        let rows = rows.map_err(rows_failed)?;
        // The same files always make the same name.
        let mark = xxh3_64(about.replaces.join("/").as_bytes());
        let mark = u32::try_from(mark >> 32).unwrap_or_default();
        let slot = Slot { table: self.table, cluster: None, hour: None };
        let mut file = OpenFile::new(slot, self.spool, u64::from(mark));
        file.about = about;
        file.level = MERGED_LEVEL;
        let share = rows.num_rows().div_ceil(size(&rows).div_ceil(GROUP_BYTES).max(1)).clamp(1, GROUP_ROWS);
        let written = (|| {
            let mut at = 0;
            while at < rows.num_rows() {
                let take = share.min(rows.num_rows() - at);
                file.push(rows.slice(at, take));
                at += take;
                // The last one is left to `finish`, which knows then whether the file is small.
                if at < rows.num_rows() {
                    file.flush()?;
                }
            }
            file.finish()
        })();
        let bytes = written.map_err(|e| ArchiveError::Spool {
            operation: "write a merged file in",
            object: self.spool.display().to_string(),
            reason: reason(&e),
        })?;
        let key = format!("{}/{}", self.folder, file_name(file.first, MERGED, mark, 0));
        Ok(Finished { path: file.path, key, rows: file.rows, bytes, table: self.table })
    }

    fn failed(&self, operation: &'static str, reason: &str) -> ArchiveError {
        ArchiveError::Compact { operation, folder: self.folder.to_owned(), reason: reason.to_owned() }
    }
}

/// Which files become one each, by index: neighbours in time, small ones, at least two.
fn portions(members: &[Opened]) -> Vec<Vec<usize>> {
    let mut portions: Vec<Vec<usize>> = Vec::new();
    let (mut current, mut bytes, mut unpacked) = (Vec::new(), 0_u64, 0_u64);
    for (at, open) in members.iter().enumerate() {
        if open.file.bytes >= TARGET / 2 {
            continue;
        }
        let groups = open.metadata.row_groups().iter();
        let weight: u64 = groups.map(|g| u64::try_from(g.total_byte_size()).unwrap_or_default()).sum();
        let full = bytes + open.file.bytes > TARGET || unpacked + weight > IN_MEMORY;
        if full && !current.is_empty() {
            portions.push(std::mem::take(&mut current));
            (bytes, unpacked) = (0, 0);
        }
        current.push(at);
        bytes += open.file.bytes;
        unpacked += weight;
    }
    portions.push(current);
    portions.retain(|portion| portion.len() > 1);
    portions
}
