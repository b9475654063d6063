//! Reading: where it begins, who may, and what is said of the hub.

use super::*;
use std::time::UNIX_EPOCH;

use crate::identity::Secret;

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_begins_where_it_asks() {
    let (options, time) = with_clock();
    let hub = hub(options).await;
    let start = time.load(Ordering::Acquire);
    for n in 0..6 {
        time.store(start + n * 1_000_000, Ordering::Release);
        publish(&hub, 1, [n]);
    }
    let client = consumer(&hub).await;
    let first = receiver(&client, "1", earliest()).await;
    let events: Vec<_> = soon(first.stream_events().take(6).map(Result::unwrap).collect::<Vec<_>>()).await;
    let numbers: Vec<_> = events.iter().map(|event| event.sequence_number().unwrap()).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
    let offset = events[3].offset().clone().unwrap();
    let moment = events[2].enqueued_time().unwrap();
    assert_eq!(
        moment.duration_since(UNIX_EPOCH).unwrap().as_micros(),
        u128::try_from(start + 2_000_000).unwrap()
    );

    for (location, inclusive, bodies) in [
        (StartLocation::SequenceNumber(4), false, vec!["5"]),
        (StartLocation::SequenceNumber(4), true, vec!["4", "5"]),
        (StartLocation::Offset(offset.clone()), false, vec!["4", "5"]),
        (StartLocation::Offset(offset), true, vec!["3", "4", "5"]),
        (StartLocation::EnqueuedTime(moment), true, vec!["2", "3", "4", "5"]),
        (StartLocation::EnqueuedTime(moment), false, vec!["3", "4", "5"]),
    ] {
        let client = consumer(&hub).await;
        let reader = receiver(&client, "1", from(location, inclusive)).await;
        assert_eq!(take(&reader, bodies.len()).await, bodies);
        soon(client.close()).await.unwrap();
    }

    attached(&hub, 1).await;
    let client = consumer(&hub).await;
    let latest = receiver(&client, "1", from(StartLocation::Latest, false)).await;
    let reading = tokio::spawn(async move { take(&latest, 1).await });
    attached(&hub, 2).await;
    publish(&hub, 1, ["new"]);
    assert_eq!(soon(reading).await.unwrap(), ["new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hub_describes_itself() {
    let (options, time) = with_clock();
    let hub = hub(Options { partitions: 3, ..options }).await;
    publish(&hub, 2, ["a", "b"]);
    let client = consumer(&hub).await;
    let properties = soon(client.get_eventhub_properties()).await.unwrap();
    assert_eq!(
        (properties.name.as_str(), properties.partition_ids),
        (NAME, vec!["0".into(), "1".into(), "2".into()])
    );
    let full = soon(client.get_partition_properties("2")).await.unwrap();
    assert_eq!(
        (full.beginning_sequence_number, full.last_enqueued_sequence_number, full.is_empty),
        (0, 1, false)
    );
    assert!(full.last_enqueued_offset.parse::<i64>().unwrap() > 0);
    let enqueued = full.last_enqueued_time_utc.unwrap().duration_since(UNIX_EPOCH).unwrap();
    assert_eq!(enqueued.as_micros(), u128::try_from(time.load(Ordering::Acquire)).unwrap());
    let empty = soon(client.get_partition_properties("0")).await.unwrap();
    assert_eq!((empty.last_enqueued_sequence_number, empty.is_empty), (-1, true));
    let missing = soon(client.get_partition_properties("3")).await.unwrap_err();
    assert!(format!("{missing:?}").contains("partition '3' could not be found"), "{missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_is_drained_by_each_consumer_group() {
    let hub = hub(Options { partitions: 1, ..Options::default() }).await;
    // More than a frame holds, and more messages than a reader has credit for at once.
    let body = "x".repeat(100_000);
    publish(&hub, 0, (0..700).map(|n| if n % 100 == 0 { format!("{n}{body}") } else { n.to_string() }));
    for group in [GROUP, "other"] {
        let secret = hub.connection_string();
        let client = consumer_at(hub.endpoint(), secret.expose(), NAME, group).await.unwrap();
        let bodies = take(&receiver(&client, "0", earliest()).await, 700).await;
        assert!(bodies.iter().enumerate().all(|(n, body)| body.trim_end_matches('x') == n.to_string()));
        assert_eq!(bodies[300].len(), 100_003);
        soon(client.close()).await.unwrap();
    }
    assert_eq!(hub.deliveries(), [1400]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_steals() {
    let hub = hub(Options::default()).await;
    publish(&hub, 0, ["a"]);
    let with_epoch = |level| OpenReceiverOptions { owner_level: Some(level), ..earliest() };
    let (one, two, three) = (consumer(&hub).await, consumer(&hub).await, consumer(&hub).await);
    let plain = receiver(&one, "0", earliest()).await;
    assert_eq!(take(&plain, 1).await, ["a"]);
    let low = receiver(&two, "0", with_epoch(1)).await;
    assert_eq!(take(&low, 1).await, ["a"]);
    assert!(failure(&plain).await.contains("stolen"));
    let equal = receiver(&three, "0", with_epoch(1)).await;
    assert_eq!(take(&equal, 1).await, ["a"]);
    assert!(failure(&low).await.contains("stolen"));
    attached(&hub, 1).await;

    let lower = receiver(&consumer(&hub).await, "0", with_epoch(0)).await;
    let refused = failure(&lower).await;
    assert!(refused.contains("stolen") && refused.contains("higher epoch '1'"), "{refused}");
    let none = receiver(&consumer(&hub).await, "0", earliest()).await;
    assert!(failure(&none).await.contains("stolen"));
    // Another partition and another group are not meant.
    let other = consumer(&hub).await;
    assert_eq!(hub.publish(Some(1), Bytes::from("b")), 0);
    assert_eq!(take(&receiver(&other, "1", earliest()).await, 1).await, ["b"]);
    publish(&hub, 0, ["c"]);
    assert_eq!(take(&equal, 1).await, ["c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_hub_or_partition_is_named() {
    let hub = hub(Options { hub: Some("AKS-Audit".into()), ..Options::default() }).await;
    publish(&hub, 0, ["a"]);
    let client = consumer(&hub).await;
    assert_eq!(take(&receiver(&client, "0", earliest()).await, 1).await, ["a"]);
    let refused = failure(&receiver(&client, "9", earliest()).await).await;
    assert!(refused.contains("between 0 and 3"), "{refused}");

    let secret = hub.connection_string();
    let client = consumer_at(hub.endpoint(), secret.expose(), "wrong", GROUP).await.unwrap();
    let refused = failure(&receiver(&client, "0", earliest()).await).await;
    assert!(refused.contains("NotFound") && refused.contains("wrong"), "{refused}");
    let refused = soon(client.get_eventhub_properties()).await.unwrap_err();
    assert!(
        format!("{refused:?}").contains("404") || format!("{refused:?}").contains("NotFound"),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_or_an_expired_token_is_refused() {
    let key = Some(("reader".into(), Secret::new("right")));
    let (options, time) = with_clock();
    let hub = hub(Options { key, ..options }).await;
    publish(&hub, 0, ["a"]);
    let right = hub.connection_string().expose().to_owned();
    let refused = async |secret: &str| {
        let client = consumer_at(hub.endpoint(), secret, NAME, GROUP).await.unwrap();
        failure(&receiver(&client, "0", earliest()).await).await
    };
    let wrong = refused(&right.replace("right", "wrong")).await;
    assert!(wrong.contains("401") || wrong.contains("Unauthorized"), "{wrong}");
    let client = consumer(&hub).await;
    assert_eq!(take(&receiver(&client, "0", earliest()).await, 1).await, ["a"]);

    // The SDK's tokens are good for an hour by the machine's time, which this is long after.
    time.store(i64::MAX, Ordering::Release);
    let expired = refused(&right).await;
    assert!(expired.contains("401") || expired.contains("Unauthorized"), "{expired}");
}
