//! `thin`: of rows with equal columns (times left out) one per aligned interval is kept, the earliest.
//!
//! For rules whose row filter lets nearly everything through, such as "this cluster fell silent": what
//! they need to know fits into a few rows. It is applied to each batch, where most rows go, and again
//! to the sorted rows of a window, which makes the outcome independent of how batches were cut.

use std::collections::HashSet;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use datafusion::common::hash_utils::create_hashes_with_hasher;
use xxhash_rust::xxh3::Xxh3DefaultBuilder;

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
        let mut hashes = vec![0; rows.len()];
        if !arrays.is_empty() {
            create_hashes_with_hasher(&arrays, &Xxh3DefaultBuilder, &mut hashes)
                .map_err(|e| ArrowError::ComputeError(e.strip_backtrace()))?;
        }
        let mut order: Vec<u32> = (0..rows.len() as u32).collect();
        order.sort_unstable_by_key(|&row| rows.order(row as usize));
        let mut seen: HashSet<(u64, i64), Xxh3DefaultBuilder> = HashSet::default();
        order.retain(|&row| {
            let bucket = rows.time(row as usize).map_or(i64::MIN, |t| t.div_euclid(self.interval));
            seen.insert((hashes[row as usize], bucket))
        });
        rows.take(&order)
    }
}
