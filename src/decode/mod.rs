//! Bytes to rows: envelope, audit event, klog line, and what is left of a record that was cut.

use crate::event::{Batch, Counts, RawBatch, Reject};

/// Rows of one [`RawBatch`] and the account of its records (duplicates not yet removed).
#[derive(Debug)]
pub struct Decoded {
    pub batch: Batch,
    pub counts: Counts,
    pub rejects: Vec<Reject>,
}

/// Decodes batches. One per thread: it owns the buffers it reuses and knows nothing of other batches.
#[derive(Debug, Default)]
pub struct Decoder {}

impl Decoder {
    /// Decodes every record of `raw`. A batch never fails; records do, one by one.
    pub fn decode(&mut self, raw: &RawBatch) -> Decoded {
        let _ = raw;
        unimplemented!()
    }

    /// Takes back a batch that nobody holds rows of any more, so that its pages are used again.
    pub fn recycle(&mut self, batch: Batch) {
        drop(batch);
    }
}
