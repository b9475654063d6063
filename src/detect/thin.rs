//! `thin`: of rows with equal columns (times left out) one per aligned interval is kept, the earliest.
//!
//! For rules whose row filter lets nearly everything through, such as "this cluster fell silent": what
//! they need to know fits into a few rows. It is applied to each batch, where most rows go, and again
//! to the sorted rows of a window, which makes the outcome independent of how batches were cut.
//!
//! A baseline only asks when a key was seen: of a batch's rows of a key it needs the first and the last.

use std::collections::{HashMap, HashSet};

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use datafusion::common::hash_utils::create_hashes_with_hasher;
use foldhash::fast::RandomState;

use super::plan::Planned;
use super::rows::Rows;
use super::state::micros;
use super::table::PlannedScan;
use crate::rules::Detection;

/// Thins rows of one scan.
#[derive(Debug, Clone)]
pub struct Thinner {
    keeps: Keeps,
    /// Indices of the columns that tell rows apart.
    columns: Vec<usize>,
}

/// Of equal rows; in microseconds.
#[derive(Debug, Clone, Copy)]
enum Keeps {
    /// The first of each aligned interval of this length.
    First(i64),
    /// The first and the last where they are less than this apart, else all.
    Ends(i64),
}

impl Thinner {
    /// For the rows of one of a rule's scans, as they are kept.
    pub fn of_kept(rule: &Detection, planned: &Planned, scan: &PlannedScan) -> Option<Self> {
        match (rule.thin, rule.baseline, &planned.key_sources) {
            (Some(interval), ..) => Some(Self::new(micros(interval), scan.slot.schema())),
            (None, Some(span), Some(columns)) => Some(Self::of_baseline(micros(span), columns.clone())),
            _ => None,
        }
    }

    /// For rows of the scan with that schema; `interval` in microseconds.
    fn new(interval: i64, scan: &SchemaRef) -> Self {
        let differs = |kind: &DataType| !matches!(kind, DataType::Timestamp(..));
        let columns = scan.fields().iter().enumerate().filter(|(_, f)| differs(f.data_type()));
        Self { keeps: Keeps::First(interval), columns: columns.map(|(i, _)| i).collect() }
    }

    /// For a baseline of that span in microseconds, whose keys are made of these columns of its scan.
    fn of_baseline(span: i64, columns: Vec<usize>) -> Self {
        Self { keeps: Keeps::Ends(span), columns }
    }

    /// The rows that are kept, in order of time and identity.
    pub fn thin(&self, rows: &Rows) -> Result<Rows, ArrowError> {
        let arrays: Vec<ArrayRef> = self.columns.iter().map(|&c| rows.batch().column(c).clone()).collect();
        rows.take(&self.kept(&arrays, rows.len(), |row| (rows.time(row), rows.id(row)))?)
    }

    /// The same of chosen rows of a table, in the table's order; `projection` are the table's columns
    /// that the scan reads.
    pub fn choose(
        &self,
        rows: &RecordBatch,
        ids: &[u64],
        chosen: &[u32],
        projection: &[usize],
    ) -> Result<Vec<u32>, ArrowError> {
        let picked = UInt32Array::from(chosen.to_vec());
        let columns = self.columns.iter().map(|&c| rows.column(projection[c]));
        let arrays = match chosen.len() == rows.num_rows() {
            true => columns.cloned().collect(),
            false => columns.map(|column| take(column, &picked, None)).collect::<Result<Vec<_>, _>>()?,
        };
        let times = rows.column_by_name("time");
        let times = times.and_then(|times| times.as_primitive_opt::<TimestampMicrosecondType>());
        let at = |row: usize| {
            let row = chosen[row] as usize;
            let time = times.and_then(|times| times.is_valid(row).then(|| times.value(row)));
            (time, ids[row])
        };
        let mut kept = self.kept(&arrays, chosen.len(), at)?;
        kept.sort_unstable();
        Ok(kept.into_iter().map(|row| chosen[row as usize]).collect())
    }

    /// Which of so many rows are kept, in order; `at` gives a row's time and identity.
    fn kept(
        &self,
        arrays: &[ArrayRef],
        rows: usize,
        at: impl Fn(usize) -> (Option<i64>, u64),
    ) -> Result<Vec<u32>, ArrowError> {
        let mut hashes = vec![0; rows];
        if !arrays.is_empty() {
            create_hashes_with_hasher(arrays, &RandomState::default(), &mut hashes)
                .map_err(|e| ArrowError::ComputeError(e.strip_backtrace()))?;
        }
        let mut order: Vec<u32> = (0..rows as u32).collect();
        order.sort_unstable_by_key(|&row| at(row as usize));
        match self.keeps {
            Keeps::First(interval) => {
                let mut seen: HashSet<(u64, i64), RandomState> = HashSet::default();
                order.retain(|&row| {
                    let bucket = at(row as usize).0.map_or(i64::MIN, |t| t.div_euclid(interval));
                    seen.insert((hashes[row as usize], bucket))
                });
            }
            Keeps::Ends(span) => {
                let mut ends: HashMap<u64, (u32, u32), RandomState> = HashMap::default();
                for &row in &order {
                    ends.entry(hashes[row as usize]).or_insert((row, row)).1 = row;
                }
                let time = |row: u32| at(row as usize).0.unwrap_or(i64::MIN);
                order.retain(|row| {
                    let Some(&(first, last)) = ends.get(&hashes[*row as usize]) else { return true };
                    *row == first || *row == last || time(last).saturating_sub(time(first)) >= span
                });
            }
        }
        Ok(order)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{StringViewArray, TimestampMicrosecondArray};
    use arrow::datatypes::{Field, Schema, TimeUnit};

    use super::*;
    use crate::detect::rows::schema;

    #[test]
    fn rows_that_come_out_of_order_keep_their_identities() {
        let times = TimestampMicrosecondArray::from(vec![30, 10, 20]).with_timezone("+00:00");
        let users = StringViewArray::from(vec!["c", "a", "b"]);
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
        let scan = Arc::new(Schema::new(vec![
            Field::new("time", time, true),
            Field::new("username", DataType::Utf8View, true),
        ]));
        let rows = RecordBatch::try_new(scan.clone(), vec![Arc::new(times), Arc::new(users)]).unwrap();
        let thinner = Thinner::new(60, &scan);
        let chosen = thinner.choose(&rows, &[3, 1, 2], &[0, 1, 2], &[0, 1]).unwrap();
        assert_eq!(chosen, [0, 1, 2]);
        let kept = Rows::keep(&rows, &[3, 1, 2], &chosen, &[0, 1], &schema(&scan)).unwrap();
        let order: Vec<_> = (0..kept.len()).map(|row| kept.order(row)).collect();
        assert_eq!(order, [(30, 3), (10, 1), (20, 2)]);
    }

    #[test]
    fn a_baseline_keeps_the_ends_of_what_is_close_together_and_all_of_the_rest() {
        let times =
            TimestampMicrosecondArray::from(vec![10, 40, 20, 30, 5, 200, 100]).with_timezone("+00:00");
        let users = StringViewArray::from(vec!["a", "a", "a", "a", "b", "b", "b"]);
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
        let scan = Arc::new(Schema::new(vec![
            Field::new("time", time, true),
            Field::new("username", DataType::Utf8View, true),
        ]));
        let rows = RecordBatch::try_new(scan, vec![Arc::new(times), Arc::new(users)]).unwrap();
        let ids: Vec<u64> = (0..7).collect();
        let chosen = |span: i64, rows_of: &[u32]| {
            Thinner::of_baseline(span, vec![1]).choose(&rows, &ids, rows_of, &[0, 1]).unwrap()
        };
        assert_eq!(chosen(60, &[0, 1, 2, 3, 4, 5, 6]), [0, 1, 4, 5, 6]);
        assert_eq!(chosen(30, &[0, 1, 2, 3, 4, 5, 6]), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(chosen(500, &[1, 2, 3, 5]), [1, 2, 5]);
    }
}
