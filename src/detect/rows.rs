//! Rows that a rule keeps: the columns its scan reads, and behind them what the engine needs to know
//! of each row (time, identity, audit id, stage, cluster).
//!
//! Kept rows are compacted: their text no longer points into the batch's block, so one row never
//! pins a block, and a text that many rows share (a cluster, an identity) is there once.

use std::collections::hash_map::{Entry, HashMap};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, StringViewArray, TimestampMicrosecondArray, UInt32Array,
    UInt64Array, make_view,
};
use arrow::buffer::Buffer;
use arrow::compute::{concat_batches, take, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimestampMicrosecondType, UInt64Type};
use arrow::error::ArrowError;
use foldhash::fast::RandomState;

use crate::event::compact;

/// Texts up to this length lie in their view, as Arrow lays them out.
pub const INLINE: usize = 12;

/// How many columns stand behind a scan's own.
const META: usize = 5;

/// Schema of kept rows: the scan's columns, then the engine's.
pub fn schema(scan: &SchemaRef) -> SchemaRef {
    let time = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some("+00:00".into()));
    let meta = [
        Field::new("__time", time, true),
        Field::new("__row", DataType::UInt64, false),
        Field::new("__audit_id", DataType::Utf8View, true),
        Field::new("__stage", DataType::Utf8View, true),
        Field::new("__cluster", DataType::Utf8View, true),
    ];
    let fields = scan.fields().iter().cloned().chain(meta.map(Arc::new));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Kept rows of one scan.
#[derive(Debug, Clone)]
pub struct Rows {
    batch: RecordBatch,
}

impl Rows {
    /// The chosen rows of a table, which are in its order, `projection` of their columns, compacted.
    pub fn keep(
        rows: &RecordBatch,
        ids: &[u64],
        chosen: &[u32],
        projection: &[usize],
        schema: &SchemaRef,
    ) -> Result<Rows, ArrowError> {
        debug_assert!(chosen.is_sorted(), "all rows are kept as they lie");
        let picked = UInt32Array::from(chosen.to_vec());
        let pick = |column: &ArrayRef| match chosen.len() == rows.num_rows() {
            true => Ok(shared(column)),
            false => take(column, &picked, None).map(|column| shared(&column)),
        };
        let named = |name: &str| match rows.column_by_name(name) {
            Some(column) => pick(column),
            None => Ok(Arc::new(StringViewArray::new_null(chosen.len())) as ArrayRef),
        };
        let columns: Result<Vec<ArrayRef>, _> = projection.iter().map(|&at| pick(rows.column(at))).collect();
        let mut columns = columns?;
        columns.push(named("time")?);
        columns.push(Arc::new(chosen.iter().map(|&row| ids[row as usize]).collect::<UInt64Array>()));
        // Of these, `control_plane` has only a cluster.
        for name in ["audit_id", "stage", "cluster"] {
            columns.push(named(name)?);
        }
        Ok(Rows { batch: RecordBatch::try_new(schema.clone(), columns)? })
    }

    pub fn len(&self) -> usize {
        self.batch.num_rows()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory the rows hold.
    pub fn bytes(&self) -> usize {
        self.batch.get_array_memory_size()
    }

    /// The rows as kept, the engine's columns included.
    pub fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    /// Rows that were written with [`Rows::batch`].
    pub fn from_batch(batch: RecordBatch) -> Rows {
        Rows { batch }
    }

    /// The rows as the rule's plan reads them.
    pub fn data(&self) -> Result<RecordBatch, ArrowError> {
        let own: Vec<usize> = (0..self.batch.num_columns() - META).collect();
        self.batch.project(&own)
    }

    /// What the engine knows of each row.
    pub fn known(&self) -> &[ArrayRef] {
        &self.batch.columns()[self.batch.num_columns() - META..]
    }

    /// The scan's own column of that name.
    pub fn column(&self, name: &str) -> Option<&ArrayRef> {
        self.batch.column_by_name(name)
    }

    fn meta(&self, index: usize) -> &ArrayRef {
        self.batch.column(self.batch.num_columns() - META + index)
    }

    fn times(&self) -> &TimestampMicrosecondArray {
        self.meta(0).as_primitive::<TimestampMicrosecondType>()
    }

    fn text(&self, index: usize, row: usize) -> Option<&str> {
        let column: &StringViewArray = self.meta(index).as_string_view();
        column.is_valid(row).then(|| column.value(row))
    }

    /// Event time in microseconds since the epoch.
    pub fn time(&self, row: usize) -> Option<i64> {
        self.times().is_valid(row).then(|| self.times().value(row))
    }

    /// Time and identity: a total order that no arrival order changes.
    pub fn order(&self, row: usize) -> (i64, u64) {
        (self.time(row).unwrap_or(i64::MIN), self.id(row))
    }

    pub fn id(&self, row: usize) -> u64 {
        self.meta(1).as_primitive::<UInt64Type>().value(row)
    }

    pub fn audit_id(&self, row: usize) -> Option<&str> {
        self.text(2, row)
    }

    pub fn stage(&self, row: usize) -> Option<&str> {
        self.text(3, row)
    }

    pub fn cluster(&self, row: usize) -> Option<&str> {
        self.text(4, row)
    }

    /// The chosen rows, in the order given.
    pub fn take(&self, rows: &[u32]) -> Result<Rows, ArrowError> {
        Ok(Rows { batch: take_record_batch(&self.batch, &UInt32Array::from(rows.to_vec()))? })
    }

    /// Rows `from..to` without a copy.
    pub fn slice(&self, from: usize, to: usize) -> Rows {
        Rows { batch: self.batch.slice(from, to.saturating_sub(from)) }
    }

    /// All rows of `parts` in order of time and identity, each once: equal in both is the same row
    /// delivered twice.
    pub fn sorted(schema: &SchemaRef, parts: Vec<Rows>) -> Result<Rows, ArrowError> {
        let all = Rows { batch: concat_batches(schema, parts.iter().map(|p| &p.batch))? };
        drop(parts);
        let mut order: Vec<u32> = (0..all.len() as u32).collect();
        if order.is_sorted_by(|&a, &b| all.order(a as usize) < all.order(b as usize)) {
            return Ok(all);
        }
        order.sort_by_key(|&row| all.order(row as usize));
        order.dedup_by_key(|row| all.order(*row as usize));
        all.take(&order)
    }

    /// All rows of runs in order of time and identity. Each is there once in a run, or as often as it
    /// became several, which then lie beside each other; in a later run it is the same delivered twice.
    pub fn merged(schema: &SchemaRef, runs: Vec<Rows>) -> Result<Rows, ArrowError> {
        let all = Rows { batch: concat_batches(schema, runs.iter().map(|run| &run.batch))? };
        let mut order: Vec<(u32, u32)> = Vec::with_capacity(all.len());
        for (run, rows) in runs.into_iter().enumerate() {
            let first = order.len() as u32;
            order.extend((first..).take(rows.len()).map(|row| (row, run as u32)));
        }
        let at = |row: &(u32, u32)| all.order(row.0 as usize);
        if order.is_sorted_by(|a, b| at(a) < at(b) || (a.1 == b.1 && at(a) == at(b))) {
            return Ok(all);
        }
        order.sort_by_key(at);
        let mut first: Option<(u32, u32)> = None;
        order.retain(|row| match first.filter(|first| at(first) == at(row)) {
            Some(first) => first.1 == row.1,
            None => {
                first = Some(*row);
                true
            }
        });
        all.take(&order.into_iter().map(|(row, _)| row).collect::<Vec<_>>())
    }

    /// The rows that have a time; those without belong to no window and come at no moment.
    pub fn timed(self) -> Result<Rows, ArrowError> {
        if self.times().null_count() == 0 {
            return Ok(self);
        }
        let timed: Vec<u32> = (0..self.len() as u32).filter(|&r| self.time(r as usize).is_some()).collect();
        self.take(&timed)
    }

    /// In sorted rows, the first row later than `time`.
    pub fn after(&self, time: i64) -> usize {
        self.times().values().partition_point(|t| *t <= time)
    }

    /// The same rows on memory of their own. A column is let go before the next is copied: a window may be
    /// most of what a process holds.
    pub fn compacted(self) -> Result<Rows, ArrowError> {
        let (schema, columns, _) = self.batch.into_parts();
        let columns = columns.into_iter().map(|column| shared(&column)).collect();
        Ok(Rows { batch: RecordBatch::try_new(schema, columns)? })
    }
}

/// Long texts of a column that were all different are enough to expect no others that are equal: ids are,
/// and looking them up costs more than copying them.
const ALL_DIFFERENT: usize = 64;

/// A copy of a column on memory of its own, with each long text once where texts repeat.
fn shared(column: &ArrayRef) -> ArrayRef {
    let Some(texts) = column.as_string_view_opt() else { return compact(column) };
    let (mut bytes, mut views) = (Vec::new(), Vec::with_capacity(texts.len()));
    let mut known: HashMap<&str, u128, RandomState> = HashMap::default();
    let mut repeats = false;
    // Of the row before: where its text lay, the text, and where it lies now.
    let mut last = (0, "", 0);
    for (text, &place) in texts.iter().zip(texts.views()) {
        // A null may keep the place of the text that was there, and does not stand for it.
        let (text, place) = text.map_or(("", 0), |text| (text, place));
        // Short ones lie in the view itself, and have no offset.
        let offset = bytes.len() as u32;
        let view = match text.len() <= INLINE {
            true => make_view(text.as_bytes(), 0, 0),
            // Neighbours are often equal, and mostly the very same.
            false if last.0 == place || last.1 == text => last.2,
            false if known.len() < ALL_DIFFERENT || repeats => match known.entry(text) {
                Entry::Occupied(earlier) => {
                    repeats = true;
                    *earlier.get()
                }
                Entry::Vacant(new) => {
                    bytes.extend_from_slice(text.as_bytes());
                    *new.insert(make_view(text.as_bytes(), 0, offset))
                }
            },
            false => {
                bytes.extend_from_slice(text.as_bytes());
                make_view(text.as_bytes(), 0, offset)
            }
        };
        last = (place, text, view);
        views.push(view);
    }
    if bytes.len() > i32::MAX as usize {
        return compact(column);
    }
    bytes.shrink_to_fit();
    let buffers = if bytes.is_empty() { Vec::new() } else { vec![Buffer::from_vec(bytes)] };
    // These are texts of another column, at places that were just written.
    let made = StringViewArray::try_new(views.into(), buffers, texts.nulls().cloned());
    made.map_or_else(|_| compact(column), |texts| Arc::new(texts))
}

#[cfg(test)]
mod tests {
    use arrow::array::BooleanArray;
    use arrow::compute::nullif;

    use super::*;

    #[test]
    fn a_copy_is_equal_and_has_each_long_text_once() {
        let long = "a text that is longer than a view";
        let other = "another text that is longer than a view";
        let texts = [Some(long), None, Some("short"), Some(other), Some(long), Some(""), Some(long)];
        let column: ArrayRef = Arc::new(StringViewArray::from_iter(texts));
        let copy = shared(&column.slice(1, 6));
        assert_eq!(&copy, &column.slice(1, 6));
        let bytes: usize = copy.as_string_view().data_buffers().iter().map(|buffer| buffer.len()).sum();
        assert_eq!(bytes, long.len() + other.len());
        // Of what is all different each is copied, also where one is there again later.
        let mut ids: Vec<String> = (0..100).map(|id| format!("{id} is an id of some length")).collect();
        ids.push(ids[3].clone());
        let column: ArrayRef = Arc::new(StringViewArray::from_iter_values(ids));
        assert_eq!(&shared(&column), &column);
        // A null that `nullif` made has the place of the text it stands before.
        let twice: ArrayRef = Arc::new(StringViewArray::from_iter_values([long, long]));
        let twice = take(&twice, &UInt32Array::from(vec![0, 0]), None).unwrap();
        let hidden = nullif(&twice, &BooleanArray::from(vec![true, false])).unwrap();
        assert_eq!(&shared(&hidden), &hidden);
        let none = shared(&column.slice(0, 0));
        assert_eq!((none.len(), none.as_string_view().data_buffers().len()), (0, 0));
    }
}
