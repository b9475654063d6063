//! Writing through the SDK's producer.

use super::*;
use azure_messaging_eventhubs::{EventDataBatchOptions, SendEventOptions};

fn bodies(log: &super::super::Log, partition: u16) -> Vec<Bytes> {
    log.bodies(partition)
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_to_their_partition_or_take_turns() {
    let hub = hub(Options { partitions: 2, ..Options::default() }).await;
    let client = producer(&hub).await;
    for n in 0..4 {
        soon(client.send_event(format!("turn {n}"), None)).await.unwrap();
    }
    let options = || Some(SendEventOptions { partition_id: Some("1".into()) });
    soon(client.send_event("one", options())).await.unwrap();
    soon(client.close()).await.unwrap();
    let log = soon(hub.stop()).await;
    assert_eq!(bodies(&log, 0), ["turn 0", "turn 2"]);
    assert_eq!(bodies(&log, 1), ["turn 1", "turn 3", "one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_taken_apart_and_its_key_keeps_it_together() {
    let hub = hub(Options { partitions: 2, ..Options::default() }).await;
    let client = producer(&hub).await;
    let long = "y".repeat(300);
    for _ in 0..2 {
        let options = EventDataBatchOptions {
            partition_key: Some("cluster".into()),
            ..EventDataBatchOptions::default()
        };
        let batch = soon(client.create_batch(Some(options))).await.unwrap();
        for body in ["a", long.as_str()] {
            assert!(batch.try_add_event_data(body, None).unwrap());
        }
        soon(client.send_batch(batch, None)).await.unwrap();
    }
    soon(client.close()).await.unwrap();
    let log = soon(hub.stop()).await;
    let (mut first, second) = (bodies(&log, 0), bodies(&log, 1));
    assert!(first.is_empty() != second.is_empty(), "one key, two partitions");
    first.extend(second);
    assert_eq!(first, ["a", &long, "a", &long]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_is_received() {
    let hub = hub(Options::default()).await;
    let (client, reader) = (producer(&hub).await, consumer(&hub).await);
    let options = SendEventOptions { partition_id: Some("3".into()) };
    soon(client.send_event("{\"records\":[]}", Some(options))).await.unwrap();
    assert_eq!(take(&receiver(&reader, "3", earliest()).await, 1).await, ["{\"records\":[]}"]);
    // A sender that names a partition there is not.
    let options = SendEventOptions { partition_id: Some("4".into()) };
    let refused = soon(client.send_event("lost", Some(options))).await.unwrap_err();
    assert!(format!("{refused:?}").contains("between 0 and 3"), "{refused:?}");
}
