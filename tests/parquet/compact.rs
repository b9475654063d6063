//! Compaction: fewer files, the same rows, whatever happens meanwhile.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use aksentry::archive::compact::{ASIDE, Merged, Plan, compact};
use aksentry::archive::{ArchiveError, publish};
use aksentry::event::{Batch, Table};
use aksentry::pipeline::Range;
use aksentry::source::files::{FileReport, FileStatus};
use aksentry::store::{Environment, Location, Store};

use super::{archived, ask, copy, number, options, parquet_files, sample_batches, written};
use crate::archive::canonical;
use crate::azurite::{Place, environment, places};

/// What a compaction did, folder by folder.
fn merged(store: &Store, dry_run: bool) -> Vec<Merged> {
    merged_at(store, 0, dry_run)
}

/// The same at a time.
fn merged_at(store: &Store, now: i64, dry_run: bool) -> Vec<Merged> {
    let spool = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    let mut each = |merged| -> Result<(), ArchiveError> {
        all.push(merged);
        Ok(())
    };
    compact(store, spool.path(), Plan { now, settle: Duration::ZERO, dry_run }, &mut each).unwrap();
    assert_eq!(std::fs::read_dir(spool.path()).unwrap().count(), 0, "nothing is left in the spool folder");
    all
}

/// Rows of both tables as hunt sees them.
fn rows(path: &str, environment: &Environment) -> Vec<Vec<Vec<u8>>> {
    let rows = |table: Table| {
        let all = options(&[path.to_owned()], Range::default(), environment);
        let (rows, damaged) = ask(&format!("SELECT * FROM {}", table.name()), all);
        assert_eq!(damaged, [""; 0]);
        canonical(table, rows.iter().filter(|rows| rows.num_rows() > 0))
    };
    Table::ALL.map(rows).to_vec()
}

/// The rows of batches in the same form.
fn given(batches: &[Batch]) -> Vec<Vec<Vec<u8>>> {
    let rows = |table: Table| canonical(table, batches.iter().map(|batch| table.rows(batch).0));
    Table::ALL.map(rows).to_vec()
}

fn path(location: &Location) -> String {
    match location {
        Location::Folder(folder) => folder.to_string_lossy().into_owned(),
        azure @ Location::Azure { .. } => azure.to_string(),
    }
}

#[test]
fn fewer_files_hold_the_same_rows_each_once() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let batches = sample_batches(40);
    let expected = given(&batches);
    let environment = environment();
    for place in places() {
        let store = place.open();
        let (before, after) = batches.split_at(batches.len() / 2);
        runtime.block_on(archived(&store, before));
        // The last of them come again after a crash, cut otherwise.
        let again: Vec<Batch> = before[before.len() - 3..].iter().chain(after).cloned().collect();
        runtime.block_on(archived(&store, &again));
        let path = path(&place.location);
        assert!(rows(&path, &environment) == expected);

        let files = runtime.block_on(store.list("")).unwrap();
        let would = merged(&store, true);
        assert_eq!(runtime.block_on(store.list("")).unwrap(), files, "a dry run changes nothing");
        let done = merged(&store, false);
        let left = runtime.block_on(store.list("")).unwrap();
        let count = |all: &[Merged]| {
            all.iter().map(|m| (m.files, m.into)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
        };
        assert_eq!(count(&would), count(&done));
        let (from, into) = count(&done);
        assert_eq!(files.len() as u64 - from + into, left.len() as u64);
        assert!(left.len() < files.len(), "{} of {}", left.len(), files.len());
        assert!(done.iter().filter_map(|m| m.copies).sum::<u64>() > 0);
        assert!(rows(&path, &environment) == expected);
        assert_eq!(merged(&store, false), [], "nothing is left to do");

        // A writer that was at work meanwhile, and the next compaction.
        let more = sample_batches(40)[..2].to_vec();
        runtime.block_on(archived(&store, &more));
        assert!(rows(&path, &environment) == expected, "all of them are copies");
        merged(&store, false);
        assert!(rows(&path, &environment) == expected);
    }
}

#[test]
fn parts_beside_their_merged_file_are_not_read_and_are_deleted_next() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let batches = sample_batches(60);
    let place = Place::folder();
    runtime.block_on(archived(&place.open(), &batches));
    let Location::Folder(folder) = place.location.clone() else { unreachable!() };
    let parts = tempfile::tempdir().unwrap();
    copy(&folder, parts.path());
    merged(&place.open(), false);
    let few = parquet_files(&folder).len();
    // The compaction died before it deleted anything.
    copy(parts.path(), &folder);
    assert!(parquet_files(&folder).len() > few);
    let path = folder.to_string_lossy().into_owned();
    assert!(rows(&path, &Environment::default()) == given(&batches));
    let (_, outcome) =
        super::replayed(&options(std::slice::from_ref(&path), Range::default(), &Environment::default()));
    let rows_of = |table: Table| batches.iter().map(|b| table.rows(b).0.num_rows() as u64).sum::<u64>();
    assert_eq!(
        (outcome.counts.events, outcome.counts.control_plane, outcome.counts.duplicates),
        (rows_of(Table::Audit), rows_of(Table::ControlPlane), 0)
    );
    let done = merged(&place.open(), false);
    assert!(done.iter().map(|m| m.leftovers).sum::<u64>() > 0);
    assert_eq!(done.iter().map(|m| m.files).sum::<u64>(), 0);
    assert_eq!(parquet_files(&folder).len(), few);
}

/// A hunt that listed the files and takes long.
#[test]
fn who_listed_the_files_before_a_compaction_reads_them_after_it() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let batches = sample_batches(20)[..20].to_vec();
    let expected = given(&batches);
    for place in places() {
        let store = place.open();
        runtime.block_on(archived(&store, &batches));
        let path = path(&place.location);
        let listed = options(std::slice::from_ref(&path), Range::default(), &environment());
        let rows = |table: Table| {
            let (rows, damaged) = ask(&format!("SELECT * FROM {}", table.name()), listed.clone());
            assert_eq!(damaged, [""; 0]);
            canonical(table, rows.iter().filter(|rows| rows.num_rows() > 0))
        };
        let begun = newest(&runtime, &store);
        let files = merged_at(&store, begun, false).iter().map(|merged| merged.files).sum::<u64>();
        assert!(files > 10, "{files}");
        assert!(Table::ALL.map(rows).to_vec() == expected);
        let (_, outcome) = super::replayed(&listed);
        let odd = outcome.files.iter().find(|file| file.status != FileStatus::Ok);
        assert_eq!(odd, None);
        assert_eq!(outcome.counts.events, expected[0].len() as u64);
        // Whoever lists now does not find them any more, in whatever way.
        let now = options(&[path], Range::default(), &environment()).inputs.files.len();
        let (there, aside) = runtime.block_on(store.list_all("")).unwrap();
        assert_eq!((there.len(), aside.len() as u64), (now, files));

        // Nothing is deleted before its time, and everything then.
        assert_eq!(merged_at(&store, begun, false), []);
        let gone = merged_at(&store, newest(&runtime, &store) + ASIDE, false);
        assert_eq!(gone.iter().map(|merged| merged.leftovers).sum::<u64>(), files);
        assert_eq!(runtime.block_on(store.list_all("")).unwrap(), (there, Vec::new()));
        // No row is silently missing from then on.
        let (_, outcome) = super::replayed(&listed);
        let told = |file: &&FileReport| file.status.is_lost();
        assert_eq!(outcome.files.iter().filter(told).count() as u64, files);
    }
}

/// The time of the object that was written or moved last.
fn newest(runtime: &tokio::runtime::Runtime, store: &Store) -> i64 {
    let (there, aside) = runtime.block_on(store.list_all("")).unwrap();
    there.iter().chain(&aside).map(|object| object.modified).max().unwrap()
}

/// `kill -9` at moments spread over a compaction, with a writer beside; a reader sees all rows, each once,
/// and no broken file after every one.
#[test]
fn killed_at_any_moment_no_row_is_lost_or_doubled() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let batches = sample_batches(30);
    let place = Place::folder();
    let store = place.open();
    let Location::Folder(folder) = place.location.clone() else { unreachable!() };
    let spool = tempfile::tempdir().unwrap();
    let temporary = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(9);
    let mut there = 0;
    for portion in batches.chunks(batches.len().div_ceil(8)) {
        let mut files = written(spool.path(), portion).into_iter();
        let mut compaction = start(&folder, temporary.path());
        for file in files.by_ref() {
            runtime.block_on(publish(&file, &store)).unwrap();
        }
        std::thread::sleep(Duration::from_millis(random.u64(0..400)));
        let _ = compaction.kill();
        let _ = compaction.wait();
        there += portion.len();
        let seen = rows(&folder.to_string_lossy(), &Environment::default());
        assert!(seen == given(&batches[..there]), "after {there} batches");
    }
    let status = start(&folder, temporary.path()).wait().unwrap();
    assert!(status.success());
    assert!(rows(&folder.to_string_lossy(), &Environment::default()) == given(&batches));
    // A foreign reader, who takes every file for what it is, sees each row once as well.
    let rows = |table: Table| batches.iter().map(|b| table.rows(b).0.num_rows()).sum::<usize>();
    let files = parquet_files(&folder);
    let stored: i64 = files.iter().map(|file| footer_rows(file)).sum();
    assert_eq!(usize::try_from(stored).unwrap(), rows(Table::Audit) + rows(Table::ControlPlane));
    assert_eq!(number("SELECT count(*) FROM audit", &folder.to_string_lossy()), rows(Table::Audit) as i64);
}

fn footer_rows(file: &Path) -> i64 {
    use parquet::file::reader::{FileReader as _, SerializedFileReader};
    let reader = SerializedFileReader::new(std::fs::File::open(file).unwrap()).unwrap();
    reader.metadata().file_metadata().num_rows()
}

fn start(folder: &Path, temporary: &Path) -> std::process::Child {
    Command::new(env!("CARGO_BIN_EXE_aksentry"))
        .args(["archive", "compact", "--quiet"])
        .arg(folder)
        .env("TMPDIR", temporary)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}
