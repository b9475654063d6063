//! Replay of the archive: the rows, ids, alerts and counts of the messages.

use std::sync::Arc;

use aksentry::archive::read::Opened;
use aksentry::archive::{Stored, publish};
use aksentry::event::{Batch, Table};
use aksentry::pipeline::Range;
use aksentry::store::{Environment, Location};
use fastrand::Rng;
use proptest::prelude::*;

use super::{archived, ask, number, options, parquet_files, replayed, sample_batches, samples, written};
use crate::archive::{canonical, random};
use crate::azurite::{Place, environment, places};

/// Rows and ids of a table as pairs that compare.
fn identified(table: Table, batches: &[Batch]) -> Vec<(Vec<u8>, u64)> {
    let mut all = Vec::new();
    for batch in batches {
        let (rows, ids) = table.rows(batch);
        for (row, id) in ids.iter().enumerate() {
            all.push((canonical(table, [&rows.slice(row, 1)]).remove(0), *id));
        }
    }
    all.sort();
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_and_ids_read_back_and_queried_equal_those_given(
        seed in any::<u64>(),
        sizes in proptest::collection::vec(0..80_usize, 1..4),
        hours in 1..3_i64,
    ) {
        let mut rng = Rng::with_seed(seed);
        let place = Place::folder();
        let mut batches: Vec<Batch> = sizes.iter().map(|n| random(&mut rng, *n, hours)).collect();
        for batch in &mut batches {
            // Ids of every kind: those that follow from the columns are tested by the samples.
            batch.audit_ids.iter_mut().chain(&mut batch.control_plane_ids).for_each(|id| *id = rng.u64(..));
        }
        tokio::runtime::Runtime::new().unwrap().block_on(archived(&place.open(), &batches));
        let Location::Folder(folder) = &place.location else { unreachable!() };
        let mut read = Vec::new();
        for path in parquet_files(folder) {
            let path = path.to_string_lossy().into_owned();
            let bytes = std::fs::metadata(&path).unwrap().len();
            let stored = Stored::recognise(path, bytes, None).unwrap().unwrap();
            let opened = Opened::open(Arc::new(stored)).unwrap().unwrap();
            read.extend(opened.parts(None, None, None).iter().map(|part| part.read().unwrap()));
        }
        for table in Table::ALL {
            prop_assert!(identified(table, &read) == identified(table, &batches), "{}", table.name());
            let all = vec![folder.to_string_lossy().into_owned()];
            let asked = || options(&all, Range::default(), &Environment::default());
            let (rows, damaged) = ask(&format!("SELECT * FROM {}", table.name()), asked());
            prop_assert_eq!(damaged, Vec::<String>::new());
            let rows = rows.iter().filter(|rows| rows.num_rows() > 0);
            let given = batches.iter().map(|batch| table.rows(batch).0);
            prop_assert!(canonical(table, rows) == canonical(table, given), "{}", table.name());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_archive_gives_the_alerts_and_counts_of_the_messages() {
    let raw = tokio::task::spawn_blocking(|| {
        replayed(&options(&[samples()], Range::default(), &Environment::default()))
    });
    let (alerts, account) = raw.await.unwrap();
    assert!(alerts.len() > 50, "{}", alerts.len());
    for place in places() {
        archived(&place.open(), &sample_batches(97)).await;
        let path = match &place.location {
            Location::Folder(folder) => folder.to_string_lossy().into_owned(),
            azure @ Location::Azure { .. } => azure.to_string(),
        };
        let replay = tokio::task::spawn_blocking(move || {
            replayed(&options(&[path], Range::default(), &environment()))
        });
        let (again, archived) = replay.await.unwrap();
        assert_eq!(again, alerts);
        let (a, b) = (&archived.counts, &account.counts);
        assert!(a.balanced());
        assert_eq!(
            (a.events, a.control_plane, a.truncated, a.first_event, a.last_event, &a.hours),
            (b.events, b.control_plane, b.truncated, b.first_event, b.last_event, &b.hours)
        );
        assert_eq!(a.records, a.events + a.control_plane);
        assert_eq!(archived.files.iter().map(|file| file.records).sum::<u64>(), a.records);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_in_a_container_are_read_as_those_in_a_folder() {
    let place = Place::container();
    let store = place.open();
    for entry in std::fs::read_dir(samples()).unwrap() {
        let entry = entry.unwrap();
        let key = format!("hub/{}", entry.file_name().to_string_lossy());
        store.upload_file(&entry.path(), &key).await.unwrap();
    }
    let far = format!("{}/hub", place.location);
    let one = format!("{}/hub/2026-03-10-part-2.ndjson.gz", place.location);
    let work = tokio::task::spawn_blocking(move || {
        let here = replayed(&options(&[samples()], Range::default(), &Environment::default()));
        let there = replayed(&options(&[far], Range::default(), &environment()));
        assert_eq!(there.0, here.0);
        assert_eq!(there.1.counts.records, here.1.counts.records);
        assert_eq!(there.1.bytes, here.1.bytes);
        let single = options(&[one.clone(), one], Range::default(), &environment());
        assert_eq!(single.inputs.files.len(), 1);
        assert!(replayed(&single).1.counts.records > 100);
    });
    work.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_twice_around_a_crash_counts_once() {
    let batches = sample_batches(97);
    let (before, after) = batches.split_at(batches.len() / 2);
    let place = Place::folder();
    let store = place.open();
    archived(&store, before).await;
    // It died before the last two batches were committed: they come again, cut otherwise.
    let again: Vec<Batch> = before[before.len() - 2..].iter().chain(after).cloned().collect();
    let spool = tempfile::tempdir().unwrap();
    for file in written(spool.path(), &again) {
        publish(&file, &store).await.unwrap();
    }
    let Location::Folder(folder) = place.location.clone() else { unreachable!() };
    let path = folder.to_string_lossy().into_owned();
    let work = tokio::task::spawn_blocking(move || {
        let (alerts, account) = replayed(&options(&[samples()], Range::default(), &Environment::default()));
        let (same, archived) =
            replayed(&options(std::slice::from_ref(&path), Range::default(), &Environment::default()));
        assert_eq!(same, alerts);
        let (a, b) = (&archived.counts, &account.counts);
        assert_eq!((a.events, a.control_plane), (b.events, b.control_plane));
        assert!(a.duplicates > 0 && a.balanced(), "{a:?}");
        assert_eq!(number("SELECT count(*) FROM audit", &path), b.events.cast_signed());
        assert_eq!(number("SELECT count(*) FROM control_plane", &path), b.control_plane.cast_signed());
    });
    work.await.unwrap();
}
