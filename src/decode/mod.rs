//! Bytes to rows: envelope, audit event, klog line, and what is left of a record that was cut.
//!
//! A [`Decoder`] turns a [`RawBatch`] into a [`Decoded`]; [`Dedup`] then removes events seen before.
//! `envelope` finds the records of a body and gets over broken ones, `record` reads one and decides
//! what it is, `audit` and `klog` read the text inside, `log_analytics` puts together what a workspace
//! took apart, `columns` builds the tables. Strings are not
//! copied one by one: all of a batch lie in one `block`.

mod audit;
mod block;
mod columns;
mod dedup;
mod envelope;
mod klog;
mod log_analytics;
mod principal;
mod record;
mod resync;
mod rows;
mod salvage;
mod time;

#[cfg(test)]
mod tests;

use arrow::array::{Array, AsArray};
use arrow::buffer::Buffer;
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use self::block::{Block, Span};
use self::columns::{AuditRows, ControlRows, Spare};
pub use self::dedup::{Dedup, DedupError};
pub use self::principal::classes as principal_classes;
use crate::event::{Batch, Counts, HOUR, RawBatch, Reject, RejectReason, RowIds, schema};

/// Rows of one [`RawBatch`] and the account of its records (duplicates not yet removed).
#[derive(Debug)]
pub struct Decoded {
    pub batch: Batch,
    pub counts: Counts,
    pub rejects: Vec<Reject>,
}

/// Decodes batches. One per thread: it owns the buffers it reuses and knows nothing of other batches.
#[derive(Debug, Default)]
pub struct Decoder {
    block: Block,
    audit: AuditRows,
    audit_ids: RowIds,
    control: ControlRows,
    control_ids: RowIds,
    counts: Counts,
    rejects: Vec<Reject>,
    /// The last category, pod and stream: they mostly repeat.
    last: Repeated,
    /// Text of one event that is not in the block as it should be shown.
    tail: Vec<u8>,
    /// `properties` that came as a string.
    properties: Vec<u8>,
    hashed: Vec<u8>,
    spare: Spare,
    blocks: Vec<Vec<u8>>,
    /// The cluster of records that name none, in lower case.
    cluster: Option<String>,
}

#[derive(Debug, Default)]
struct Repeated {
    category: Option<Span>,
    pod: Option<Span>,
    stream: Option<Span>,
}

/// A block is not given back for reuse beyond this many, and not at all beyond this size.
const MAX_SPARE_BLOCKS: usize = 4;
const MAX_SPARE_BLOCK: usize = 256 << 20;

impl Decoder {
    /// A decoder that takes records which name no cluster, as those of a plain `audit.log`, to be of
    /// this one.
    pub fn of_cluster(cluster: Option<&str>) -> Self {
        Self { cluster: cluster.map(str::to_lowercase), ..Self::default() }
    }

    /// Decodes every record of `raw`. A batch never fails; records do, one by one.
    pub fn decode(&mut self, raw: &RawBatch) -> Decoded {
        let bytes = self.blocks.pop().unwrap_or_default();
        self.block.reset(bytes);
        let total: usize = raw.bodies.iter().map(bytes::Bytes::len).sum();
        self.block.bytes.reserve(total.min(MAX_SPARE_BLOCK));
        self.last = Repeated::default();
        for body in &raw.bodies {
            self.body(body);
        }
        self.finish()
    }

    /// Takes back a batch that nobody holds rows of any more, so that its pages are used again.
    pub fn recycle(&mut self, batch: Batch) {
        let Batch { audit, control_plane, block, .. } = batch;
        self.spare.reclaim(audit);
        self.spare.reclaim(control_plane);
        if let Ok(bytes) = block.into_vec::<u8>()
            && self.blocks.len() < MAX_SPARE_BLOCKS
            && bytes.capacity() <= MAX_SPARE_BLOCK
        {
            self.blocks.push(bytes);
        }
    }

    fn finish(&mut self) -> Decoded {
        let block = Buffer::from_vec(std::mem::take(&mut self.block.bytes));
        let mut counts = std::mem::take(&mut self.counts);
        let mut rejects = std::mem::take(&mut self.rejects);

        let audit = self.audit.finish(&block, &mut self.spare);
        let audit = whole(audit, schema::audit(), &mut counts, &mut rejects, |c| {
            c.truncated = 0;
            std::mem::take(&mut c.events)
        });
        let control = self.control.finish(&block, &mut self.spare);
        let control = whole(control, schema::control_plane(), &mut counts, &mut rejects, |c| {
            std::mem::take(&mut c.control_plane)
        });
        let mut audit_ids = std::mem::take(&mut self.audit_ids);
        audit_ids.truncate(audit.num_rows());
        let mut control_plane_ids = std::mem::take(&mut self.control_ids);
        control_plane_ids.truncate(control.num_rows());
        let batch = Batch { audit, audit_ids, control_plane: control, control_plane_ids, block };
        tally_times(&mut counts, &batch);
        Decoded { batch, counts, rejects }
    }
}

/// The table, or none of its rows and a reject for each: a table that Arrow refuses must not pass
/// as an empty one.
fn whole(
    table: Result<RecordBatch, ArrowError>,
    schema: SchemaRef,
    counts: &mut Counts,
    rejects: &mut Vec<Reject>,
    rows: impl FnOnce(&mut Counts) -> u64,
) -> RecordBatch {
    table.unwrap_or_else(|error| {
        let lost = rows(counts);
        let reason = RejectReason::MalformedJson;
        *counts.rejects.entry(reason).or_default() += lost;
        let detail = format!("building the table of the batch: {error}");
        rejects.extend((0..lost).map(|_| Reject {
            reason,
            detail: detail.clone(),
            body: bytes::Bytes::new(),
        }));
        RecordBatch::new_empty(schema)
    })
}

/// Counts the rows of both tables by hour, anew.
pub fn tally_times(counts: &mut Counts, batch: &Batch) {
    counts.hours.clear();
    (counts.first_event, counts.last_event) = (None, None);
    // Neighbours mostly share an hour; the map is touched when it changes.
    let mut run: (i64, u64) = (0, 0);
    for table in [&batch.audit, &batch.control_plane] {
        let Some(times) =
            table.columns().first().and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>())
        else {
            continue;
        };
        for row in 0..times.len() {
            if times.is_null(row) {
                continue;
            }
            let time = times.value(row);
            counts.first_event = Some(counts.first_event.map_or(time, |first| first.min(time)));
            counts.last_event = counts.last_event.max(Some(time));
            let hour = time.div_euclid(HOUR);
            if hour != run.0 && run.1 > 0 {
                *counts.hours.entry(run.0).or_default() += run.1;
                run.1 = 0;
            }
            run = (hour, run.1 + 1);
        }
    }
    if run.1 > 0 {
        *counts.hours.entry(run.0).or_default() += run.1;
    }
}
