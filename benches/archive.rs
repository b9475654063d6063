//! A month of an archive: its size beside the messages', and three questions of responders asked of it as
//! `hunt` asks them, beside DuckDB on the same files where a python with `duckdb` is found.
//!
//! Run with `cargo bench --bench archive -- --events 10000000`. The archive is made once for each number of
//! events, in cargo's folder for temporary files or in `--folder DIR`, and used again by the next run.
//! `--rough` asks each question a few times and skips criterion, to see that all is well. `--size` ends
//! when the archive is made.
//!
//! The month is written as the service does, but with a file every half hour, and compacted. One more day is
//! left as the service leaves it, with a file every minute.

mod input;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aksentry::archive::compact::{Plan, compact};
use aksentry::archive::{Config, Writer, publish};
use aksentry::decode::{Decoder, Dedup};
use aksentry::event::identity::event_id;
use aksentry::event::{Batch, RawBatch};
use aksentry::hunt::{Limits, Session};
use aksentry::pipeline::{Progress, Range, replay};
use aksentry::rules::{Catalog, Sources};
use aksentry::source::files::Inputs;
use aksentry::store::{Environment, Location, Store};
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringViewBuilder, TimestampMicrosecondArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use criterion::Criterion;

/// 2026-06-01, and a month from there.
const BEGIN: i64 = 1_780_272_000_000_000;
const MINUTE: i64 = 60_000_000;
const HALF_HOUR: i64 = 30 * MINUTE;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const MONTH: i64 = 30 * DAY;
/// Events that are generated and decoded; the month repeats them at other times, by other people.
const BASE: usize = 20_000;
/// Identities and objects the month has.
const PEOPLE: u64 = 5_000;
const OBJECTS: u64 = 20_000;

struct Arguments {
    events: u64,
    folder: PathBuf,
    rough: bool,
    size: bool,
}

fn arguments() -> Arguments {
    let given: Vec<String> = std::env::args().collect();
    let value = |name: &str| given.iter().position(|a| a == name).and_then(|at| given.get(at + 1));
    let events = value("--events").map_or(10_000_000, |n| n.parse().expect("--events is a number"));
    let folder = value("--folder").map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let has = |name: &str| given.iter().any(|a| a == name);
    Arguments { events, folder, rough: has("--rough"), size: has("--size") }
}

/// The sample generator's events as rows, each once, and the bytes of their messages.
fn base(events: u64) -> (Vec<Batch>, u64) {
    let count = BASE.min(usize::try_from(events).unwrap_or(BASE));
    let bodies = input::messages(count);
    let bytes = input::size(&bodies);
    let (mut decoder, mut dedup) = (Decoder::default(), Dedup::new(1_000_000));
    let batches = bodies.chunks(50).map(|bodies| {
        let raw = RawBatch { bodies: bodies.to_vec() };
        dedup.retain(decoder.decode(&raw)).expect("few ids stay in memory").batch
    });
    (batches.collect(), bytes)
}

/// A number that looks random and is the same in every run.
fn mixed(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// The rows at their place in a span of time: row `first` and those behind it, of `all`. What would make
/// the archive smaller or larger than a real one is as random as it is there: ids of requests wholly, times
/// by some seconds; what lies between the times of one event stays.
fn moved(rows: &RecordBatch, first: u64, all: u64, span: i64) -> RecordBatch {
    let schema = rows.schema();
    let number = |row: usize| first + row as u64;
    let times = |name: &str| {
        rows.column_by_name(name).expect("a time").as_primitive::<TimestampMicrosecondType>().clone()
    };
    let old_time = times("time");
    let time = |row: usize| {
        let part = i128::from(span) * i128::from(number(row)) / i128::from(all.max(1));
        BEGIN + i64::try_from(part).unwrap_or_default() + (mixed(number(row) + 3) % 1_000_000) as i64
    };
    let texts = |column: &ArrayRef, make: &dyn Fn(usize, &str) -> String| -> ArrayRef {
        let old = column.as_string_view();
        let mut new = StringViewBuilder::new();
        for row in 0..old.len() {
            new.append_option(old.is_valid(row).then(|| make(row, old.value(row))));
        }
        Arc::new(new.finish())
    };
    // One in eight is done by a person, who stays for a while; the system's own accounts are who they are.
    let by_person = |row: usize| mixed(number(row)).is_multiple_of(8);
    let person = |row: usize| mixed(number(row) / 200) % PEOPLE;
    // One request of a person in fifty is refused.
    let refused = |row: usize| by_person(row) && mixed(number(row) + 5).is_multiple_of(50);
    let columns = schema.fields().iter().zip(rows.columns()).map(|(field, column)| match field.name().as_str() {
        name @ ("time" | "record_time" | "received_time") => {
            let old = times(name);
            let apart = |row: usize| old.is_valid(row).then(|| old.value(row) - old_time.value(row));
            let times = (0..rows.num_rows()).map(|row| Some(time(row) + apart(row)?));
            Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("+00:00")) as ArrayRef
        }
        "audit_id" => texts(column, &|row, _| {
            let (a, b) = (mixed(number(row)), mixed(number(row) ^ 0xa5a5_5a5a_0000_0000));
            let b = b >> 4;
            format!("{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}", a >> 32, a >> 16 & 0xffff, a & 0xfff, b >> 48, b & 0xffff_ffff_ffff)
        }),
        "cluster" => texts(column, &|_, _| {
            "/subscriptions/0000/resourcegroups/rg/providers/microsoft.containerservice/managedclusters/aks-0".into()
        }),
        "username" => texts(column, &|row, old| match by_person(row) {
            true => format!("person-{}@contoso.com", person(row)),
            false => old.to_owned(),
        }),
        "name" => texts(column, &|row, old| format!("{old}-{}", mixed(number(row) + 7) % OBJECTS)),
        "status_code" => {
            let old = column.as_primitive::<Int64Type>();
            let code = |row: usize| if refused(row) { Some(403) } else { old.is_valid(row).then(|| old.value(row)) };
            Arc::new((0..rows.num_rows()).map(code).collect::<Int64Array>())
        }
        _ => column.clone(),
    });
    RecordBatch::try_new(schema.clone(), columns.collect()).expect("the same columns")
}

/// The ids that the decoder would give to rows.
fn ids(rows: &RecordBatch) -> Vec<u64> {
    let text = |name: &str| rows.column_by_name(name).expect("a column").as_string_view().clone();
    let (cluster, id, stage) = (text("cluster"), text("audit_id"), text("stage"));
    let mut scratch = Vec::new();
    let id = |row: usize| {
        let (cluster, stage) = (cluster.value(row).as_bytes(), stage.value(row).as_bytes());
        event_id(&mut scratch, Some(cluster), id.value(row).as_bytes(), Some(stage))
    };
    (0..rows.num_rows()).map(id).collect()
}

/// Rows of a span of time into an archive, with a file for each `roll`, both in microseconds.
fn write(folder: &Path, base: &[Batch], events: u64, span: i64, roll: i64) {
    let begun = Instant::now();
    let store = Store::open(&Location::Folder(folder.join("archive")), &Environment::default());
    let store = store.expect("a store in a folder");
    let config = Config { max_file_bytes: 256 << 20, replica: "bench".into() };
    let mut writer = Writer::open(&folder.join("spool"), config).expect("a spool folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let close = |writer: &mut Writer| {
        for file in writer.close_files().expect("files are finished") {
            runtime.block_on(publish(&file, &store)).expect("files are published");
        }
    };
    // Row at which the roll of this number begins.
    let begins = |number: i64| {
        let row = i128::from(events) * i128::from(number) * i128::from(roll) / i128::from(span);
        u64::try_from(row).unwrap_or(u64::MAX)
    };
    let (mut written, mut rolls) = (0, 1);
    for batch in base.iter().cycle() {
        let mut from = 0;
        while from < batch.audit.num_rows() && written < events {
            let room = usize::try_from(begins(rolls).min(events) - written).unwrap_or(usize::MAX);
            let take = room.min(batch.audit.num_rows() - from);
            let audit = moved(&batch.audit.slice(from, take), written, events, span);
            let batch = Batch {
                audit_ids: ids(&audit),
                control_plane: batch.control_plane.slice(0, 0),
                control_plane_ids: Vec::new(),
                audit,
                block: batch.block.clone(),
            };
            writer.append(&batch).expect("rows are written");
            (from, written) = (from + take, written + take as u64);
            if written >= begins(rolls) {
                close(&mut writer);
                rolls += 1;
            }
        }
        if written >= events {
            break;
        }
    }
    close(&mut writer);
    eprintln!("{written} events written in {:.0} s", begun.elapsed().as_secs_f64());
}

/// Makes the archives; bytes of the messages the month's rows would have come in.
fn make(folder: &Path, loose: &Path, events: u64) -> u64 {
    let done = folder.join("messages-bytes");
    if let Some(bytes) = fs::read_to_string(&done).ok().and_then(|text| text.trim().parse().ok()) {
        return bytes;
    }
    let _ = (fs::remove_dir_all(folder), fs::remove_dir_all(loose));
    let (base, bytes) = base(events);
    let rows: u64 = base.iter().map(|batch| batch.audit.num_rows() as u64).sum();
    write(folder, &base, events, MONTH, HALF_HOUR);
    let begun = Instant::now();
    let (files, before) = size(folder);
    let store = Store::open(&Location::Folder(folder.join("archive")), &Environment::default());
    let store = store.expect("a store in a folder");
    // Nobody lists them meanwhile; the second time deletes what the first put aside.
    let plan = Plan { now: i64::MAX, settle: Duration::ZERO, dry_run: false };
    for _ in 0..2 {
        compact(&store, &folder.join("spool"), plan, &mut |_| Ok(())).expect("files are merged");
    }
    eprintln!(
        "{files} files of {:.3} GB merged in {:.0} s",
        before as f64 / 1e9,
        begun.elapsed().as_secs_f64()
    );
    write(loose, &base, events / 30, DAY, MINUTE);
    let bytes =
        u64::try_from(u128::from(bytes) * u128::from(events) / u128::from(rows.max(1))).unwrap_or(u64::MAX);
    fs::write(done, bytes.to_string()).expect("the figure is written");
    bytes
}

/// A question as `hunt` takes it: SQL without a range of time, and the range.
struct Question {
    name: &'static str,
    /// Finds a value that is there, which takes the place of `{}`.
    example: Option<&'static str>,
    sql: &'static str,
    range: Range,
}

const IDENTITY: &str = "SELECT username FROM audit WHERE username LIKE 'person-%' GROUP BY username ORDER BY count(*) DESC, username LIMIT 1";
const SECRET: &str = "SELECT name FROM audit WHERE resource = 'secrets' AND verb = 'get' GROUP BY name ORDER BY count(*) DESC, name LIMIT 1";
const DID: &str =
    "SELECT time, verb, resource, namespace, name FROM audit WHERE username = '{}' ORDER BY time";
const READ: &str = "SELECT username, count(*) AS reads FROM audit WHERE resource = 'secrets' AND verb = 'get' AND name = '{}' GROUP BY username ORDER BY reads DESC, username";
const DENIED: &str = "SELECT username, count(*) AS denied FROM audit WHERE status_code = 403 GROUP BY username ORDER BY denied DESC, username";

/// Questions about the month, and about the day that was not compacted.
fn questions() -> ([Question; 3], [Question; 2]) {
    let range = |since, span| Range { since: Some(since), until: Some(since + span), cluster: None };
    let hour = range(BEGIN + 12 * DAY + 9 * HOUR, HOUR);
    let ask = |name, example, sql, range| Question { name, example, sql, range };
    (
        [
            ask("what this identity did in an hour", Some(IDENTITY), DID, hour),
            ask("who read this secret in 30 days", Some(SECRET), READ, range(BEGIN, MONTH)),
            ask("denied requests by identity in a day", None, DENIED, range(BEGIN + DAY, DAY)),
        ],
        [
            ask(
                "files of a minute: what this identity did in an hour",
                Some(IDENTITY),
                DID,
                range(BEGIN + 9 * HOUR, HOUR),
            ),
            ask("files of a minute: denied requests by identity in a day", None, DENIED, range(BEGIN, DAY)),
        ],
    )
}

struct Quiet;

impl Progress for Quiet {
    fn advance(&self, _: u64) {}
}

/// Asks as a session does that is new but for the lists and rules, which `process` loads too.
fn ask(catalog: &Catalog, folder: &Path, sql: &str, range: &Range) -> (u64, Option<String>) {
    let path = folder.join("archive").to_string_lossy().into_owned();
    let selection = range.selection();
    let wanted = |path: &str| selection.may_hold_below(path);
    let inputs = Inputs::resolve_wanted(&[path], &Environment::default(), &wanted);
    let mut inputs = inputs.expect("the archive is there");
    range.prune(&mut inputs);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let options = replay::Options { inputs, range: range.clone(), threads };
    let (mut rows, mut first) = (0, None);
    let mut emit = |batch: &RecordBatch| {
        rows += batch.num_rows() as u64;
        if first.is_none() && batch.num_rows() > 0 {
            first = batch.column(0).as_string_view_opt().map(|texts| texts.value(0).to_owned());
        }
        Ok(())
    };
    let limits = Limits { memory: 1 << 30, timeout: None, keep: 0 };
    let session = Session::open(catalog, options, limits, Arc::new(Quiet)).expect("a session");
    let prepared = session.prepare(sql, None, &Vec::new(), chrono::DateTime::UNIX_EPOCH);
    let prepared = prepared.expect("the query is right");
    session.run(prepared, std::future::pending(), &mut emit).expect("the query runs");
    (rows, first)
}

/// The same query for DuckDB: the columns of the folders and of the rows say the range.
fn for_duckdb(folder: &Path, sql: &str, range: &Range) -> String {
    let files = folder.join("archive/table=audit/*/*/*/*.parquet");
    let time = |micros: Option<i64>| {
        let time = micros.and_then(chrono::DateTime::from_timestamp_micros).expect("a time");
        (time.format("%Y-%m-%d").to_string(), time.format("%Y-%m-%d %H:%M:%S+00").to_string())
    };
    let ((first, since), (last, until)) = (time(range.since), time(range.until));
    let table = format!(
        "(SELECT * FROM read_parquet('{}', hive_partitioning = true, hive_types = {{'date': DATE, 'hour': VARCHAR}}) \
         WHERE date BETWEEN '{first}' AND '{last}' AND time >= '{since}' AND time < '{until}')",
        files.display()
    );
    sql.replace("FROM audit", &format!("FROM {table}"))
}

const PYTHON: &str = "
import sys, time, json
try:
    import duckdb
except ImportError:
    print('absent'); sys.exit()
con = duckdb.connect()
con.sql(\"SET TimeZone = 'UTC'\")
con.sql('SET enable_progress_bar = false')
sql = sys.stdin.read()
times = []
for _ in range(int(sys.argv[1])):
    begun = time.perf_counter()
    con.execute('CREATE OR REPLACE TEMP TABLE answer AS ' + sql)
    rows = con.execute('SELECT count(*) FROM answer').fetchone()[0]
    times.append(time.perf_counter() - begun)
times.sort()
print(json.dumps({'version': duckdb.__version__, 'rows': rows, 'median': times[len(times) // 2], 'best': times[0]}))
";

fn duckdb(sql: &str, times: u32) -> String {
    use std::io::Write as _;
    use std::process::Stdio;
    let child = Command::new("python3")
        .args(["-c", PYTHON, &times.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else { return "no python3 here".into() };
    if let Some(mut input) = child.stdin.take() {
        let _ = input.write_all(sql.as_bytes());
    }
    match child.wait_with_output() {
        Ok(output) if output.stdout.trim_ascii() == b"absent" => "not installed (pip install duckdb)".into(),
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        _ => "failed".into(),
    }
}

fn size(folder: &Path) -> (u64, u64) {
    let files =
        glob::glob(&format!("{}/archive/**/*.parquet", folder.display())).into_iter().flatten().flatten();
    files.fold((0, 0), |(n, bytes), file| (n + 1, bytes + file.metadata().map_or(0, |about| about.len())))
}

/// The program itself, as a user waits for it: the median of some runs, milliseconds.
fn process(folder: &Path, sql: &str, range: &Range) -> u128 {
    let time = |micros: Option<i64>| {
        let time = micros.and_then(chrono::DateTime::from_timestamp_micros).expect("a time");
        time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    };
    let mut times: Vec<u128> = (0..5)
        .map(|_| {
            let begun = Instant::now();
            let output = Command::new(env!("CARGO_BIN_EXE_aksentry"))
                .args(["hunt", "--since", &time(range.since), "--until", &time(range.until), "-e", sql])
                .arg(folder.join("archive"))
                .output();
            assert!(output.expect("the program is there").status.success());
            begun.elapsed().as_millis()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

fn main() {
    let Arguments { events, folder, rough, size: only_size } = arguments();
    let (month, loose) = (folder.join(format!("archive-{events}")), folder.join(format!("loose-{events}")));
    let messages = make(&month, &loose, events);
    for (folder, messages) in [(&month, messages), (&loose, messages / 30)] {
        let (files, bytes) = size(folder);
        println!(
            "{:.2} GB of messages, {:.3} GB of archive in {files} files: {:.1} times smaller",
            messages as f64 / 1e9,
            bytes as f64 / 1e9,
            messages as f64 / bytes.max(1) as f64
        );
    }
    if only_size {
        return;
    }
    let mut criterion = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(5));
    let catalog = Catalog::load(&Sources::default()).0;
    let (of_month, of_day) = questions();
    let all = of_month.into_iter().map(|q| (&month, q)).chain(of_day.into_iter().map(|q| (&loose, q)));
    for (folder, Question { name, example, sql, range }) in all {
        let example =
            example.and_then(|example| ask(&catalog, folder, example, &range).1).unwrap_or_default();
        let sql = sql.replace("{}", &example);
        let begun = Instant::now();
        let rows = ask(&catalog, folder, &sql, &range).0;
        println!("{name}: {rows} rows, first time {:.0} ms", begun.elapsed().as_secs_f64() * 1e3);
        if rough {
            let begun = Instant::now();
            ask(&catalog, folder, &sql, &range);
            println!("  again: {:.0} ms", begun.elapsed().as_secs_f64() * 1e3);
        } else {
            criterion.bench_function(name, |bench| bench.iter(|| ask(&catalog, folder, &sql, &range)));
        }
        println!("  as a process: {} ms", process(folder, &sql, &range));
        println!("  duckdb: {}", duckdb(&for_duckdb(folder, &sql, &range), if rough { 2 } else { 10 }));
    }
}
