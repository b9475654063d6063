//! The archive writer: what is read back is what was written, in the right folder, whatever happens between.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use aksentry::archive::layout::cluster_folder;
use aksentry::archive::{ArchiveError, Config, Finished, Writer, expire, publish};
use aksentry::decode::Decoder;
use aksentry::event::schema::{Kind, TABLES};
use aksentry::event::{Batch, RawBatch, Table};
use aksentry::store::Store;
use arrow::array::{
    ArrayRef, AsArray as _, BooleanArray, Int64Array, ListBuilder, StringViewArray, StringViewBuilder,
    TimestampMicrosecondArray,
};
use arrow::buffer::Buffer;
use arrow::datatypes::TimestampMicrosecondType;
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};
use bytes::Bytes;
use fastrand::Rng;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;

use crate::azurite::{Place, places};

pub const HOUR: i64 = 3_600_000_000;
pub const NOON: i64 = 1_795_435_200_000_000;
const EXTREMES: [i64; 4] = [i64::MIN, -1, 0, i64::MAX];

pub fn config(max_file_bytes: u64) -> Config {
    Config { max_file_bytes, replica: "pod-0".to_owned() }
}

fn text(rng: &mut Rng) -> Option<String> {
    let length = *rng.choice([0, 1, 12, 13, 40, 3000].as_slice().iter()).unwrap();
    let letter = *rng.choice(['a', '"', 'ü', '€', '\u{1F512}', '\0'].as_slice().iter()).unwrap();
    (rng.u8(..8) > 0).then(|| letter.to_string().repeat(length))
}

fn cell_times(rng: &mut Rng, rows: usize, hours: i64) -> ArrayRef {
    let time = |rng: &mut Rng| match rng.u8(..40) {
        0 => None,
        1 => Some(EXTREMES[rng.usize(..EXTREMES.len())]),
        _ => Some(NOON + rng.i64(..hours * HOUR)),
    };
    let times: TimestampMicrosecondArray = (0..rows).map(|_| time(rng)).collect();
    Arc::new(times.with_timezone("+00:00"))
}

fn cell_clusters(rng: &mut Rng, rows: usize) -> ArrayRef {
    let all = [None, Some("prod"), Some("/subscriptions/1/mc/prod"), Some("/subscriptions/2/mc/prod")];
    let clusters: StringViewArray = (0..rows).map(|_| all[rng.usize(..all.len())]).collect();
    Arc::new(clusters)
}

/// Rows of a table with anything in them, over so many hours.
pub fn rows(table: Table, rng: &mut Rng, rows: usize, hours: i64) -> RecordBatch {
    let (_, columns) = TABLES.iter().find(|(name, _)| *name == table.name()).unwrap();
    let column = |column: &aksentry::event::schema::Column| -> ArrayRef {
        match (column.name, column.kind) {
            ("cluster", _) => cell_clusters(rng, rows),
            (_, Kind::Time) => cell_times(rng, rows, hours),
            (_, Kind::Text | Kind::Json) => {
                Arc::new((0..rows).map(|_| text(rng)).collect::<StringViewArray>())
            }
            (_, Kind::Int) => {
                Arc::new((0..rows).map(|_| rng.bool().then(|| rng.i64(..))).collect::<Int64Array>())
            }
            (_, Kind::Bool) => Arc::new((0..rows).map(|_| Some(rng.bool())).collect::<BooleanArray>()),
            (_, Kind::TextList) => {
                let mut lists = ListBuilder::new(StringViewBuilder::new());
                for _ in 0..rows {
                    (0..rng.u8(..4)).for_each(|_| lists.values().append_option(text(rng)));
                    lists.append(rng.bool());
                }
                Arc::new(lists.finish())
            }
        }
    };
    RecordBatch::try_new(table.schema(), columns.iter().map(column).collect()).unwrap()
}

pub fn batch(audit: RecordBatch, control_plane: RecordBatch) -> Batch {
    Batch {
        audit_ids: vec![0; audit.num_rows()],
        control_plane_ids: vec![0; control_plane.num_rows()],
        audit,
        control_plane,
        block: Buffer::from(Vec::<u8>::new()),
    }
}

pub fn random(rng: &mut Rng, count: usize, hours: i64) -> Batch {
    batch(rows(Table::Audit, rng, count, hours), rows(Table::ControlPlane, rng, count / 2, hours))
}

/// Rows as bytes that compare, in order.
pub fn canonical<'a>(table: Table, batches: impl IntoIterator<Item = &'a RecordBatch>) -> Vec<Vec<u8>> {
    let fields = table.schema().fields().iter().map(|f| SortField::new(f.data_type().clone())).collect();
    let converter = RowConverter::new(fields).unwrap();
    let mut all = Vec::new();
    for batch in batches {
        assert_eq!(batch.schema(), table.schema());
        let rows = converter.convert_columns(batch.columns()).unwrap();
        all.extend(rows.iter().map(|row| row.as_ref().to_vec()));
    }
    all.sort();
    all
}

fn read(content: Bytes) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(content).unwrap();
    let batches = reader.build().unwrap().map(Result::unwrap);
    batches.map(|b| as_table(&b)).collect()
}

/// The columns of the table, in the types they have in memory: a small file does not say its own.
fn as_table(rows: &RecordBatch) -> RecordBatch {
    let table = if rows.column_by_name("verb").is_some() { Table::Audit } else { Table::ControlPlane };
    assert_eq!(rows.num_columns(), table.schema().fields().len() + 1, "the table's columns and row_id");
    let columns = table
        .schema()
        .fields()
        .iter()
        .map(|field| {
            let column = rows.column_by_name(field.name()).unwrap();
            arrow::compute::cast(column, field.data_type()).unwrap()
        })
        .collect();
    RecordBatch::try_new(table.schema(), columns).unwrap()
}

/// The rows of files, by table; each row is where it belongs.
fn everything<'a>(files: impl IntoIterator<Item = (&'a str, Bytes)>) -> BTreeMap<Table, Vec<RecordBatch>> {
    let mut all: BTreeMap<Table, Vec<RecordBatch>> = BTreeMap::new();
    for (key, content) in files {
        let table = Table::ALL.into_iter().find(|t| key.starts_with(&format!("table={}/", t.name())));
        for batch in read(content) {
            belongs(key, &batch);
            all.entry(table.unwrap()).or_default().push(batch);
        }
    }
    all
}

async fn contents(store: &Store) -> Vec<(String, Bytes)> {
    let mut all = Vec::new();
    for object in store.list("").await.unwrap() {
        let (content, _) = store.get(&object.key).await.unwrap().unwrap();
        all.push((object.key, content));
    }
    all
}

fn belongs(key: &str, batch: &RecordBatch) {
    let times = batch.column(0).as_primitive::<TimestampMicrosecondType>();
    for (time, cluster) in times.iter().zip(batch.column(1).as_string_view()) {
        assert!(key.contains(&format!("/cluster={}/", cluster_folder(cluster))), "{cluster:?} in {key}");
        if let Some(time) = time.filter(|t| (0..4_000_000_000_000_000).contains(t)) {
            let folder =
                chrono::DateTime::from_timestamp_micros(time).unwrap().format("/date=%Y-%m-%d/hour=%H/");
            assert!(key.contains(&folder.to_string()), "{time} in {key}");
        }
    }
}

pub async fn publish_all(files: Vec<Finished>, store: &Store) {
    for file in files {
        publish(&file, store).await.unwrap();
        assert!(!file.path.exists());
        let head = store.head(&file.key).await.unwrap().unwrap();
        assert_eq!(head.object.bytes, file.bytes);
        // As after a crash right behind it.
        publish(&file, store).await.unwrap();
    }
}

pub fn assert_same(all: &BTreeMap<Table, Vec<RecordBatch>>, written: &[Batch]) {
    for (table, rows) in [
        (Table::Audit, written.iter().map(|b| &b.audit).collect::<Vec<_>>()),
        (Table::ControlPlane, written.iter().map(|b| &b.control_plane).collect()),
    ] {
        let there = all.get(&table).map(Vec::as_slice).unwrap_or_default();
        let (there, given) = (canonical(table, there), canonical(table, rows));
        assert!(there == given, "{}: {} rows of {}", table.name(), there.len(), given.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_read_back_equal_the_rows_given(
        seed in any::<u64>(),
        sizes in proptest::collection::vec(0..60_usize, 1..4),
        hours in 1..4_i64,
        close_every in 1..4_usize,
        max_file_bytes in 1_000..200_000_u64,
    ) {
        let mut rng = Rng::with_seed(seed);
        let spool = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(spool.path(), config(max_file_bytes)).unwrap();
        let batches: Vec<Batch> = sizes.iter().map(|n| random(&mut rng, *n, hours)).collect();
        let mut files = Vec::new();
        for (n, batch) in batches.iter().enumerate() {
            writer.append(batch).unwrap();
            if n % close_every == 0 {
                files.extend(writer.close_files().unwrap());
                assert_eq!(writer.pending_bytes(), 0);
            }
        }
        files.extend(writer.close_files().unwrap());
        let contents = files.iter().map(|file| (file.key.as_str(), fs::read(&file.path).unwrap().into()));
        assert_same(&everything(contents), &batches);
    }
}

#[tokio::test]
async fn decoded_samples_come_back_whole() {
    let sample =
        fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/samples/hub/2026-03-10-part-1.ndjson")).unwrap();
    let spool = tempfile::tempdir().unwrap();
    for place in places() {
        let mut decoder = Decoder::default();
        let mut writer = Writer::open(spool.path(), config(64 << 20)).unwrap();
        let mut batches = Vec::new();
        for lines in sample.split_inclusive(|b| *b == b'\n').collect::<Vec<_>>().chunks(50) {
            let raw = RawBatch { bodies: lines.iter().map(|line| Bytes::copy_from_slice(line)).collect() };
            let batch = decoder.decode(&raw).batch;
            writer.append(&batch).unwrap();
            batches.push(batch);
        }
        let files = writer.close_files().unwrap();
        let rows: usize = batches.iter().map(|b| b.audit.num_rows() + b.control_plane.num_rows()).sum();
        assert!(rows > 100, "{rows}");
        assert_eq!(files.iter().map(|f| f.rows).sum::<u64>(), rows as u64);
        // Each file is sorted by time: it holds one row group.
        for file in files.iter().filter(|f| !f.key.contains("date=_")) {
            let times: Vec<i64> = read(fs::read(&file.path).unwrap().into())
                .iter()
                .flat_map(|b| b.column(0).as_primitive::<TimestampMicrosecondType>().values().to_vec())
                .collect();
            assert!(times.is_sorted(), "{}", file.key);
        }
        publish_all(files, &place.open()).await;
        let there = contents(&place.open()).await;
        assert_same(
            &everything(there.iter().map(|(key, content)| (key.as_str(), content.clone()))),
            &batches,
        );
    }
}

#[test]
fn open_files_and_memory_are_bounded() {
    let mut rng = Rng::with_seed(1);
    let spool = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(spool.path(), config(64 << 20)).unwrap();
    // Every row an hour of its own: far more files than may be open.
    let batch = random(&mut rng, 80, 20_000);
    writer.append(&batch).unwrap();
    let unfinished = || {
        let files = fs::read_dir(spool.path()).unwrap().map(|e| fs::read(e.unwrap().path()).unwrap());
        files.filter(|content| content.starts_with(b"PAR1") && !content.ends_with(b"PAR1")).count()
    };
    assert!(unfinished() <= 32, "{}", unfinished());
    assert!(writer.pending_bytes() > 0);
    let files = writer.close_files().unwrap();
    assert!(files.len() > 100, "{}", files.len());
    assert_eq!(unfinished(), 0);
    let keys: std::collections::BTreeSet<_> = files.iter().map(|f| &f.key).collect();
    assert_eq!(keys.len(), files.len(), "every file has a name of its own");
    assert_eq!((writer.pending_bytes(), writer.age()), (0, std::time::Duration::ZERO));
}

#[test]
fn a_file_that_has_grown_is_followed_by_another() {
    let mut rng = Rng::with_seed(2);
    let spool = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(spool.path(), config(100_000)).unwrap();
    let empty = rows(Table::ControlPlane, &mut rng, 0, 1);
    for _ in 0..6 {
        // Text that does not compress, of one hour and cluster.
        let mut audit = rows(Table::Audit, &mut rng, 400, 1);
        let mut columns = audit.columns().to_vec();
        columns[0] = Arc::new(TimestampMicrosecondArray::from(vec![NOON; 400]).with_timezone("+00:00"));
        columns[1] = Arc::new(StringViewArray::from(vec![Some("prod"); 400]));
        let noise = |_| (0..400).map(|_| rng.alphanumeric()).collect::<String>();
        columns[8] = Arc::new(StringViewArray::from_iter_values((0..400).map(noise)));
        audit = RecordBatch::try_new(audit.schema(), columns).unwrap();
        writer.append(&batch(audit, empty.clone())).unwrap();
    }
    let files = writer.close_files().unwrap();
    assert!(files.len() > 1, "{}", files.len());
    assert_eq!(files.iter().map(|f| f.rows).sum::<u64>(), 6 * 400);
    // Names sort as the files were begun.
    assert!(files.is_sorted_by_key(|f| &f.key), "{files:#?}");
}

#[tokio::test]
async fn a_crash_leaves_no_file_in_sight() {
    let mut rng = Rng::with_seed(3);
    let spool = tempfile::tempdir().unwrap();
    let place = Place::folder();
    let store = place.open();
    let mut writer = Writer::open(spool.path(), config(64 << 20)).unwrap();
    let taken = Writer::open(spool.path(), config(1)).map(drop).unwrap_err();
    assert!(matches!(taken, ArchiveError::SpoolTaken { .. }), "{taken}");

    let (one, two) = (random(&mut rng, 20, 2), random(&mut rng, 20, 2));
    writer.append(&one).unwrap();
    let files = writer.close_files().unwrap();
    writer.append(&two).unwrap();
    // The process ends here, with a file published, others finished and others open.
    publish(&files[0], &store).await.unwrap();
    drop(writer);
    assert_eq!(store.list("").await.unwrap().len(), 1);
    let mut writer = Writer::open(spool.path(), config(64 << 20)).unwrap();
    assert_eq!(fs::read_dir(spool.path()).unwrap().count(), 1, "the lock file");
    assert!(publish(&files[1], &store).await.is_err(), "it is gone and never was published");
    writer.append(&two).unwrap();
    for file in writer.close_files().unwrap() {
        publish(&file, &store).await.unwrap();
    }
    let there = contents(&store).await;
    assert_eq!(everything(there.iter().map(|(key, content)| (key.as_str(), content.clone()))).len(), 2);
}

#[test]
fn after_an_error_nothing_is_taken_for_written() {
    let mut rng = Rng::with_seed(4);
    let parent = tempfile::tempdir().unwrap();
    let spool = parent.path().join("spool");
    let mut writer = Writer::open(&spool, config(64 << 20)).unwrap();
    writer.append(&random(&mut rng, 1, 1)).unwrap();
    fs::remove_dir_all(&spool).unwrap();
    let error = writer.append(&random(&mut rng, 50, 50)).unwrap_err();
    assert!(matches!(&error, ArchiveError::Spool { .. }), "{error}");
    assert!(error.to_string().contains("spool folder needs room"), "{error}");
    assert!(matches!(writer.close_files(), Err(ArchiveError::Broken { .. })));
    assert!(matches!(writer.append(&random(&mut rng, 1, 1)), Err(ArchiveError::Broken { .. })));
}

#[tokio::test]
async fn a_day_goes_when_it_is_older_than_it_is_kept() {
    for place in places() {
        let store = place.open();
        let put = async |key: &str| store.put(key, "12345".into(), &Default::default()).await.unwrap();
        for key in [
            "table=audit/cluster=a/date=2026-11-20/hour=08/x.parquet",
            "table=audit/cluster=a/date=2026-11-20/hour=23/x.parquet",
            "table=audit/cluster=a/date=2026-11-21/hour=00/x.parquet",
            "table=audit/cluster=a/date=__HIVE_DEFAULT_PARTITION__/hour=__HIVE_DEFAULT_PARTITION__/x.parquet",
            "table=control_plane/cluster=b/date=1999-01-01/hour=00/x.parquet",
            "table=control_plane/cluster=b/date=nonsense/hour=00/x.parquet",
            "other/cluster=b/date=1999-01-01/x.parquet",
        ] {
            put(key).await;
        }
        // The last moment of the 20th, and the first after it.
        let midnight = 1_795_219_200_000_000;
        let expired = expire(&store, midnight - 1).await.unwrap();
        assert_eq!((expired.files, expired.bytes), (1, 5));
        let expired = expire(&store, midnight).await.unwrap();
        assert_eq!((expired.files, expired.bytes), (2, 10));
        let left: Vec<String> = store.list("").await.unwrap().into_iter().map(|o| o.key).collect();
        assert_eq!(left.len(), 4, "{left:?}");
        assert!(left.iter().all(|key| !key.contains("2026-11-20")), "{left:?}");
        assert_eq!(expire(&store, midnight).await.unwrap(), aksentry::archive::Expired::default());
    }
}

#[test]
fn a_spool_folder_that_cannot_be_made_is_named() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Writer::open(Path::new(&file.join("spool")), config(1)).map(drop).unwrap_err();
    assert!(error.to_string().contains("file/spool"), "{error}");
}
