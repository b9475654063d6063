//! What an archive holds and what is missing from it: the ledger of each cluster's hours.
//!
//! Told by the ends of the files alone; no row is read. Rows that lie in several files after a crash count as
//! often as they lie there, files that a merged one replaces do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use parquet::file::metadata::ParquetMetaData;

use super::about::About;
use super::copies::{by_folder, name, replaced};
use super::layout::{HOUR, Placed};
use super::stored::{Stored, Unusable, times};
use crate::event::Table;

/// Threads that read; what they do is to wait.
const THREADS: usize = 16;
/// A cluster silent for longer than this is two clusters to the list of gaps: microseconds.
const LONGEST_GAP: i64 = 100 * 366 * 24 * HOUR;

/// The account of an hour, or of several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Rows of `audit` and of `control_plane`.
    pub events: u64,
    pub control_plane: u64,
    pub files: u64,
    pub bytes: u64,
    /// Rows of `audit` whose record was cut.
    pub cut: u64,
    /// Records received in this hour that became no row, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// First and last time of a row, microseconds since the epoch.
    pub first: Option<i64>,
    pub last: Option<i64>,
    /// Hours that hold rows of `audit`.
    pub hours: u64,
    /// Hours between the first and the last that hold none.
    pub gaps: u64,
}

impl Account {
    /// Adds another account to this one.
    pub fn add(&mut self, other: &Account) {
        self.events += other.events;
        self.control_plane += other.control_plane;
        self.files += other.files;
        self.bytes += other.bytes;
        self.cut += other.cut;
        self.hours += other.hours;
        self.gaps += other.gaps;
        for (reason, n) in &other.rejected {
            *self.rejected.entry(reason.clone()).or_default() += n;
        }
        self.first = [self.first, other.first].into_iter().flatten().min();
        self.last = self.last.max(other.last);
    }
}

/// A cluster (its resource id, or what its folder is called) and an hour: its first microsecond. Without
/// cluster: records rejected, and rows that name none.
pub type Place = (Option<String>, Option<i64>);

/// The ledger.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Hours without audit events between two that have some are here too.
    pub hours: BTreeMap<Place, Account>,
    /// Files that could not be read, with the reason.
    pub damaged: BTreeSet<String>,
}

impl Ledger {
    /// Reads the ends of the files. For threads that may wait.
    pub fn read(files: &[Stored]) -> Self {
        let folders: Vec<Vec<usize>> = by_folder(files).into_values().collect();
        let (next, ledger) = (AtomicUsize::new(0), Mutex::new(Ledger::default()));
        std::thread::scope(|scope| {
            for _ in 0..THREADS.min(folders.len()) {
                scope.spawn(|| {
                    while let Some(folder) = folders.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let members: Vec<&Stored> = folder.iter().filter_map(|at| files.get(*at)).collect();
                        let found = look(&members);
                        ledger.lock().unwrap_or_else(PoisonError::into_inner).add(found);
                    }
                });
            }
        });
        let mut ledger = ledger.into_inner().unwrap_or_else(PoisonError::into_inner);
        ledger.find_gaps();
        ledger
    }

    /// The account of each cluster, without cluster last.
    pub fn clusters(&self) -> BTreeMap<Option<&str>, Account> {
        self.sums(|(cluster, _)| cluster.as_deref())
    }

    /// The accounts of what `key` makes of a place.
    pub fn sums<'a, K: Ord>(&'a self, key: impl Fn(&'a Place) -> K) -> BTreeMap<K, Account> {
        let mut sums: BTreeMap<K, Account> = BTreeMap::new();
        for (place, account) in &self.hours {
            sums.entry(key(place)).or_default().add(account);
        }
        sums
    }

    fn add(&mut self, other: Ledger) {
        for (place, account) in other.hours {
            self.hours.entry(place).or_default().add(&account);
        }
        self.damaged.extend(other.damaged);
    }

    fn find_gaps(&mut self) {
        let mut spans: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for ((cluster, hour), account) in &mut self.hours {
            account.hours = u64::from(account.events > 0);
            if let (Some(cluster), Some(hour), true) = (cluster, hour, account.events > 0) {
                let span = spans.entry(cluster.clone()).or_insert((*hour, *hour));
                *span = (span.0.min(*hour), span.1.max(*hour));
            }
        }
        for (cluster, (first, last)) in spans {
            if last - first > LONGEST_GAP {
                continue;
            }
            let mut hour = first + HOUR;
            while hour < last {
                let account = self.hours.entry((Some(cluster.clone()), Some(hour))).or_default();
                account.gaps = u64::from(account.events == 0);
                hour += HOUR;
            }
        }
    }
}

/// The files of one folder.
fn look(members: &[&Stored]) -> Ledger {
    let mut ledger = Ledger::default();
    let mut footers: BTreeMap<&str, Arc<ParquetMetaData>> = BTreeMap::new();
    for file in members {
        match file.footer() {
            Ok(footer) => drop(footers.insert(&file.path, footer)),
            Err(error) => drop(ledger.damaged.insert(format!("{}: {error}", file.path))),
        }
    }
    let known = |file: &Stored| -> Result<Arc<ParquetMetaData>, Unusable> {
        footers.get(file.path.as_str()).map_or_else(|| file.footer(), |footer| Ok(footer.clone()))
    };
    let readable = members.iter().filter(|file| footers.contains_key(file.path.as_str()));
    let replaced = replaced(readable.clone().copied(), &known).unwrap_or_default();
    for file in readable.filter(|file| !replaced.contains(name(&file.path))) {
        let Some(footer) = footers.get(file.path.as_str()) else { continue };
        let about = About::of(footer);
        let placed = Placed::parse(&file.path);
        let rows = u64::try_from(footer.file_metadata().num_rows()).unwrap_or_default();
        let mut account = Account { files: 1, bytes: file.bytes, cut: about.cut, ..Account::default() };
        match file.table {
            Table::Audit => account.events = rows,
            Table::ControlPlane => account.control_plane = rows,
        }
        for (first, last) in (0..footer.num_row_groups()).filter_map(|group| times(footer, group)) {
            account.first = Some(account.first.map_or(first, |known| known.min(first)));
            account.last = account.last.max(Some(last));
        }
        let cluster = about.cluster.or_else(|| {
            let folder = placed.as_ref().map(|placed| placed.cluster);
            folder.filter(|folder| *folder != super::layout::NULL).map(str::to_owned)
        });
        let hour = match &placed {
            Some(placed) => placed.hour,
            None => account.first.map(|first| first.div_euclid(HOUR) * HOUR),
        };
        ledger.hours.entry((cluster, hour)).or_default().add(&account);
        for (hour, reasons) in about.rejected {
            let account = ledger.hours.entry((None, hour.checked_mul(HOUR))).or_default();
            account.add(&Account { rejected: reasons, ..Account::default() });
        }
    }
    ledger
}
