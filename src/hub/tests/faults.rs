//! What tests do to a hub: cut connections, detached links, stalled partitions, a restart.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_connection_is_opened_again() {
    let hub = hub(Options::default()).await;
    publish(&hub, 0, 0..3);
    let client = consumer(&hub).await;
    let reader = receiver(&client, "0", earliest()).await;
    assert_eq!(take(&reader, 3).await, ["0", "1", "2"]);
    hub.drop_connections();
    failure(&reader).await;
    attached(&hub, 0).await;
    publish(&hub, 0, ["3"]);
    let client = consumer(&hub).await;
    let reader = receiver(&client, "0", from(StartLocation::SequenceNumber(2), false)).await;
    assert_eq!(take(&reader, 1).await, ["3"]);

    hub.refuse(true);
    assert!(consumer_at(hub.endpoint(), hub.connection_string().expose(), NAME, GROUP).await.is_err());
    publish(&hub, 0, ["4"]);
    assert_eq!(take(&reader, 1).await, ["4"]);
    hub.refuse(false);
    consumer(&hub).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn detached_links_say_why() {
    let hub = hub(Options::default()).await;
    publish(&hub, 0, ["a"]);
    let client = consumer(&hub).await;
    let reader = receiver(&client, "0", earliest()).await;
    assert_eq!(take(&reader, 1).await, ["a"]);
    hub.detach_links();
    let detached = failure(&reader).await;
    assert!(detached.contains("InternalError") || detached.contains("internal-error"), "{detached}");
    attached(&hub, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_partition_is_silent_but_attached() {
    let hub = hub(Options::default()).await;
    let client = consumer(&hub).await;
    hub.stall(0, true);
    publish(&hub, 0, ["a"]);
    publish(&hub, 1, ["b"]);
    let silent = receiver(&client, "0", earliest()).await;
    let reading = tokio::spawn(async move { take(&silent, 1).await });
    attached(&hub, 1).await;
    let lively = receiver(&client, "1", earliest()).await;
    assert_eq!(take(&lively, 1).await, ["b"]);
    assert_eq!(hub.deliveries(), [0, 1, 0, 0]);
    assert!(!reading.is_finished());
    hub.stall(0, false);
    assert_eq!(soon(reading).await.unwrap(), ["a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_comes_back_has_its_messages() {
    let hub = hub(Options::default()).await;
    publish(&hub, 2, ["a", "b"]);
    let client = consumer(&hub).await;
    let reader = receiver(&client, "2", earliest()).await;
    assert_eq!(take(&reader, 1).await, ["a"]);
    let (port, endpoint) = (hub.address().port(), hub.endpoint());
    let secret = hub.connection_string();
    let log = soon(hub.stop()).await;
    assert!(consumer_at(endpoint.clone(), secret.expose(), NAME, GROUP).await.is_err());

    let hub = Hub::start_with(Options { port, partitions: 1, ..Options::default() }, log).await.unwrap();
    assert_eq!((hub.partitions(), hub.last_sequence(2), hub.last_sequence(0)), (4, Some(1), None));
    publish(&hub, 2, ["c"]);
    let client = consumer(&hub).await;
    let reader = receiver(&client, "2", from(StartLocation::SequenceNumber(0), false)).await;
    assert_eq!(take(&reader, 2).await, ["b", "c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_leaves_amid_a_stream_does_not_disturb_others() {
    let hub = hub(Options::default()).await;
    publish(&hub, 0, 0..2000);
    publish(&hub, 1, 0..2000);
    let client = consumer(&hub).await;
    let stays = receiver(&client, "1", earliest()).await;
    let leaves = receiver(&client, "0", earliest()).await;
    assert_eq!(take(&leaves, 10).await.len(), 10);
    soon(leaves.close()).await.unwrap();
    assert_eq!(take(&stays, 2000).await.len(), 2000);
    attached(&hub, 1).await;
    let again = receiver(&client, "0", earliest()).await;
    assert_eq!(take(&again, 2000).await.len(), 2000);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_started_says_what_to_do() {
    let first = hub(Options::default()).await;
    let port = first.address().port();
    let taken = Hub::start(Options { port, ..Options::default() }).await.unwrap_err().to_string();
    assert!(taken.contains(&port.to_string()) && taken.contains("another port"), "{taken}");
    assert!(Hub::start(Options { partitions: 0, ..Options::default() }).await.is_err());
}
