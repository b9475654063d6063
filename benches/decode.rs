//! Decoding messages to Arrow batches, beside the yardstick: serde_json parsing both JSON levels of the
//! same bytes into borrowed structs.
//!
//! Run with `cargo bench --bench decode`; both figures are bytes a second of one thread.

mod input;

use aksentry::decode::{Decoder, Dedup};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn decode(criterion: &mut Criterion) {
    let bodies = input::messages(30_000);
    let raw = input::batches(&bodies);
    let mut group = criterion.benchmark_group("decode");
    group.sample_size(10).throughput(Throughput::Bytes(input::size(&bodies)));
    group.bench_function("serde_json two levels (yardstick)", |b| b.iter(|| input::two_levels(&bodies)));
    let mut decoder = Decoder::default();
    group.bench_function("decode", |b| {
        b.iter(|| {
            for raw in &raw {
                let decoded = decoder.decode(raw);
                decoder.recycle(decoded.batch);
            }
        });
    });
    group.bench_function("decode and deduplicate", |b| {
        b.iter(|| {
            let mut dedup = Dedup::new(1_000_000);
            for raw in &raw {
                let decoded = dedup.retain(decoder.decode(raw)).expect("few enough ids to stay in memory");
                decoder.recycle(decoded.batch);
            }
        });
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
