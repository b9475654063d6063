//! `thin`: of rows with equal columns (times left out) one per aligned interval is kept, the earliest.
//!
//! For rules whose row filter lets nearly everything through, such as "this cluster fell silent": what
//! they need to know fits into a few rows. It is applied to each batch, where most rows go, and again
//! to the sorted rows of a window, which makes the outcome independent of how batches were cut.

use std::collections::HashSet;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use datafusion::common::hash_utils::create_hashes_with_hasher;
use foldhash::fast::RandomState;

use super::rows::Rows;

/// Thins rows of one scan.
#[derive(Debug, Clone)]
pub struct Thinner {
    /// Microseconds.
    interval: i64,
    /// Indices of the columns that tell rows apart.
    columns: Vec<usize>,
}

impl Thinner {
    /// For rows of the scan with that schema; `interval` in microseconds.
    pub fn new(interval: i64, scan: &SchemaRef) -> Self {
        let differs = |kind: &DataType| !matches!(kind, DataType::Timestamp(..));
        let columns = scan.fields().iter().enumerate().filter(|(_, f)| differs(f.data_type()));
        Self { interval, columns: columns.map(|(i, _)| i).collect() }
    }

    /// The earliest row of each group of equal rows in an interval, in order of time and identity.
    pub fn thin(&self, rows: &Rows) -> Result<Rows, ArrowError> {
        let arrays: Vec<ArrayRef> = self.columns.iter().map(|&c| rows.batch().column(c).clone()).collect();
        rows.take(&self.earliest(&arrays, rows.len(), |row| (rows.time(row), rows.id(row)))?)
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
        let mut earliest = self.earliest(&arrays, chosen.len(), at)?;
        earliest.sort_unstable();
        Ok(earliest.into_iter().map(|row| chosen[row as usize]).collect())
    }

    /// Which of so many rows are the earliest of theirs; `at` gives a row's time and identity.
    fn earliest(
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
        let mut seen: HashSet<(u64, i64), RandomState> = HashSet::default();
        order.retain(|&row| {
            let bucket = at(row as usize).0.map_or(i64::MIN, |t| t.div_euclid(self.interval));
            seen.insert((hashes[row as usize], bucket))
        });
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
}
