//! Row filters of 10 rules, of the whole pack and of ten times the pack over decoded batches, beside
//! the yardstick of decoding those batches.
//!
//! Run with `cargo bench --bench detect`; figures are bytes of the messages a second, one thread.

mod input;

use std::hint::black_box;

use aksentry::decode::Decoder;
use aksentry::detect::{Engine, EngineConfig, Matcher};
use aksentry::event::Batch;
use aksentry::rules::{Catalog, Sources};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::sync::Arc;

/// The statement with another verb and resource to look for, else another status, else another value of
/// whatever it compares with a text.
fn other_literals(sql: &str, copy: usize) -> String {
    let kinds: [&[(&str, String)]; 3] = [
        &["resource = '", "resource IN ('", "verb = '", "verb IN ('"].map(|at| (at, format!("{at}{copy}"))),
        &[
            ("status_code = ", format!("status_code = {copy}")),
            ("BETWEEN 200 AND 299", format!("BETWEEN {copy}200 AND {copy}299")),
        ],
        &["= '", " IN ('"].map(|at| (at, format!("{at}{copy}"))),
    ];
    let named = |kind: &&[(&str, String)]| kind.iter().any(|(at, _)| sql.contains(at));
    let kind = kinds.into_iter().find(named).unwrap_or_default();
    kind.iter().fold(sql.to_string(), |sql, (at, other)| sql.replace(at, other))
}

/// The pack `times` over; copies have other literals, so that they share no filter with the original.
fn catalog(times: usize) -> Catalog {
    let (pack, problems) = Catalog::load(&Sources::default());
    assert!(problems.is_empty(), "the pack has no problems");
    let mut detections = pack.detections.clone();
    for copy in 1..times {
        for rule in &pack.detections {
            let mut rule = rule.clone();
            rule.id = format!("{}-{copy}", rule.id);
            rule.sql = other_literals(&rule.sql, copy);
            detections.push(rule);
        }
    }
    Catalog { detections, ..pack }
}

fn matcher(mut catalog: Catalog, rules: usize) -> Arc<Matcher> {
    catalog.detections.truncate(rules);
    let engine = Engine::compile(&catalog, &EngineConfig::default()).expect("the pack compiles");
    engine.matcher()
}

fn detect(criterion: &mut Criterion) {
    let bodies = input::messages(30_000);
    let raw = input::batches(&bodies);
    let mut decoder = Decoder::default();
    let batches: Vec<Batch> = raw.iter().map(|raw| decoder.decode(raw).batch).collect();
    let mut group = criterion.benchmark_group("detect");
    group.sample_size(10).throughput(Throughput::Bytes(input::size(&bodies)));
    group.bench_function("decode (yardstick)", |b| {
        b.iter(|| {
            for raw in &raw {
                let decoded = decoder.decode(raw);
                decoder.recycle(decoded.batch);
            }
        });
    });
    let pack = catalog(1);
    let all = pack.detections.len();
    for (name, catalog, rules) in [
        ("10 rules".to_string(), pack.clone(), 10),
        (format!("the pack, {all} rules"), pack, all),
        (format!("ten times the pack, {} rules", all * 10), catalog(10), all * 10),
    ] {
        let matcher = matcher(catalog, rules);
        group.bench_function(name, |b| {
            b.iter(|| {
                for batch in &batches {
                    black_box(matcher.evaluate(batch));
                }
            });
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("start");
    group.sample_size(10);
    group.bench_function("read the pack", |b| b.iter(|| black_box(catalog(1))));
    for (name, lazy) in [("plan the pack when needed", true), ("plan the whole pack", false)] {
        let (pack, config) = (catalog(1), EngineConfig { lazy, ..EngineConfig::default() });
        group.bench_function(name, |b| b.iter(|| black_box(Engine::compile(&pack, &config).is_ok())));
    }
    group.finish();
}

criterion_group!(benches, detect);
criterion_main!(benches);
