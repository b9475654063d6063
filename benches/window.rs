//! Windowed rules: a million rows of a thousand identities held in one window, a step at a time; and rules
//! whose rows never come, beside rules over single rows whose rows never come.
//!
//! Run with `cargo bench --bench window`. The time of a step is to take its rows in and to evaluate the
//! window; memory is that of the process, printed once the window is full.

mod input;

use std::path::Path;
use std::sync::Arc;

use aksentry::decode::Decoder;
use aksentry::detect::{Engine, EngineConfig, Watermarks};
use aksentry::event::Batch;
use aksentry::rules::{Catalog, parse_detection};
use arrow::array::{ArrayRef, RecordBatch, StringViewArray, TimestampMicrosecondArray};
use chrono::TimeDelta;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const ROWS: usize = 1_000_000;
const KEYS: usize = 1_000;
/// A window of an hour in steps of a minute.
const STEPS: usize = 60;
const MINUTE: i64 = 60_000_000;
/// 2026-06-01.
const BEGIN: i64 = 1_780_272_000_000_000;

fn engine(rules: &[(&str, &str)]) -> Engine {
    let rule = |(number, (window, sql)): (usize, &(&str, &str))| {
        let header = [
            "/// detection",
            "title = \"rows of an identity\"",
            "severity = \"low\"",
            "status = \"stable\"",
            "key = [\"username\"]",
            "summary = \"{username}\"",
            "description = \"measured\"",
            window,
            "///",
        ];
        let text = header.map(|line| format!("-- {line}\n")).concat() + sql;
        let id = format!("rule-{number}");
        parse_detection(Path::new("detections/execution/rule.sql"), "execution", &id, &text).expect("a rule")
    };
    let detections = rules.iter().enumerate().map(rule).collect();
    let catalog = Catalog { detections, ..Catalog::default() };
    let config = EngineConfig { replayed: false, ..EngineConfig::default() };
    Engine::compile(&catalog, &config).expect("the rules compile")
}

/// Decoded events.
fn base(events: usize) -> Batch {
    let bodies = input::messages(events);
    Decoder::default().decode(&aksentry::event::RawBatch { bodies }).batch
}

/// The rows of a step that begins `minute` minutes after the first.
fn step(base: &Batch, minute: usize) -> Batch {
    let rows = base.audit.num_rows();
    let first = minute * rows;
    let schema = base.audit.schema();
    let columns =
        schema.fields().iter().zip(base.audit.columns()).map(|(field, column)| match field.name().as_str() {
            "time" => {
                let at = |row: usize| BEGIN + minute as i64 * MINUTE + (row as i64 * MINUTE) / rows as i64;
                let times: TimestampMicrosecondArray = (0..rows).map(|row| Some(at(row))).collect();
                Arc::new(times.with_timezone("+00:00")) as ArrayRef
            }
            "username" => {
                let names = (0..rows).map(|row| format!("person-{:04}@contoso.com", (first + row) % KEYS));
                Arc::new(StringViewArray::from_iter_values(names))
            }
            "audit_id" => {
                let ids = (0..rows).map(|row| format!("{:036x}", first + row));
                Arc::new(StringViewArray::from_iter_values(ids))
            }
            _ => column.clone(),
        });
    let audit = RecordBatch::try_new(schema.clone(), columns.collect()).expect("the same columns");
    let audit_ids = (0..rows).map(|row| (first + row) as u64).collect();
    Batch { audit, audit_ids, ..base.clone() }
}

fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("?");
        line.trim().to_owned()
    };
    format!("{} now, {} at most", line("VmRSS:"), line("VmHWM:"))
}

fn take(engine: &mut Engine, batch: &Batch) {
    engine.process(batch);
    engine.advance(Watermarks::behind(engine.latest(), TimeDelta::minutes(10)));
}

fn full(criterion: &mut Criterion) {
    let base = base(ROWS / STEPS);
    let mut engine = engine(&[(
        "window = \"1h\"",
        "SELECT username, count(*) AS requests FROM audit GROUP BY username HAVING count(*) > 1000000",
    )]);
    println!("before: {}", resident());
    let mut minute = 0;
    // Rows are held for ten minutes beyond the window: they may come late.
    while minute < STEPS + 10 {
        take(&mut engine, &step(&base, minute));
        minute += 1;
    }
    let held: usize = engine.usage().map(|usage| usage.rows).sum();
    println!("{held} rows held: {}", resident());
    let mut group = criterion.benchmark_group("window");
    group.sample_size(20).throughput(Throughput::Elements((ROWS / STEPS) as u64));
    group.bench_function("a step over a million rows of a thousand identities", |b| {
        b.iter_batched(
            || {
                minute += 1;
                step(&base, minute)
            },
            |batch| take(&mut engine, &batch),
            criterion::BatchSize::PerIteration,
        );
    });
    println!("after: {}", resident());
    group.finish();
}

fn idle(criterion: &mut Criterion) {
    let base = base(10_000);
    let never = "FROM audit WHERE verb = 'get' AND resource = 'no-such-resource'";
    let single = format!("SELECT username {never}");
    let counted = format!("SELECT username, count(*) AS requests {never} GROUP BY username");
    let mut group = criterion.benchmark_group("rules without rows");
    group.sample_size(20).throughput(Throughput::Elements(10_000));
    for (name, window, sql) in
        [("100 over single rows", "", &single), ("100 with windows", "window = \"1h\"", &counted)]
    {
        let rules = vec![(window, sql.as_str()); 100];
        let (mut engine, mut minute) = (engine(&rules), 0);
        group.bench_function(name, |b| {
            b.iter_batched(
                || {
                    minute += 1;
                    step(&base, minute)
                },
                |batch| take(&mut engine, &batch),
                criterion::BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, full, idle);
criterion_main!(benches);
