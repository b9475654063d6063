//! Files whose bytes were changed anywhere: never a panic, never a batch that does not add up, never
//! without an end.

use std::fs;
use std::path::Path;
use std::sync::{LazyLock, mpsc};
use std::time::Duration;

use aksentry::decode::Decoder;
use aksentry::source::files::{FileReader, Sizes};
use proptest::prelude::*;

use super::{SCENARIO, write};

/// Far more than a file of some kilobytes needs on a busy machine.
const TIME: Duration = Duration::from_secs(60);

/// A small file of every format.
static FILES: LazyLock<Vec<(&str, Vec<u8>)>> = LazyLock::new(|| {
    let records: Vec<write::Record> = SCENARIO.1.iter().step_by(97).take(24).cloned().collect();
    let rows: Vec<write::Row> = records.iter().map(write::resource_specific).collect();
    let logs: Vec<write::Row> = records.iter().map(write::diagnostics).collect();
    let messages = &SCENARIO.0[..12];
    vec![
        ("null", write::capture(messages, "null")),
        ("deflate", write::capture(messages, "deflate")),
        ("snappy", write::capture(messages, "snappy")),
        ("json", write::json_lines(&rows)),
        ("query", write::query_result(&rows)),
        ("csv", write::portal_csv(&rows)),
        ("logs", write::portal_csv(&logs)),
        ("parquet", write::parquet(&rows)),
        ("gzip", write::gzip(&write::portal_csv(&rows))),
    ]
});

/// Reads and decodes a file to its end.
fn read(path: &Path) {
    let sizes = Sizes { chunk: 4096, value: 64 << 10, record: 1 << 20 };
    let Ok(mut reader) = FileReader::open(path, sizes) else { return };
    let mut decoder = Decoder::default();
    let mut batches = 0;
    while let Ok(raw) = reader.next_batch() {
        let decoded = decoder.decode(&raw);
        assert!(decoded.counts.balanced(), "{:?}", decoded.counts);
        batches += 1;
        assert!(batches < 100_000, "the file has no end");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_bytes_never_break_the_reader(
        file in 0_usize..9,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
        near_the_end in any::<bool>(),
    ) {
        let (name, mut bytes) = FILES[file].clone();
        // Footers decide over everything else.
        let from = if near_the_end { bytes.len().saturating_sub(600) } else { 0 };
        for (place, byte) in changes {
            let at = from + place.index(bytes.len() - from);
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        // Not joined: what goes round for ever would hold this test up with it.
        let (done, finished) = mpsc::sync_channel(1);
        std::thread::spawn(move || {
            read(&path);
            let _ = done.send(());
        });
        let outcome = finished.recv_timeout(TIME);
        prop_assert!(outcome.is_ok(), "a changed {name} file is read without end, or it panics: {outcome:?}");
    }
}
