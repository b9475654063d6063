//! A network and a hub that misbehave: nothing is missing.

use std::time::Duration;

use super::traffic::traffic;
use super::{Scene, wait_for, wait_for_ids};
use aksentry::hub::{Hub, Options};
use azure_messaging_eventhubs::{ConsumerClient, OpenReceiverOptions};
use futures::StreamExt as _;

/// Publishes in ten portions and does something to the hub between them.
async fn under(disturb: impl AsyncFn(&Scene, usize)) {
    let scene = Scene::new().await;
    let traffic = traffic(10_000, 100);
    let expected = scene.replayed(&traffic.messages);
    let service = scene.start("a", &scene.configuration("a", ""));
    for (round, messages) in traffic.messages.chunks(20).enumerate() {
        scene.publish(messages);
        disturb(&scene, round).await;
    }
    wait_for_ids(&scene, &expected, &[&service]);
    let (code, _, log) = service.stop();
    assert_eq!(code, 0, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_connections() {
    under(async |scene, _| {
        tokio::time::sleep(Duration::from_millis(300)).await;
        scene.hub.drop_connections();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn detached_links() {
    under(async |scene, _| {
        tokio::time::sleep(Duration::from_millis(300)).await;
        scene.hub.detach_links();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_partition_is_noticed_and_read_again() {
    let scene = Scene::new().await;
    let traffic = traffic(10_000, 100);
    let expected = scene.replayed(&traffic.messages);
    let service = scene.start("a", &scene.configuration("a", ""));
    let (some, rest) = traffic.messages.split_at(100);
    scene.publish(some);
    wait_for("a first alert", || (!scene.delivered().is_empty()).then_some(()), || service.log());
    // The link is up and gives nothing; only a new one does.
    scene.hub.stall(2, true);
    scene.publish(rest);
    let stalled = || {
        let metrics = super::get(&format!("http://{}/metrics", service.telemetry()));
        metrics.contains("aksentry_partition_stalled{partition=\"2\"} 1").then_some(())
    };
    wait_for("the stalled partition in the metrics", stalled, || service.log());
    scene.hub.stall(2, false);
    wait_for_ids(&scene, &expected, &[&service]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_restarts() {
    let mut scene = Scene::new().await;
    let traffic = traffic(10_000, 100);
    let expected = scene.replayed(&traffic.messages);
    let service = scene.start("a", &scene.configuration("a", ""));
    let (some, rest) = traffic.messages.split_at(100);
    scene.publish(some);
    wait_for("a first alert", || (!scene.delivered().is_empty()).then_some(()), || service.log());
    let port = scene.hub.address().port();
    let log = scene.hub.clone().stop().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let options = Options { port, partitions: super::PARTITIONS, ..Options::default() };
    scene.hub = Hub::start_with(options, log).await.unwrap();
    scene.publish(rest);
    wait_for_ids(&scene, &expected, &[&service]);
}

/// Somebody else's receiver, of a higher epoch, reads one partition for a while. Reading with an epoch of
/// our own lower than that, the service has to wait until it leaves.
#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_that_steals_a_partition_and_leaves_again() {
    let scene = Scene::new().await;
    let traffic = traffic(10_000, 100);
    let expected = scene.replayed(&traffic.messages);
    let service = scene.start("a", &scene.configuration("a", ""));
    let (some, rest) = traffic.messages.split_at(100);
    scene.publish(some);
    wait_for("a first alert", || (!scene.delivered().is_empty()).then_some(()), || service.log());

    let foreign = ConsumerClient::builder()
        .with_custom_endpoint(scene.hub.endpoint())
        .open_with_connection_string(scene.hub.connection_string().expose(), Some("aks-audit"))
        .await
        .unwrap();
    let options = OpenReceiverOptions { owner_level: Some(1_000_000), ..OpenReceiverOptions::default() };
    let receiver = foreign.open_receiver_on_partition("2".to_owned(), Some(options)).await.unwrap();
    let stealing = tokio::spawn(async move {
        let mut events = receiver.stream_events();
        while events.next().await.is_some_and(|event| event.is_ok()) {}
    });
    let stolen = || {
        let metrics = service.get("metrics");
        metrics.contains("aksentry_reconnects_total{reason=\"stolen\"}").then_some(())
    };
    wait_for("the theft in the metrics", stolen, || service.log());
    scene.publish(rest);
    // While it lasts one partition is not read, and the others are.
    let enough = expected.len() / 2;
    wait_for("half of the alerts", || (scene.delivered().len() > enough).then_some(()), || service.log());
    assert!(!expected.is_subset(&scene.delivered()), "partition 2 was read all the time");
    stealing.abort();
    let _ = stealing.await;
    drop(foreign);
    wait_for_ids(&scene, &expected, &[&service]);
    let (code, _, log) = service.stop();
    assert_eq!(code, 0, "{log}");
}
