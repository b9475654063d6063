//! The archive as a table: what is pruned, what is missing, what is damaged.

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;

use aksentry::event::{Batch, Table};
use aksentry::pipeline::Range;
use aksentry::store::{Environment, Location};
use arrow::array::{Array as _, ArrayRef, AsArray as _, StringViewArray, TimestampMicrosecondArray};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;

use super::{archived, ask, number, options, parquet_files, sample_batches, samples};
use crate::archive::canonical;
use crate::azurite::Place;

/// The samples as an archive in a folder, and its path.
fn archive() -> (Place, String) {
    let place = Place::folder();
    tokio::runtime::Runtime::new().unwrap().block_on(archived(&place.open(), &sample_batches(97)));
    let Location::Folder(folder) = &place.location else { unreachable!() };
    let path = folder.to_string_lossy().into_owned();
    (place, path)
}

#[test]
fn a_range_and_a_cluster_give_the_same_rows_from_archive_and_messages() {
    let (_place, path) = archive();
    let hour = 3_600_000_000;
    // 2026-03-10T09:30:00Z
    let since = 1_773_135_000_000_000;
    let names = ["aks-shop-prod-neu", "AKS-SHOP-PROD-NEU", "aks-shop", "aks_shop-prod-neu", "%"];
    for cluster in names.map(|name| Some(name.to_owned())).into_iter().chain([None]) {
        for (since, until) in [(None, None), (Some(since), Some(since + 3 * hour)), (Some(since), None)] {
            let range = Range { since, until, cluster: cluster.clone() };
            let sql = "SELECT table_name, time, raw_id FROM (SELECT 'a' AS table_name, time, audit_id AS raw_id FROM audit \
                       UNION ALL SELECT 'c', time, raw FROM control_plane) ORDER BY 1, 2, 3";
            let rows = |path: &str| {
                let (rows, damaged) =
                    ask(sql, options(&[path.to_owned()], range.clone(), &Environment::default()));
                assert_eq!(damaged, [""; 0]);
                let shown = rows.iter().filter(|rows| rows.num_rows() > 0);
                shown
                    .map(|rows| arrow::util::pretty::pretty_format_batches(std::slice::from_ref(rows)))
                    .map(|text| {
                        text.unwrap()
                            .to_string()
                            .lines()
                            .skip(3)
                            .filter(|l| l.starts_with('|'))
                            .collect::<Vec<_>>()
                            .join("\n")
                    })
                    .collect::<Vec<_>>()
                    .join("\n")
            };
            assert_eq!(rows(&path), rows(&samples()), "{range:?}");
        }
    }
}

/// Some of it in the archive, some in the messages, some in both, and some in a copy of the archive.
#[test]
fn an_event_in_several_inputs_is_seen_once() {
    let (_place, whole) = archive();
    let sql = "SELECT * FROM audit";
    let rows = |paths: &[&String]| {
        let paths: Vec<String> = paths.iter().map(|path| (*path).clone()).collect();
        let (rows, damaged) = ask(sql, options(&paths, Range::default(), &Environment::default()));
        assert_eq!(damaged, [""; 0]);
        canonical(Table::Audit, rows.iter().filter(|rows| rows.num_rows() > 0))
    };
    let expected = rows(&[&whole]);
    assert!(expected.len() > 1_000, "{}", expected.len());
    assert!(rows(&[&whole, &samples()]) == expected);

    let place = Place::folder();
    let batches = sample_batches(97);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(archived(&place.open(), &batches[..batches.len() / 2]));
    let Location::Folder(folder) = &place.location else { unreachable!() };
    let half = folder.to_string_lossy().into_owned();
    assert!(rows(&[&half]).len() < expected.len());
    assert!(rows(&[&samples(), &half]) == expected);
    assert!(rows(&[&half, &whole]) == expected);
    // Elsewhere without the folders' names, as somebody might have copied them.
    let loose = tempfile::tempdir().unwrap();
    for file in parquet_files(folder).iter().filter(|file| file.to_string_lossy().contains("table=audit")) {
        let hour = file.parent().unwrap().file_name().unwrap().to_string_lossy().replace('=', "");
        let name = format!("{hour}-{}", file.file_name().unwrap().to_string_lossy());
        fs::copy(file, loose.path().join(name)).unwrap();
    }
    let loose = loose.path().to_string_lossy().into_owned();
    assert!(rows(&[&loose, &whole]) == expected);
}

/// What is no log among the archive's files changes nothing and is told of.
#[test]
fn a_note_beside_the_archive_holds_no_rows() {
    let (place, path) = archive();
    let alone = number("SELECT count(*) FROM audit", &path);
    let Location::Folder(folder) = &place.location else { unreachable!() };
    fs::write(folder.join("_SUCCESS"), "").unwrap();
    fs::write(folder.join("picture.png"), b"\x89PNG\r\n\x1a\n\0\0\0").unwrap();
    let all = options(&[path], Range::default(), &Environment::default());
    let (rows, told) = ask("SELECT count(*) FROM audit", all);
    assert_eq!(rows[0].column(0).as_primitive::<arrow::datatypes::Int64Type>().value(0), alone);
    assert_eq!(told.len(), 2, "{told:?}");
}

#[test]
fn columns_that_an_older_file_lacks_are_null() {
    let folder = tempfile::tempdir().unwrap();
    let batch = &sample_batches(97)[0].audit;
    let keep: Vec<usize> = (0..batch.num_columns())
        .filter(|at| {
            !matches!(batch.schema().field(*at).name().as_str(), "decision" | "body_skipped" | "groups")
        })
        .collect();
    let older = batch.project(&keep).unwrap();
    let path = folder.path().join("older.parquet");
    let mut writer = ArrowWriter::try_new(fs::File::create(&path).unwrap(), older.schema(), None).unwrap();
    writer.write(&older).unwrap();
    writer.close().unwrap();
    let path = path.to_string_lossy().into_owned();
    let all = options(std::slice::from_ref(&path), Range::default(), &Environment::default());
    let (rows, _) =
        ask("SELECT decision, groups, username, body_skipped FROM audit WHERE NOT body_skipped", all);
    let count: usize = rows.iter().map(|rows| rows.num_rows()).sum();
    assert_eq!(count, older.num_rows());
    for rows in rows.iter().filter(|rows| rows.num_rows() > 0) {
        assert_eq!(rows.column(0).null_count(), rows.num_rows());
        assert_eq!(rows.column(1).null_count(), rows.num_rows());
        assert_eq!(rows.column(2).null_count(), 0);
        assert_eq!(rows.column(3).as_boolean().false_count(), rows.num_rows());
    }
    let replay = super::replayed(&options(&[path], Range::default(), &Environment::default()));
    assert_eq!(replay.1.counts.events, older.num_rows() as u64);
}

#[test]
fn a_damaged_file_is_passed_and_named() {
    let (place, path) = archive();
    let whole = number("SELECT count(*) FROM audit", &path);
    let Location::Folder(folder) = &place.location else { unreachable!() };
    let files = parquet_files(folder);
    let victim = files.iter().find(|file| file.to_string_lossy().contains("table=audit")).unwrap();
    let content = fs::read(victim).unwrap();
    fs::write(victim, &content[..content.len() / 2]).unwrap();
    let all = || options(std::slice::from_ref(&path), Range::default(), &Environment::default());
    let (rows, damaged) = ask("SELECT count(*) FROM audit", all());
    let left = rows[0].column(0).as_primitive::<arrow::datatypes::Int64Type>().value(0);
    assert!(0 < left && left < whole, "{left} of {whole}");
    assert_eq!(damaged.len(), 1);
    assert!(damaged[0].contains(&*victim.to_string_lossy()), "{damaged:?}");
    let (_, outcome) = super::replayed(&all());
    assert_eq!(outcome.counts.events, left.cast_unsigned());
    let odd: Vec<_> = outcome.files.iter().filter(|file| file.status.to_string() != "ok").collect();
    assert_eq!(odd.len(), 1);
    assert!(odd[0].status.to_string().contains("damaged Parquet"), "{:?}", odd[0]);
}

#[test]
fn other_parquet_is_none_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.parquet");
    let batch = sample_batches(97)[0].audit.project(&[3, 4, 5]).unwrap();
    let mut writer = ArrowWriter::try_new(fs::File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let all = options(&[path.to_string_lossy().into_owned()], Range::default(), &Environment::default());
    assert_eq!(super::replayed(&all).1.counts.events, 0);
}

/// Three hours of rows, a file each, too large to be read whole: those of hour `h` are of `user-h`, with one
/// object each, and text that no packing makes small.
fn large() -> (Place, String) {
    let hour = 3_600_000_000;
    // 2026-04-01, when the samples have nothing.
    let begin = 1_775_001_600_000_000;
    let rng = &mut fastrand::Rng::with_seed(7);
    let base = sample_batches(10_000).into_iter().max_by_key(|batch| batch.audit.num_rows()).unwrap();
    let mut batches = Vec::new();
    for h in 0..3 {
        let rows = 600.min(base.audit.num_rows());
        let mut batch = Batch { audit: base.audit.slice(0, rows), ..base.clone() };
        batch.audit_ids.truncate(rows);
        batch.control_plane = batch.control_plane.slice(0, 0);
        batch.control_plane_ids.clear();
        let schema = batch.audit.schema();
        let mut columns = batch.audit.columns().to_vec();
        let mut set = |name: &str, column: ArrayRef| columns[schema.index_of(name).unwrap()] = column;
        let text = |make: &mut dyn FnMut(usize) -> String| -> ArrayRef {
            Arc::new((0..rows).map(|row| Some(make(row))).collect::<StringViewArray>())
        };
        let times = (0..rows as i64).map(|row| Some(begin + h * hour + row));
        set("time", Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("+00:00")));
        set("cluster", text(&mut |_| "prod-1".to_owned()));
        set("username", text(&mut |_| format!("user-{h}")));
        set("name", text(&mut |row| format!("object-{row}")));
        set("user_agent", text(&mut |_| (0..800).map(|_| rng.alphanumeric()).collect()));
        batch.audit = RecordBatch::try_new(schema.clone(), columns).unwrap();
        batches.push(batch);
    }
    let place = Place::folder();
    tokio::runtime::Runtime::new().unwrap().block_on(archived(&place.open(), &batches));
    let Location::Folder(folder) = &place.location else { unreachable!() };
    let files = parquet_files(folder);
    assert_eq!(files.len(), 3);
    assert!(files.iter().all(|file| fs::metadata(file).unwrap().len() > 256 << 10));
    let path = folder.to_string_lossy().into_owned();
    (place, path)
}

#[test]
fn files_that_know_nothing_of_a_value_are_not_read() {
    let (place, path) = large();
    let each = number("SELECT count(*) FROM audit", &path) / 3;
    assert!(each >= 512, "{each}");
    let asked = |range: Range| {
        let all = std::slice::from_ref(&path);
        options(all, range, &Environment::default())
    };
    let files = |condition: &str| {
        let (rows, _) =
            ask(&format!("EXPLAIN SELECT verb FROM audit WHERE {condition}"), asked(Range::default()));
        let plan = arrow::util::pretty::pretty_format_batches(&rows).unwrap().to_string();
        // One file may be shared by threads.
        let names = plan.split(['/', ':', ',', ']', ' ']).filter(|name| name.ends_with(".parquet"));
        names.collect::<HashSet<_>>().len()
    };
    for (condition, read, rows) in [
        ("username = 'user-1'", 1, each),
        ("'user-1' = username", 1, each),
        ("username = 'user-1' AND name = 'object-3'", 1, 1),
        ("name = 'object-3'", 3, 3),
        ("name = 'object-3' AND username IN ('user-0', 'user-2', 'user-9', 'user-8', 'user-7')", 2, 2),
        ("username = 'user-0' OR username = 'user-2'", 2, 2 * each),
        ("username = 'user-0' OR verb = 'no such verb'", 3, each),
        ("username = 'user-0' OR username LIKE '%-2'", 3, 2 * each),
        ("username <> 'user-0'", 3, 2 * each),
        ("username NOT IN ('user-0', 'user-1')", 3, each),
        ("username = 'nobody'", 0, 0),
        ("username = NULL", 0, 0),
    ] {
        assert_eq!(
            number(&format!("SELECT count(*) FROM audit WHERE {condition}"), &path),
            rows,
            "{condition}"
        );
        assert_eq!(files(condition), read, "{condition}");
    }
    // Beside small files.
    let Location::Folder(folder) = &place.location else { unreachable!() };
    let more = sample_batches(97);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(archived(&place.open(), &more));
    let samples: usize = more.iter().map(|batch| batch.audit.num_rows()).sum();
    assert_eq!(number("SELECT count(*) FROM audit", &path), 3 * each + samples as i64);
    assert_eq!(number("SELECT count(*) FROM audit WHERE username = 'user-1'", &path), each);
    assert!(parquet_files(folder).len() > 4);
}
