//! A whole replay with the pack, from a file on disk to the last alert, by number of threads, beside the
//! yardstick of serde_json parsing the same bytes from memory on one thread.
//!
//! Run with `cargo bench --bench replay`. Rules are planned as `replay` does, when rows need them, and that
//! is part of the time.

mod input;

use std::fs::File;
use std::hint::black_box;
use std::io::Write as _;

use aksentry::detect::{Engine, EngineConfig};
use aksentry::pipeline::{Progress, Range, replay};
use aksentry::rules::{Catalog, Sources};
use aksentry::source::files::Inputs;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const EVENTS: usize = 100_000;

struct Quiet;

impl Progress for Quiet {
    fn advance(&self, _: u64) {}
}

fn whole(criterion: &mut Criterion) {
    let bodies = input::messages(EVENTS);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("messages.ndjson");
    let mut file = File::create(&path).expect("a file");
    for body in &bodies {
        file.write_all(body).and_then(|()| file.write_all(b"\n")).expect("room for the messages");
    }
    drop(file);
    let (catalog, problems) = Catalog::load(&Sources::default());
    assert!(problems.is_empty(), "the pack has no problems");
    let paths = [path.to_string_lossy().into_owned()];
    let mut group = criterion.benchmark_group("replay");
    group.sample_size(10).throughput(Throughput::Bytes(input::size(&bodies)));
    group.bench_function("serde_json two levels (yardstick)", |b| b.iter(|| input::two_levels(&bodies)));
    for threads in [1, 2] {
        group.bench_function(format!("threads {threads}"), |b| {
            b.iter(|| {
                let config = EngineConfig { lazy: true, ..EngineConfig::default() };
                let engine = Engine::compile(&catalog, &config).expect("the pack compiles");
                let inputs = Inputs::resolve(&paths).expect("the file is there");
                let options = replay::Options { inputs, range: Range::default(), threads };
                let mut alerts = 0;
                let mut emit = |alert| {
                    black_box(alert);
                    alerts += 1;
                    Ok(())
                };
                let outcome = replay::run(engine, &options, &Quiet, &mut emit).expect("the file is read");
                assert_eq!(outcome.counts.events as usize, EVENTS);
                alerts
            });
        });
    }
    group.finish();
}

criterion_group!(benches, whole);
criterion_main!(benches);
