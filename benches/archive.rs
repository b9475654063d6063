//! A month of an archive: its size beside the messages', and three questions of responders asked of it as
//! `hunt` asks them, beside DuckDB on the same files where a python with `duckdb` is found.
//!
//! Run with `cargo bench --bench archive -- --events 10000000`. The archive is made once for each number of
//! events, in cargo's folder for temporary files or in `--folder DIR`, and used again by the next run.
//! `--rough` asks each question a few times and skips criterion, to see that all is well.

mod input;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aksentry::archive::{Config, Writer, publish};
use aksentry::decode::{Decoder, Dedup};
use aksentry::event::{Batch, RawBatch};
use aksentry::hunt::{Limits, Session};
use aksentry::pipeline::{Progress, Range, replay};
use aksentry::rules::{Catalog, Sources};
use aksentry::source::files::Inputs;
use aksentry::store::{Environment, Location, Store};
use arrow::array::{Array, ArrayRef, AsArray, StringViewBuilder, TimestampMicrosecondArray};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::record_batch::RecordBatch;
use criterion::Criterion;

/// 2026-06-01, and a month from there.
const BEGIN: i64 = 1_780_272_000_000_000;
const MONTH: i64 = 30 * 86_400_000_000;
/// Events that are generated and decoded; the month repeats them at other times, by other people.
const BASE: usize = 20_000;
/// Identities and objects the month has.
const PEOPLE: u64 = 5_000;
const OBJECTS: u64 = 20_000;

struct Arguments {
    events: u64,
    folder: PathBuf,
    rough: bool,
}

fn arguments() -> Arguments {
    let given: Vec<String> = std::env::args().collect();
    let value = |name: &str| given.iter().position(|a| a == name).and_then(|at| given.get(at + 1));
    let events = value("--events").map_or(10_000_000, |n| n.parse().expect("--events is a number"));
    let folder = value("--folder").map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    Arguments { events, folder, rough: given.iter().any(|a| a == "--rough") }
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
    let n = (n ^ (n >> 31)).wrapping_mul(0x7fb5_d329_728e_a185);
    (n ^ (n >> 27)).wrapping_mul(0x81da_def4_bc2d_d44d) >> 20
}

/// The rows at their place in the month: row `first` and those behind it, of `all`.
fn moved(rows: &RecordBatch, first: u64, all: u64, clusters: u64) -> RecordBatch {
    let schema = rows.schema();
    let number = |row: usize| first + row as u64;
    let time = |row: usize| {
        let part = i128::from(MONTH) * i128::from(number(row)) / i128::from(all.max(1));
        BEGIN + i64::try_from(part).unwrap_or_default()
    };
    let texts = |column: &ArrayRef, make: &dyn Fn(usize, &str) -> String| -> ArrayRef {
        let old = column.as_string_view();
        let mut new = StringViewBuilder::new();
        for row in 0..old.len() {
            new.append_option(old.is_valid(row).then(|| make(row, old.value(row))));
        }
        Arc::new(new.finish())
    };
    let columns = schema.fields().iter().zip(rows.columns()).map(|(field, column)| match field.name().as_str() {
        "time" | "record_time" | "received_time" => {
            let ahead = if field.name() == "record_time" { 30_000_000 } else { 0 };
            let old = column.as_primitive::<TimestampMicrosecondType>();
            let times = (0..rows.num_rows()).map(|row| old.is_valid(row).then(|| time(row) + ahead));
            Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("+00:00")) as ArrayRef
        }
        "audit_id" => texts(column, &|row, _| {
            let n = mixed(number(row));
            format!("{n:011x}-{:04x}-4{:03x}-a{:03x}-{:012x}", n & 0xffff, n & 0xfff, n >> 9 & 0xfff, number(row))
        }),
        "cluster" => texts(column, &|row, _| {
            let n = mixed(number(row) / 50) % clusters;
            format!("/subscriptions/0000/resourcegroups/rg/providers/microsoft.containerservice/managedclusters/aks-{n}")
        }),
        // One in eight is done by a person; the system's own accounts stay who they are.
        "username" => texts(column, &|row, old| match mixed(number(row)) % 8 {
            0 => format!("person-{}@contoso.com", mixed(number(row) / 16) % PEOPLE),
            _ => old.to_owned(),
        }),
        "name" => texts(column, &|row, old| format!("{old}-{}", mixed(number(row) + 7) % OBJECTS)),
        _ => column.clone(),
    });
    RecordBatch::try_new(schema.clone(), columns.collect()).expect("the same columns")
}

/// Makes the archive; bytes of the messages its rows would have come in.
fn make(folder: &Path, events: u64) -> u64 {
    let done = folder.join("messages-bytes");
    if let Some(bytes) = fs::read_to_string(&done).ok().and_then(|text| text.trim().parse().ok()) {
        return bytes;
    }
    let _ = fs::remove_dir_all(folder);
    let begun = Instant::now();
    let (base, bytes) = base(events);
    let rows: u64 = base.iter().map(|batch| batch.audit.num_rows() as u64).sum();
    let location = Location::Folder(folder.join("archive"));
    let store = Store::open(&location, &Environment::default()).expect("a store in a folder");
    let config = Config { max_file_bytes: 256 << 20, replica: "bench".into() };
    let mut writer = Writer::open(&folder.join("spool"), config).expect("a spool folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut written = 0;
    while written < events {
        for batch in &base {
            let take = usize::try_from(events - written).unwrap_or(usize::MAX).min(batch.audit.num_rows());
            if take == 0 {
                break;
            }
            let audit = moved(&batch.audit.slice(0, take), written, events, 1);
            let batch = Batch {
                audit_ids: batch.audit_ids.iter().take(take).copied().collect(),
                control_plane: batch.control_plane.slice(0, 0),
                control_plane_ids: Vec::new(),
                audit,
                block: batch.block.clone(),
            };
            writer.append(&batch).expect("rows are written");
            written += take as u64;
        }
        eprint!("\r{written} of {events} events, {:.0} s ", begun.elapsed().as_secs_f64());
    }
    for file in writer.close_files().expect("files are finished") {
        runtime.block_on(publish(&file, &store)).expect("files are published");
    }
    eprintln!();
    let bytes =
        u64::try_from(u128::from(bytes) * u128::from(events) / u128::from(rows.max(1))).unwrap_or(u64::MAX);
    fs::write(done, bytes.to_string()).expect("the figure is written");
    bytes
}

/// Name, SQL as `hunt` takes it without a range of time, and the range.
fn questions() -> [(&'static str, String, Range); 3] {
    let hour = 3_600_000_000;
    let begin = BEGIN + 12 * 24 * hour + 9 * hour;
    let range = |since, until| Range { since: Some(since), until: Some(until), cluster: None };
    let person = "person-1234@contoso.com";
    let secret = "SELECT name FROM audit WHERE resource = 'secrets' AND verb = 'get' ORDER BY name LIMIT 1";
    [
        (
            "what this identity did in an hour",
            format!("SELECT time, verb, resource, namespace, name FROM audit WHERE username = '{person}' ORDER BY time"),
            range(begin, begin + hour),
        ),
        ("who read this secret in 30 days", secret.to_owned(), range(BEGIN, BEGIN + MONTH)),
        (
            "denied requests by identity in a day",
            "SELECT username, count(*) AS denied FROM audit WHERE status_code = 403 GROUP BY username ORDER BY denied DESC, username".to_owned(),
            range(BEGIN + 24 * hour, BEGIN + 48 * hour),
        ),
    ]
}

struct Quiet;

impl Progress for Quiet {
    fn advance(&self, _: u64) {}
}

fn ask(folder: &Path, sql: &str, range: &Range) -> (u64, Option<String>) {
    let path = folder.join("archive").to_string_lossy().into_owned();
    let mut inputs = Inputs::resolve(&[path]).expect("the archive is there");
    range.prune(&mut inputs);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let options = replay::Options { inputs, range: range.clone(), threads };
    let catalog = Catalog::load(&Sources::default()).0;
    let (mut rows, mut first) = (0, None);
    let mut emit = |batch: &RecordBatch| {
        rows += batch.num_rows() as u64;
        if first.is_none() && batch.num_rows() > 0 {
            first = batch.column(0).as_string_view_opt().map(|texts| texts.value(0).to_owned());
        }
        Ok(())
    };
    let limits = Limits { memory: 1 << 30, timeout: None, keep: 0 };
    let session = Session::open(&catalog, options, limits, Arc::new(Quiet)).expect("a session");
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
sql = sys.stdin.read()
times = []
for _ in range(int(sys.argv[1])):
    begun = time.perf_counter()
    rows = len(con.sql(sql).fetchall())
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

fn main() {
    let Arguments { events, folder, rough } = arguments();
    let folder = folder.join(format!("archive-{events}"));
    let messages = make(&folder, events);
    let (files, bytes) = size(&folder);
    println!(
        "{events} events: {:.2} GB of messages, {:.3} GB of archive in {files} files: {:.1} times smaller",
        messages as f64 / 1e9,
        bytes as f64 / 1e9,
        messages as f64 / bytes.max(1) as f64
    );
    let mut criterion = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(5));
    for (name, mut sql, range) in questions() {
        if name.starts_with("who read") {
            // A secret that is there.
            let secret = ask(&folder, &sql, &range).1.unwrap_or_default();
            sql = format!(
                "SELECT username, count(*) AS reads FROM audit WHERE resource = 'secrets' AND verb = 'get' AND name = '{secret}' GROUP BY username ORDER BY reads DESC, username"
            );
        }
        let begun = Instant::now();
        let rows = ask(&folder, &sql, &range).0;
        println!("{name}: {rows} rows, first time {:.0} ms", begun.elapsed().as_secs_f64() * 1e3);
        if rough {
            let begun = Instant::now();
            ask(&folder, &sql, &range);
            println!("  again: {:.0} ms", begun.elapsed().as_secs_f64() * 1e3);
        } else {
            criterion.bench_function(name, |bench| bench.iter(|| ask(&folder, &sql, &range)));
        }
        println!("  duckdb: {}", duckdb(&for_duckdb(&folder, &sql, &range), if rough { 2 } else { 10 }));
    }
}
