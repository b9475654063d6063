//! Partitions shared, taken over, stolen and handed back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aksentry::checkpoint::Checkpoints;
use aksentry::checkpoint::LeaseName;
use aksentry::hub::Options;
use aksentry::source::Source as _;
use aksentry::source::eventhubs::Config;
use aksentry::source::eventhubs::EventHubs;
use aksentry::telemetry::Metrics;
use azure_messaging_eventhubs::ConsumerClient;
use azure_messaging_eventhubs::OpenReceiverOptions;
use futures::StreamExt as _;
use tokio::runtime::Builder;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use super::LEASE;
use super::Rig;
use super::clock;
use super::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_receiver_takes_a_partition_and_it_comes_back() {
    let rig = Rig::new().await;
    let mut counts = BTreeMap::new();
    rig.publish(&mut counts, 10);
    let mut reading = rig.open("a").await;
    reading.until(40).await;
    assert_eq!(reading.commit().await, [true; 4]);
    let foreign = ConsumerClient::builder()
        .with_custom_endpoint(rig.hub.endpoint())
        .open_with_connection_string(rig.hub.connection_string().expose(), Some("audit"))
        .await
        .unwrap();
    let options = OpenReceiverOptions { owner_level: Some(0), ..OpenReceiverOptions::default() };
    let receiver = foreign.open_receiver_on_partition("2".to_owned(), Some(options)).await.unwrap();
    let stealing = tokio::spawn(async move {
        let _ = receiver.stream_events().next().await;
        drop(receiver);
        foreign
    });
    reading.while_reading(|reading| !reading.lost.is_empty()).await;
    assert_eq!(&*reading.lost[0], "2");
    let span = reading.spans["2"].clone();
    assert!(!reading.source.commits().commit(&span).await.unwrap(), "it is not ours any more");
    assert_eq!(reading.metric(r#"aksentry_reconnects_total{reason="stolen"}"#), Some(1.0));
    rig.publish(&mut counts, 10);
    // The foreign reader got nothing that we did not.
    reading.until(80).await;
    reading.assert_complete(&counts);
    reading.source.close().await;
    drop(stealing.await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_share_and_the_one_left_takes_over() {
    let rig = Rig::new().await;
    let mut counts = BTreeMap::new();
    rig.publish(&mut counts, 10);
    let (checkpoints, seen) = (rig.checkpoints(), Arc::new(Metrics::new()));
    let doomed = doomed(rig.config("a"), checkpoints.clone(), Arc::clone(&seen));
    let owners = async || {
        let leases = checkpoints.leases().await.unwrap();
        let owner = |name: &str| leases.iter().filter(|lease| lease.owner == name).count();
        (owner("a"), owner("b"))
    };
    until(async || owners().await == (4, 0)).await;
    until(async || seen.render().contains("aksentry_bytes_total 120")).await;
    let mut reading = rig.open("b").await;
    reading.while_reading(|reading| reading.owned() == 2.0).await;
    assert_eq!(owners().await, (2, 2));
    doomed.shutdown_background();
    let died = Instant::now();
    rig.publish(&mut counts, 10);
    // Nothing was committed, so all of it comes to the one that is left.
    reading.until(80).await;
    reading.assert_complete(&counts);
    assert_eq!(owners().await, (0, 4));
    assert!(died.elapsed() > LEASE / 2, "a lease is respected while it lasts: {:?}", died.elapsed());
    reading.source.close().await;
    assert_eq!(owners().await, (0, 0), "everything is handed back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_handed_back_is_taken_at_once() {
    let rig = Rig::new().await;
    let mut counts = BTreeMap::new();
    rig.publish(&mut counts, 10);
    let long = |replica| {
        let mut config = rig.config(replica);
        // Far longer than this test.
        config.lease = Duration::from_secs(3600);
        config
    };
    let mut first = rig.open_as(long("a")).await;
    first.until(40).await;
    assert_eq!(first.commit().await, [true; 4]);
    first.source.close().await;
    rig.publish(&mut counts, 10);
    let start = Instant::now();
    let mut second = rig.open_as(long("b")).await;
    second.until(40).await;
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    for (partition, bodies) in &second.bodies {
        let expected: Vec<String> = (10..20).map(|number| format!("{partition}-{number}")).collect();
        assert_eq!(*bodies, expected);
    }
    second.source.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_comes_back_has_its_partitions_at_once() {
    let rig = Rig::new().await;
    let mut counts = BTreeMap::new();
    rig.publish(&mut counts, 10);
    let mut config = rig.config("a");
    config.lease = Duration::from_secs(3600);
    let seen = Arc::new(Metrics::new());
    let doomed = doomed(config.clone(), rig.checkpoints(), Arc::clone(&seen));
    until(async || seen.render().contains("aksentry_bytes_total 120")).await;
    doomed.shutdown_background();
    let leases = rig.checkpoints().leases().await.unwrap();
    assert!(leases.iter().all(|lease| lease.owner == "a"), "nothing was handed back");
    let start = Instant::now();
    let mut reading = rig.open_as(config).await;
    reading.until(40).await;
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    reading.assert_complete(&counts);
    reading.source.close().await;
}

/// A replica in a runtime of its own, which can die without a word.
fn doomed(config: Config, checkpoints: Checkpoints, metrics: Arc<Metrics>) -> Runtime {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.spawn(async move {
        let mut source = EventHubs::open(config, checkpoints, metrics, clock()).await.unwrap();
        while source.next().await.is_ok() {}
    });
    runtime
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_store_is_away_reading_goes_on_until_the_leases_run_out() {
    let rig = Rig::with(Options { partitions: 2, ..Options::default() }).await;
    let mut counts = BTreeMap::new();
    rig.publish(&mut counts, 10);
    let mut reading = rig.open("a").await;
    reading.until(20).await;
    assert_eq!(reading.commit().await, [true; 2]);
    let folder = rig.folder.path().join("checkpoints");
    let aside = rig.folder.path().join("aside");
    std::fs::rename(&folder, &aside).unwrap();
    std::fs::write(&folder, "not a folder").unwrap();
    rig.publish(&mut counts, 10);
    reading.until(40).await;
    reading.while_reading(|reading| reading.lost.len() == 2).await;
    std::fs::remove_file(&folder).unwrap();
    std::fs::rename(&aside, &folder).unwrap();
    // What was not committed comes again.
    reading.bodies.values_mut().for_each(|bodies| bodies.truncate(10));
    reading.until(40).await;
    reading.assert_complete(&counts);
    let leases = rig.checkpoints().leases().await.unwrap();
    assert!(leases.iter().all(|lease| lease.owner == "a" && lease.name != LeaseName::Leader));
    reading.source.close().await;
}
