//! The archive while its writer is killed: what a reader sees at any moment, and what is there in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aksentry::checkpoint::Checkpoints;
use aksentry::pipeline::Range;
use aksentry::store::{Environment, Location, Store, wait};
use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::traffic::traffic;
use super::{PARTITIONS, PATIENCE, Scene, Service, program, wait_for, wait_for_rows};
use crate::azurite::{Place, environment};
use crate::parquet::{ask, options};
use crate::support::azurite::Azurite;

const EVENTS: usize = 12_000;

/// A message in the hub and the audit ids in it.
struct Sent {
    partition: String,
    sequence: i64,
    ids: Vec<String>,
}

/// Publishes a message to a partition of the test's own choice.
fn send(scene: &Scene, number: usize, message: &Bytes) -> Sent {
    let partition = u16::try_from(number).unwrap() % PARTITIONS;
    let sequence = scene.hub.publish(Some(partition), message.clone());
    let content: serde_json::Value = serde_json::from_slice(message).unwrap();
    let id = |record: &serde_json::Value| {
        let event: serde_json::Value =
            serde_json::from_str(record["properties"]["log"].as_str().unwrap()).unwrap();
        super::id(&event, "auditID")
    };
    let ids = content["records"].as_array().unwrap().iter().map(id).collect();
    Sent { partition: partition.to_string(), sequence, ids }
}

/// The audit ids as `hunt` sees them, each with its rows; an unreadable file fails the test.
fn hunted(archive: &str) -> BTreeMap<String, i64> {
    let options = options(&[archive.to_owned()], Range::default(), &environment());
    let sql = "SELECT arrow_cast(audit_id, 'Utf8'), count(*) FROM audit GROUP BY audit_id";
    let (rows, damaged) = ask(sql, options);
    assert_eq!(damaged, [""; 0]);
    let mut ids = BTreeMap::new();
    for batch in rows {
        let numbers = batch.column(1).as_primitive::<Int64Type>();
        for (id, number) in batch.column(0).as_string::<i32>().iter().zip(numbers) {
            ids.insert(id.unwrap().to_owned(), number.unwrap());
        }
    }
    ids
}

/// What lies there that the service wrote; the name of a merged file says so.
async fn keys(store: &Store) -> BTreeSet<String> {
    let written = store.list("").await.unwrap().into_iter().map(|object| object.key);
    written.filter(|key| !key.contains("-merged-")).collect()
}

/// Tells a command where Azurite is.
fn azurite(command: &mut Command) {
    let azurite = Azurite::shared();
    command
        .env("AZURE_STORAGE_ACCOUNT_NAME", azurite.account)
        .env("AZURE_STORAGE_ACCOUNT_KEY", azurite.key)
        .env("AZURE_STORAGE_ENDPOINT", &azurite.endpoint);
}

/// Reads the archive again and again until `over`: every file whole, no row twice, none gone again.
/// How often it looked, and at how many files.
fn watch(archive: &str, store: &Store, over: &AtomicBool) -> (usize, usize) {
    let (mut whole, mut before, mut rounds) = (BTreeSet::new(), BTreeSet::new(), 0);
    loop {
        let last = over.load(Ordering::Acquire);
        for object in wait(store.list("")).unwrap() {
            if whole.contains(&object.key) {
                continue;
            }
            // Merged meanwhile.
            let Some((content, _)) = wait(store.get(&object.key)).unwrap() else { continue };
            assert_eq!(content.len() as u64, object.bytes, "{}", object.key);
            let reader = ParquetRecordBatchReaderBuilder::try_new(content);
            let mut batches = reader.unwrap_or_else(|e| panic!("{}: {e}", object.key)).build().unwrap();
            assert!(batches.all(|batch| batch.is_ok()), "{} is broken", object.key);
            whole.insert(object.key);
        }
        if !whole.is_empty() {
            let now = hunted(archive);
            let twice: Vec<_> = now.iter().filter(|(_, n)| **n != 1).collect();
            assert!(twice.is_empty(), "{twice:?}");
            let now: BTreeSet<String> = now.into_keys().collect();
            let gone: Vec<_> = before.difference(&now).collect();
            assert!(gone.is_empty(), "{} rows are gone again, such as {:?}", gone.len(), gone[0]);
            before = now;
            rounds += 1;
        }
        if last {
            return (rounds, whole.len());
        }
        // Two cores are for the service, too.
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Merges small files beside everybody else.
fn compaction(archive: &str) -> Child {
    let mut command = program();
    command.args(["archive", "compact", "--quiet", archive]).stdout(Stdio::null());
    azurite(&mut command);
    command.spawn().unwrap()
}

/// Kills a service again and again while one reads its archive and another one merges files in it: in turn at a random moment, right behind
/// the appearance of a file (when its position may not be written yet), and some time after a commit.
async fn killed(place: Place, kills: usize) {
    let scene = Scene::new().await;
    let archive = place.location.to_string();
    let more = format!("[archive]\nurl = \"{archive}\"\nroll = \"1s\"\n");
    let path = scene.write("a", &scene.configuration("a", &more));
    let start = || Service::start_with(&path, azurite);
    let over = Arc::new(AtomicBool::new(false));
    let reader = {
        let (archive, store, over) = (archive.clone(), place.open(), over.clone());
        std::thread::spawn(move || watch(&archive, &store, &over))
    };
    let store = place.open();
    let checkpoints =
        Store::open(&Location::Folder(scene.folder.path().join("checkpoints")), &Environment::default());
    let checkpoints = Checkpoints::new(checkpoints.unwrap(), "localhost", "aks-audit", "$Default");
    let traffic = traffic(EVENTS, 30);
    let mut random = fastrand::Rng::with_seed(4);
    let (mut sent, mut number, mut midway) = (Vec::new(), 0, 0);
    let mut merging = compaction(&archive);
    for (round, messages) in traffic.messages.chunks(traffic.messages.len().div_ceil(kills)).enumerate() {
        let files = keys(&store).await;
        let begun = checkpoints.positions().await.unwrap();
        let (some, rest) = messages.split_at(messages.len() / 2);
        for message in some {
            sent.push(send(&scene, number, message));
            number += 1;
        }
        let service = start();
        let reading = || service.get("metrics").contains("aksentry_records_total{").then_some(());
        wait_for("the first records", reading, || service.log());
        let waiting = round % 3;
        let deadline = Instant::now() + PATIENCE;
        while waiting == 1 && keys(&store).await.is_subset(&files)
            || waiting == 2 && checkpoints.positions().await.unwrap() == begun
        {
            assert!(Instant::now() < deadline, "no new file, or no position: {}", service.log());
        }
        for message in rest {
            sent.push(send(&scene, number, message));
            number += 1;
        }
        if waiting != 1 {
            tokio::time::sleep(Duration::from_millis(random.u64(0..1200))).await;
        }
        service.kill();
        if merging.try_wait().unwrap().is_some_and(|status| status.success()) {
            merging = compaction(&archive);
        }
        // What is committed is there, now that nobody writes.
        let positions = checkpoints.positions().await.unwrap();
        let is_committed =
            |m: &&Sent| positions.get(m.partition.as_str()).is_some_and(|p| m.sequence <= p.sequence);
        let committed: BTreeSet<&String> = sent.iter().filter(is_committed).flat_map(|m| &m.ids).collect();
        midway += usize::from(!committed.is_empty() && committed.len() < number * 50);
        if !committed.is_empty() {
            let from = archive.clone();
            let there = tokio::task::spawn_blocking(move || hunted(&from)).await.unwrap();
            let lost: Vec<_> = committed.iter().filter(|id| !there.contains_key(**id)).collect();
            assert!(lost.is_empty(), "{} committed rows are lost, such as {:?}", lost.len(), lost[0]);
        }
    }
    assert!(midway > 0, "no kill hit a service that had committed something and not all");
    let service = start();
    wait_for_rows(&store, EVENTS, &service);
    let (code, _, log) = service.stop();
    assert_eq!(code, 0, "{log}");
    assert!(merging.wait().unwrap().success());
    assert!(compaction(&archive).wait().unwrap().success());
    over.store(true, Ordering::Release);
    let seen = tokio::task::spawn_blocking(move || reader.join()).await.unwrap();
    let (rounds, files) = seen.unwrap_or_else(|panic| std::panic::resume_unwind(panic));

    let expected: BTreeSet<String> = sent.into_iter().flat_map(|message| message.ids).collect();
    assert_eq!(expected.len(), EVENTS);
    // Other programs, too, see each row once when nobody writes any more.
    assert!(super::archived(&store).await.values().all(|n| *n == 1));
    eprintln!("{kills} kills, {midway} of them midway; {rounds} hunts over {files} files");
    let from = archive.clone();
    let there = tokio::task::spawn_blocking(move || hunted(&from)).await.unwrap();
    assert!(there.values().all(|n| *n == 1));
    assert!(there.into_keys().collect::<BTreeSet<_>>() == expected);
    let stats = scene.folder.path().join("stats.json");
    let mut replay = program();
    replay.args(["replay", "--quiet", "--format", "none", "--stats"]).arg(&stats).arg(&archive);
    azurite(&mut replay);
    assert!(replay.status().unwrap().success());
    let stats: serde_json::Value = serde_json::from_slice(&std::fs::read(&stats).unwrap()).unwrap();
    assert_eq!((stats["events"].as_u64(), stats["rejects"].to_string()), (Some(EVENTS as u64), "{}".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_and_double_no_row_in_a_folder() {
    killed(Place::folder(), 12).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_and_double_no_row_in_a_container() {
    killed(Place::container(), 6).await;
}
