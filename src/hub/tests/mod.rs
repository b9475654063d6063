//! The hub over the Azure SDK, as the program and its users meet it.

mod faults;
mod readers;
mod writers;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use azure_messaging_eventhubs::models::ReceivedEventData;
use azure_messaging_eventhubs::{
    ConsumerClient, EventReceiver, OpenReceiverOptions, ProducerClient, RetryOptions, StartLocation,
    StartPosition,
};
use bytes::Bytes;
use futures::StreamExt as _;

use super::{Hub, Options};

const NAME: &str = "aks-audit";
const GROUP: &str = "$Default";
const PATIENCE: Duration = Duration::from_secs(20);

/// Any of the SDK's errors; they are only looked at as text.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What is awaited comes within this, or the test fails.
async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("nothing came in time")
}

async fn hub(options: Options) -> Hub {
    // The SDK wants a provider even where nothing is encrypted; another test may have installed it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Hub::start(options).await.unwrap()
}

fn no_retries() -> RetryOptions {
    RetryOptions { max_retries: 0, ..RetryOptions::default() }
}

async fn consumer_at(
    endpoint: String,
    secret: &str,
    name: &str,
    group: &str,
) -> Result<ConsumerClient, Failure> {
    let client = ConsumerClient::builder()
        .with_custom_endpoint(endpoint)
        .with_consumer_group(group.into())
        .with_retry_options(no_retries());
    Ok(soon(client.open_with_connection_string(secret, Some(name))).await?)
}

async fn consumer(hub: &Hub) -> ConsumerClient {
    consumer_at(hub.endpoint(), hub.connection_string().expose(), NAME, GROUP).await.unwrap()
}

async fn producer(hub: &Hub) -> ProducerClient {
    let client =
        ProducerClient::builder().with_custom_endpoint(hub.endpoint()).with_retry_options(no_retries());
    let secret = hub.connection_string();
    soon(client.open_with_connection_string(secret.expose(), Some(NAME))).await.unwrap()
}

fn from(location: StartLocation, inclusive: bool) -> OpenReceiverOptions {
    OpenReceiverOptions {
        start_position: Some(StartPosition { location, inclusive }),
        ..OpenReceiverOptions::default()
    }
}

fn earliest() -> OpenReceiverOptions {
    from(StartLocation::Earliest, false)
}

async fn receiver(client: &ConsumerClient, partition: &str, options: OpenReceiverOptions) -> EventReceiver {
    soon(client.open_receiver_on_partition(partition.into(), Some(options))).await.unwrap()
}

fn text(event: &ReceivedEventData) -> String {
    String::from_utf8(event.event_data().body().unwrap_or_default().to_vec()).unwrap()
}

/// The next bodies, as many as said.
async fn take(receiver: &EventReceiver, count: usize) -> Vec<String> {
    let stream = receiver.stream_events();
    soon(stream.take(count).map(|event| text(&event.unwrap())).collect()).await
}

/// How a reader ends, when nothing but the end may come.
async fn failure(receiver: &EventReceiver) -> String {
    let mut stream = receiver.stream_events();
    match soon(stream.next()).await {
        Some(Err(error)) => format!("{error:?}"),
        other => panic!("{other:?} instead of an error"),
    }
}

/// Waits until so many readers are attached.
async fn attached(hub: &Hub, readers: usize) {
    soon(hub.readers().wait_for(|count| *count == readers)).await.unwrap();
}

fn publish(hub: &Hub, partition: u16, bodies: impl IntoIterator<Item = impl ToString>) {
    for body in bodies {
        hub.publish(Some(partition), Bytes::from(body.to_string()));
    }
}

/// Options whose clock stands where the number says, in microseconds.
fn with_clock() -> (Options, Arc<AtomicI64>) {
    let time = Arc::new(AtomicI64::new(1_700_000_000_000_000));
    let clock = Arc::clone(&time);
    (Options { clock: Arc::new(move || clock.load(Ordering::Acquire)), ..Options::default() }, time)
}
