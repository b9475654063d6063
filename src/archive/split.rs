//! Rows of a batch by the folder they go to, as copies of their own.

use std::sync::Arc;

use arrow::array::{Array as _, AsArray as _, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use hashbrown::HashMap;

use super::layout::{HOUR, Slot};
use crate::event::{Table, compact};

/// Cluster and hour of a row.
type Key<'a> = (Option<&'a str>, Option<i64>);

/// The rows of each slot, in input order.
pub(super) fn split(table: Table, rows: &RecordBatch) -> Result<Vec<(Slot, RecordBatch)>, ArrowError> {
    let missing = |name: &str| ArrowError::SchemaError(format!("no column \"{name}\" of the type it has"));
    let times = rows
        .column_by_name("time")
        .and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>())
        .ok_or_else(|| missing("time"))?;
    let clusters = rows
        .column_by_name("cluster")
        .and_then(|column| column.as_string_view_opt())
        .ok_or_else(|| missing("cluster"))?;

    let mut groups: Vec<(Key, Vec<u32>)> = Vec::new();
    let mut known = HashMap::new();
    let mut last = 0;
    for (row, (time, cluster)) in (0..).zip(times.iter().zip(clusters.iter())) {
        let key = (cluster, time.map(|time| time.div_euclid(HOUR)));
        // Neighbours mostly belong together.
        if groups.get(last).is_none_or(|(there, _)| *there != key) {
            last = *known.entry(key).or_insert_with(|| {
                groups.push((key, Vec::new()));
                groups.len() - 1
            });
        }
        if let Some((_, members)) = groups.get_mut(last) {
            members.push(row);
        }
    }

    let single = groups.len() == 1;
    let pieces = groups.into_iter().map(|((cluster, hour), members)| {
        let slot = Slot { table, cluster: cluster.map(Arc::from), hour };
        let piece = if single { rows.clone() } else { take_record_batch(rows, &UInt32Array::from(members))? };
        Ok((slot, own(&piece)?))
    });
    pieces.collect()
}

/// A copy that keeps nothing of the decoder's block alive.
fn own(rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = rows.columns().iter().map(compact).collect();
    RecordBatch::try_new(rows.schema(), columns)
}

/// Bytes of memory that rows made by [`split`] hold.
pub(super) fn size(rows: &RecordBatch) -> usize {
    rows.columns().iter().map(|column| column.get_array_memory_size()).sum()
}

#[cfg(test)]
mod tests {
    use arrow::array::StringViewArray;
    use arrow::array::TimestampMicrosecondArray;
    use arrow::buffer::Buffer;

    use super::*;
    use crate::event::schema;

    /// Rows as the decoder makes them: text points into one large block.
    fn rows(cells: &[(Option<i64>, Option<&str>)]) -> RecordBatch {
        let mut block = vec![b'x'; 10 << 20];
        let mut at = 0;
        let views = cells.iter().map(|(_, cluster)| {
            let text = cluster.unwrap_or_default().as_bytes();
            block[at..at + text.len()].copy_from_slice(text);
            let view = arrow::array::make_view(text, 0, at as u32);
            at += text.len();
            view
        });
        let views: Vec<u128> = views.collect();
        let nulls = cells.iter().map(|(_, cluster)| cluster.is_some()).collect();
        let clusters = StringViewArray::try_new(views.into(), [Buffer::from(block)], Some(nulls)).unwrap();
        let times: TimestampMicrosecondArray = cells.iter().map(|(time, _)| *time).collect();
        let times = times.with_timezone("+00:00");
        let schema = schema::audit().project(&[0, 1]).unwrap();
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(times), Arc::new(clusters)]).unwrap()
    }

    #[test]
    fn rows_go_by_cluster_and_hour_and_leave_the_block() {
        let long = "/subscriptions/0000/resourcegroups/g/managedclusters/prod";
        let cells = [
            (Some(1), Some(long)),
            (Some(HOUR), Some(long)),
            (Some(2), Some("dev")),
            (None, Some(long)),
            (Some(-1), None),
            (Some(3), Some(long)),
        ];
        let rows = rows(&cells);
        assert!(size(&rows) > 10 << 20);
        let pieces = split(Table::Audit, &rows).unwrap();
        let seen: Vec<_> = pieces.iter().map(|(s, r)| (s.cluster.as_deref(), s.hour, r.num_rows())).collect();
        assert_eq!(
            seen,
            [
                (Some(long), Some(0), 2),
                (Some(long), Some(1), 1),
                (Some("dev"), Some(0), 1),
                (Some(long), None, 1),
                (None, Some(-1), 1)
            ]
        );
        assert!(pieces.iter().all(|(_, rows)| size(rows) < 4096));
    }

    #[test]
    fn a_batch_of_one_hour_leaves_the_block_too() {
        let long = "/subscriptions/0000/resourcegroups/g/managedclusters/prod";
        let pieces = split(Table::Audit, &rows(&[(Some(1), Some(long)); 3])).unwrap();
        assert_eq!(pieces.len(), 1);
        assert!(size(&pieces[0].1) < 4096);
    }
}
