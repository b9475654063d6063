//! Connections cut, links detached, partitions stalled, hubs restarted and made anew: every message once,
//! in order.

use std::collections::BTreeMap;
use std::time::Duration;

use aksentry::hub::Hub;
use aksentry::hub::Log;
use aksentry::hub::Options;
use aksentry::identity::Secret;
use aksentry::source::Source as _;
use aksentry::source::eventhubs::Start;
use bytes::Bytes;

use super::Rig;
use super::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_comes_once_and_in_order_whatever_breaks() {
    let mut rig = Rig::new().await;
    let mut counts = BTreeMap::new();
    rig.publish(&mut counts, 200);
    let mut reading = rig.open("a").await;
    for round in 0..6 {
        // In the middle of a stream.
        rig.publish(&mut counts, 200);
        reading.until(reading.count() + 100).await;
        if round % 2 == 0 {
            rig.hub.drop_connections();
        } else {
            rig.hub.detach_links();
        }
        reading.until(counts.values().sum()).await;
        reading.assert_complete(&counts);
    }
    assert!(reading.metric(r#"aksentry_reconnects_total{reason="error"}"#).unwrap() >= 4.0);

    let Rig { hub, folder } = rig;
    let port = hub.address().port();
    let log = hub.stop().await;
    let hub = Hub::start_with(Options { port, ..Options::default() }, log).await.unwrap();
    rig = Rig { hub, folder };
    rig.publish(&mut counts, 100);
    reading.until(counts.values().sum()).await;
    reading.assert_complete(&counts);
    assert_eq!(reading.metric(r#"aksentry_messages_total{partition="3"}"#), Some(1500.0));
    assert!(reading.lost.is_empty());
    reading.source.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_link_is_told_from_a_silent_partition() {
    let rig = Rig::new().await;
    let mut counts = BTreeMap::new();
    rig.publish(&mut counts, 10);
    let mut reading = rig.open("a").await;
    reading.until(40).await;
    let health = reading.source.health();
    rig.hub.stall(1, true);
    rig.publish(&mut counts, 10);
    reading.until(70).await;
    let stalled = r#"aksentry_partition_stalled{partition="1"}"#;
    reading.while_reading(|reading| reading.metric(stalled) == Some(1.0)).await;
    assert_eq!(health.trouble().as_deref(), Some("partition 1 is stalled"));
    reading
        .while_reading(|reading| {
            reading.metric(r#"aksentry_partition_lag_messages{partition="1"}"#) == Some(10.0)
                && reading.metric(r#"aksentry_reconnects_total{reason="stalled"}"#) >= Some(1.0)
        })
        .await;
    rig.hub.stall(1, false);
    reading.until(80).await;
    reading.assert_complete(&counts);
    reading.while_reading(|_| health.trouble().is_none()).await;
    assert_eq!(reading.metric(stalled), Some(0.0));
    // The three that are silent and not stalled were left alone.
    assert_eq!(reading.metric(r#"aksentry_reconnects_total{reason="error"}"#), None);
    assert_eq!(health.partitions().iter().map(|p| p.lag).collect::<Vec<_>>(), [Some(0); 4]);
    reading.source.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_is_away_is_waited_for() {
    let Rig { hub, folder } = Rig::new().await;
    let port = hub.address().port();
    let config = super::config(&hub, "a");
    let log = hub.stop().await;
    let opening = {
        let away = Rig { hub: Hub::start(Options::default()).await.unwrap(), folder };
        async move {
            let reading = away.open_as(config).await;
            (reading, away)
        }
    };
    let opening = tokio::spawn(opening);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let hub = Hub::start_with(Options { port, ..Options::default() }, log).await.unwrap();
    hub.publish(Some(0), Bytes::from_static(b"0-0"));
    let (mut reading, _away) = opening.await.unwrap();
    reading.until(1).await;
    reading.source.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_taken_away_by_mistake_is_waited_for() {
    let mut rig = Rig::new().await;
    let mut counts = BTreeMap::new();
    rig.publish(&mut counts, 10);
    let mut reading = rig.open("a").await;
    reading.until(40).await;
    let port = rig.hub.address().port();
    let log = rig.hub.stop().await;
    let key = Some(("other".to_owned(), Secret::new("other-key")));
    rig.hub = Hub::start_with(Options { port, key, ..Options::default() }, log).await.unwrap();
    rig.publish(&mut counts, 10);
    let errors = r#"aksentry_reconnects_total{reason="error"}"#;
    // One that `next` would give ends the test.
    reading.while_reading(|reading| reading.metric(errors) >= Some(12.0)).await;
    let health = reading.source.health();
    reading.while_reading(|_| health.trouble().is_some_and(|text| text.contains("disconnected"))).await;
    let log = rig.hub.stop().await;
    rig.hub = Hub::start_with(Options { port, ..Options::default() }, log).await.unwrap();
    reading.until(80).await;
    reading.assert_complete(&counts);
    reading.source.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_made_anew_is_read_from_its_beginning() {
    let mut rig = Rig::with(Options { partitions: 1, ..Options::default() }).await;
    let mut counts = BTreeMap::new();
    rig.publish(&mut counts, 50);
    let mut reading = rig.open("a").await;
    reading.until(50).await;
    assert_eq!(reading.commit().await, [true]);
    let port = rig.hub.address().port();
    rig.hub.stop().await;
    let options = Options { port, partitions: 1, ..Options::default() };
    rig.hub = Hub::start_with(options, Log::default()).await.unwrap();
    let mut counts = BTreeMap::new();
    rig.publish(&mut counts, 7);
    reading.while_reading(|reading| !reading.lost.is_empty()).await;
    reading.bodies.clear();
    reading.until(7).await;
    reading.assert_complete(&counts);
    assert_eq!(reading.commit().await, [true]);
    reading.source.close().await;
    assert_eq!(rig.checkpoints().position("0").await.unwrap().unwrap().sequence, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn latest_means_the_first_start() {
    let rig = Rig::with(Options { partitions: 1, ..Options::default() }).await;
    let mut counts = BTreeMap::new();
    rig.publish(&mut counts, 5);
    let mut config = rig.config("a");
    config.start = Start::Latest;
    let reading = rig.open_as(config.clone()).await;
    let checkpoints = rig.checkpoints();
    until(async || checkpoints.position("0").await.unwrap().is_some()).await;
    reading.source.close().await;
    // Sent while nobody read, and after the start that "latest" was meant for.
    rig.publish(&mut counts, 3);
    let mut reading = rig.open_as(config).await;
    reading.until(3).await;
    assert_eq!(reading.bodies["0"], ["0-5", "0-6", "0-7"]);
    reading.source.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_pipeline_slows_reading_down() {
    let rig = Rig::with(Options { partitions: 2, ..Options::default() }).await;
    let large = "x".repeat(10_000);
    for number in 0..600_u16 {
        rig.hub.publish(Some(number % 2), format!("{large}-{number}").into());
    }
    let mut config = rig.config("a");
    config.prefetch_bytes = 400_000;
    let mut reading = rig.open_as(config).await;
    // Taken, and its room not given back.
    let held = loop {
        let incoming = reading.source.next().await.unwrap();
        if matches!(incoming, Some(aksentry::source::Incoming::Messages(_))) {
            break incoming;
        }
    };
    let mut before = Vec::new();
    until(async || {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = rig.hub.deliveries();
        std::mem::replace(&mut before, now.clone()) == now
    })
    .await;
    let sent: u64 = before.iter().sum();
    assert!(sent < 200, "{sent} messages of 10 kB were sent against a budget of 400 kB");
    assert!(reading.metric(r#"aksentry_queue_bytes{queue="source"}"#).unwrap() <= 200_000.0);
    let taken = match held {
        Some(aksentry::source::Incoming::Messages(received)) => received.raw.bodies.len(),
        other => panic!("{other:?}"),
    };
    reading.until(600 - taken).await;
    reading.source.close().await;
}
