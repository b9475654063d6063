//! Any bytes as a message of the hub: nothing panics, every record is accounted for, and a second copy
//! of the message changes nothing but the number of duplicates.
#![no_main]

use aksentry::decode::{Decoder, Dedup};
use aksentry::event::RawBatch;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let raw = RawBatch { bodies: vec![data.to_vec().into()] };
    let mut decoder = Decoder::default();
    let mut dedup = Dedup::new(usize::MAX);
    let first = decoder.decode(&raw);
    let (counts, batch) = (&first.counts, &first.batch);
    assert!(counts.balanced(), "{counts:?}");
    assert_eq!(counts.events as usize, batch.audit.num_rows());
    assert_eq!(counts.control_plane as usize, batch.control_plane.num_rows());
    assert_eq!(batch.audit.num_rows(), batch.audit_ids.len());
    assert_eq!(batch.control_plane.num_rows(), batch.control_plane_ids.len());
    assert_eq!(counts.rejects.values().sum::<u64>() as usize, first.rejects.len());
    assert!(counts.truncated <= counts.events);
    let records = counts.records;
    let first = dedup.retain(first).expect("without files nothing can fail");
    assert!(first.counts.balanced(), "{:?}", first.counts);
    decoder.recycle(first.batch);

    let second = dedup.retain(decoder.decode(&raw)).expect("without files nothing can fail");
    assert!(second.counts.balanced(), "{:?}", second.counts);
    assert_eq!((second.counts.records, second.counts.events), (records, 0));
});
