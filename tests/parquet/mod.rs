//! The archive as it is read: by replay, by hunt, by its own ledger, from folders and from Azurite.

mod compact;
mod filters;
mod ledger;
mod queries;
mod replay;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use aksentry::archive::{Finished, Writer, publish};
use aksentry::decode::{Decoder, Dedup};
use aksentry::detect::{Engine, EngineConfig};
use aksentry::event::{Batch, RawBatch};
use aksentry::hunt::{Limits, Session};
use aksentry::pipeline::{Progress, Range, replay as run_replay};
use aksentry::rules::{Catalog, Sources};
use aksentry::source::files::{FileReader, FileStatus, Inputs, Sizes};
use aksentry::store::{Environment, Store};
use arrow::record_batch::RecordBatch;

use crate::archive::config;

/// The sample messages.
pub fn samples() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/samples/hub").to_owned()
}

/// The rows of the samples, each once, in batches of so many messages.
pub fn sample_batches(messages: usize) -> Vec<Batch> {
    let (mut decoder, mut dedup) = (Decoder::default(), Dedup::new(1_000_000));
    let mut batches = Vec::new();
    for file in Inputs::resolve(&[samples()]).unwrap().files {
        let mut reader = FileReader::open(&file.path, Sizes::default()).unwrap();
        let mut bodies = Vec::new();
        while let Ok(raw) = reader.next_batch() {
            for body in raw.bodies {
                let lines = body.split(|b| *b == b'\n').filter(|line| !line.is_empty());
                bodies.extend(lines.map(bytes::Bytes::copy_from_slice));
            }
        }
        for bodies in bodies.chunks(messages) {
            let raw = RawBatch { bodies: bodies.to_vec() };
            batches.push(dedup.retain(decoder.decode(&raw)).unwrap().batch);
        }
    }
    batches
}

/// Writes batches as one run of a writer does, closing files after each.
pub fn written(spool: &Path, batches: &[Batch]) -> Vec<Finished> {
    let mut writer = Writer::open(spool, config(64 << 20)).unwrap();
    let mut files = Vec::new();
    for batch in batches {
        writer.append(batch).unwrap();
        files.extend(writer.close_files().unwrap());
    }
    files
}

/// The same, moved to their place.
pub async fn archived(store: &Store, batches: &[Batch]) {
    let spool = tempfile::tempdir().unwrap();
    for file in written(spool.path(), batches) {
        publish(&file, store).await.unwrap();
    }
}

pub fn options(paths: &[String], range: Range, environment: &Environment) -> run_replay::Options {
    let mut inputs = Inputs::resolve_anywhere(paths, environment).unwrap();
    range.prune(&mut inputs);
    run_replay::Options { inputs, range, threads: 2 }
}

struct Quiet;

impl Progress for Quiet {
    fn advance(&self, _: u64) {}
}

/// Rows of a query, and what could not be read.
pub fn ask(sql: &str, options: run_replay::Options) -> (Vec<RecordBatch>, Vec<String>) {
    let mut rows = Vec::new();
    let mut emit = |batch: &RecordBatch| {
        rows.push(batch.clone());
        Ok(())
    };
    let catalog = Catalog::load(&Sources::default()).0;
    let limits = Limits { memory: 1 << 30, timeout: None, keep: 0 };
    let session = Session::open(&catalog, options, limits, Arc::new(Quiet)).unwrap();
    let prepared = session.prepare(sql, None, &Vec::new(), chrono::DateTime::UNIX_EPOCH);
    let prepared = prepared.unwrap_or_else(|errors| panic!("{errors:?}"));
    session.run(prepared, std::future::pending(), &mut emit).unwrap();
    let account = session.account();
    let damaged = account.files.iter().filter(|(_, status)| !matches!(status, FileStatus::Ok));
    (rows, damaged.map(|(path, status)| format!("{}: {status}", path.display())).collect())
}

/// One number that a query gives.
pub fn number(sql: &str, path: &str) -> i64 {
    use arrow::array::AsArray as _;
    let (rows, damaged) = ask(sql, options(&[path.to_owned()], Range::default(), &Environment::default()));
    assert_eq!(damaged, [""; 0]);
    let values = rows[0].column(0).as_primitive::<arrow::datatypes::Int64Type>();
    values.value(0)
}

/// Alerts as JSON lines, in order, and the account.
pub fn replayed(options: &run_replay::Options) -> (Vec<String>, run_replay::Outcome) {
    struct Quiet;
    impl aksentry::pipeline::Progress for Quiet {
        fn advance(&self, _: u64) {}
    }
    let catalog = Catalog::load(&Sources::default()).0;
    let engine = Engine::compile(&catalog, &EngineConfig::default()).unwrap();
    let mut alerts = Vec::new();
    let mut emit = |alert: aksentry::alert::Alert| {
        alerts.push(serde_json::to_string(&alert).unwrap());
        Ok(())
    };
    let outcome = run_replay::run(engine, options, &Quiet, &mut emit).unwrap();
    (alerts, outcome)
}

/// Parquet files below a folder.
pub fn parquet_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let pattern = format!("{}/**/*.parquet", folder.display());
    glob::glob(&pattern).unwrap().map(Result::unwrap).collect()
}

/// A copy of a folder with all it holds.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
