//! What one batch gives all rules: the rows that their filters keep, and its times.
//!
//! Threads share a [`Matcher`]. What they remember of values ([`Index`]) is lent to one at a time and
//! changes no outcome.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use arrow::array::{Array, AsArray, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::TimestampMicrosecondType;
use datafusion::execution::session_state::SessionState;

use super::dormant::{Dormant, Woken};
use super::filters::FilterSet;
use super::index::Index;
use super::rows::Rows;
use crate::event::{Batch, Table};
use crate::rules::Detection;

/// Index of a scan over all rules.
pub type ScanId = usize;

/// What one batch gave the rules.
#[derive(Debug, Default)]
pub struct Matches {
    /// Rows that a scan's filter kept; scans without any are left out.
    pub kept: Vec<(ScanId, Rows)>,
    /// Scans whose filter failed on this batch, and why.
    pub failed: Vec<(ScanId, String)>,
    /// Earliest event time of each cluster's audit rows in the batch.
    pub clusters: Vec<(String, i64)>,
    /// Latest event time in the batch.
    pub latest: Option<i64>,
}

/// The filters of every scan.
#[derive(Debug)]
pub struct Matcher {
    /// Replaced as a whole when rules wake.
    filters: RwLock<Arc<FilterSet>>,
    dormant: Dormant,
    /// Those that no thread has now.
    indexes: Mutex<Vec<Indexes>>,
}

/// What is known of the values of both tables, for the scans of one set of filters.
#[derive(Debug)]
struct Indexes {
    filters: Arc<FilterSet>,
    tables: [Index; 2],
}

impl Matcher {
    /// Filters of planned rules, and rules that are planned when a row comes that may concern them.
    pub fn new(filters: FilterSet, dormant: Dormant) -> Self {
        Self { filters: RwLock::new(Arc::new(filters)), dormant, indexes: Mutex::default() }
    }

    /// The rules that were planned since this was asked last, in the order of their scans' ids.
    pub fn woken(&self) -> Vec<Woken> {
        self.dormant.woken()
    }

    /// How many rules were not planned yet.
    pub fn asleep(&self) -> usize {
        self.dormant.asleep()
    }

    /// Shows the rules that were not planned yet, with the session that would plan them.
    pub fn each_asleep(&self, look: &mut dyn FnMut(&Detection, &SessionState)) {
        self.dormant.each(look);
    }

    /// Plans the rules that were not planned yet and are meant.
    pub fn wake_those(&self, meant: &dyn Fn(&Detection) -> bool) {
        self.dormant.wake_those(meant, &self.filters);
    }

    /// Evaluates every rule's row filter on a batch.
    pub fn evaluate(&self, batch: &Batch) -> Matches {
        let mut matches = Matches::default();
        self.dormant.wake(batch, &self.filters);
        let filters = self.filters.read().unwrap_or_else(PoisonError::into_inner).clone();
        let lent = self.indexes().pop().filter(|lent| Arc::ptr_eq(&lent.filters, &filters));
        let mut lent = lent.unwrap_or_else(|| Indexes { tables: filters.indexes(), filters });
        lent.filters.evaluate(batch, &mut lent.tables, &mut matches);
        self.indexes().push(lent);
        for table in Table::ALL {
            note_times(table, table.rows(batch).0, &mut matches);
        }
        matches
    }

    fn indexes(&self) -> MutexGuard<'_, Vec<Indexes>> {
        self.indexes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes the latest time of the batch, and when each cluster's audit rows begin.
fn note_times(table: Table, rows: &RecordBatch, matches: &mut Matches) {
    let Some(times) = rows.column_by_name("time") else { return };
    let times: &TimestampMicrosecondArray = times.as_primitive::<TimestampMicrosecondType>();
    matches.latest = matches.latest.max(arrow::compute::max(times));
    let Some(clusters) = rows.column_by_name("cluster").and_then(|c| c.as_string_view_opt()) else { return };
    if table != Table::Audit {
        return;
    }
    for row in 0..rows.num_rows() {
        if times.is_null(row) {
            continue;
        }
        let (time, cluster) =
            (times.value(row), if clusters.is_null(row) { "" } else { clusters.value(row) });
        match matches.clusters.iter_mut().rev().find(|(name, _)| name == cluster) {
            Some((_, first)) => *first = time.min(*first),
            None => matches.clusters.push((cluster.to_string(), time)),
        }
    }
}
