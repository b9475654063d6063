//! Connections to the hub. A client never recovers by itself: the SDK's recovery attaches again where the
//! receiver once began, which repeats messages or loses them. A client that failed is thrown away.

use std::sync::Arc;
use std::time::Duration;

use azure_messaging_eventhubs::ConnectionString;
use azure_messaging_eventhubs::ConsumerClient;
use azure_messaging_eventhubs::EventReceiver;
use azure_messaging_eventhubs::OpenReceiverOptions;
use azure_messaging_eventhubs::RetryOptions;
use azure_messaging_eventhubs::StartPosition;
use azure_messaging_eventhubs::models::AmqpTransport;
use azure_messaging_eventhubs::models::EventHubPartitionProperties;
use tokio::time::timeout;

use super::Config;
use super::Transport;
use super::fault::Fault;
use crate::identity::Auth;
use crate::identity::Credential;
use crate::identity::Environment;
use crate::identity::Secret;
use crate::source::SourceError;

/// The service waits for our side of a farewell; we do not wait for ever for its.
const FAREWELL: Duration = Duration::from_secs(3);

/// All our receivers have the same level, so that the newest one wins.
const OWNER_LEVEL: i64 = 0;

/// How to connect.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) config: Config,
    sign_in: SignIn,
}

#[derive(Debug)]
enum SignIn {
    Credential(Arc<Credential>),
    ConnectionString(Secret),
}

impl Link {
    /// Looks at what is configured; connects to nothing.
    pub(super) async fn open(config: Config) -> Result<Self, SourceError> {
        let sign_in = match &config.auth {
            Auth::ConnectionString(text) => {
                check_connection_string(text, &config)?;
                SignIn::ConnectionString(text.clone())
            }
            auth => {
                let credential = Credential::open(auth, &Environment::process()).await;
                SignIn::Credential(credential.map_err(|error| SourceError(error.to_string()))?)
            }
        };
        Ok(Self { config, sign_in })
    }

    /// How we sign in, and why so.
    pub(super) fn who(&self) -> &str {
        match &self.sign_in {
            SignIn::Credential(credential) => credential.chosen(),
            SignIn::ConnectionString(_) => "connection string: as configured",
        }
    }

    pub(super) async fn connect(self: &Arc<Self>) -> Result<Client, Fault> {
        let config = &self.config;
        let mut builder = ConsumerClient::builder()
            .with_consumer_group(config.consumer_group.clone())
            .with_retry_options(RetryOptions { max_retries: 0, ..RetryOptions::default() })
            .with_transport(match config.transport {
                Transport::Tcp => AmqpTransport::Tcp,
                Transport::WebSocket => AmqpTransport::WebSocket,
            });
        if let Some(endpoint) = &config.endpoint {
            builder = builder.with_custom_endpoint(endpoint.clone());
        }
        let open = async {
            match &self.sign_in {
                SignIn::Credential(credential) => {
                    let credential = Arc::clone(credential);
                    builder.open(&config.namespace, config.hub.clone(), credential).await
                }
                SignIn::ConnectionString(text) => {
                    builder.open_with_connection_string(text.expose(), Some(&config.hub)).await
                }
            }
        };
        match timeout(config.timing.patience, open).await {
            Ok(Ok(client)) => Ok(Client { link: Arc::clone(self), client: Some(client) }),
            Ok(Err(error)) => Err(self.fault(&error)),
            Err(_) => Err(Fault::timeout("connecting", config.timing.patience)),
        }
    }

    pub(super) fn fault(&self, error: &azure_messaging_eventhubs::EventHubsError) -> Fault {
        let fault = Fault::of(error, &self.config, self.who());
        // The token may be what is refused, and a kept one would be refused again.
        if let (Fault::Unauthorized(_), SignIn::Credential(credential)) = (&fault, &self.sign_in) {
            credential.renew();
        }
        fault
    }
}

fn check_connection_string(text: &Secret, config: &Config) -> Result<(), SourceError> {
    let parsed: ConnectionString = text.expose().parse().map_err(|error| {
        // Says which part is wrong, and quotes nothing.
        SourceError(format!("connection string of event hub {:?}: {error}", config.hub))
    })?;
    let theirs = &parsed.fully_qualified_namespace;
    if config.endpoint.is_none() && !theirs.eq_ignore_ascii_case(&config.namespace) {
        return Err(SourceError(format!(
            "the connection string is for {theirs}, but namespace says {}: correct one of them",
            config.namespace
        )));
    }
    match &parsed.entity_path {
        Some(hub) if *hub != config.hub => Err(SourceError(format!(
            "the connection string is for event hub {hub:?}, but hub says {:?}: correct one of them",
            config.hub
        ))),
        _ => Ok(()),
    }
}

/// One connection; says goodbye in the background when it is dropped.
pub(super) struct Client {
    link: Arc<Link>,
    client: Option<ConsumerClient>,
}

impl Client {
    fn client(&self) -> Result<&ConsumerClient, Fault> {
        self.client.as_ref().ok_or_else(|| Fault::Passing("the connection is closed".to_owned()))
    }

    pub(super) async fn partitions(&self) -> Result<Vec<String>, Fault> {
        let patience = self.link.config.timing.patience;
        match timeout(patience, self.client()?.get_eventhub_properties()).await {
            Ok(Ok(properties)) => Ok(properties.partition_ids),
            Ok(Err(error)) => Err(self.link.fault(&error)),
            Err(_) => Err(Fault::timeout("asking for the partitions", patience)),
        }
    }

    pub(super) async fn properties(&self, partition: &str) -> Result<EventHubPartitionProperties, Fault> {
        let patience = self.link.config.timing.patience;
        match timeout(patience, self.client()?.get_partition_properties(partition)).await {
            Ok(Ok(properties)) => Ok(properties),
            Ok(Err(error)) => Err(self.link.fault(&error)),
            Err(_) => Err(Fault::timeout("asking for the state of a partition", patience)),
        }
    }

    /// A receiver; it attaches when it is first asked for a message, and takes the partition away from
    /// whoever had it.
    pub(super) async fn receiver(
        &self,
        partition: &str,
        start: StartPosition,
        prefetch: u32,
    ) -> Result<EventReceiver, Fault> {
        let options = OpenReceiverOptions {
            owner_level: Some(OWNER_LEVEL),
            prefetch: Some(prefetch),
            start_position: Some(start),
            // Stops in the middle of a receive; we have timers of our own.
            receive_timeout: None,
        };
        let patience = self.link.config.timing.patience;
        let open = self.client()?.open_receiver_on_partition(partition.to_owned(), Some(options));
        match timeout(patience, open).await {
            Ok(Ok(receiver)) => Ok(receiver),
            Ok(Err(error)) => Err(self.link.fault(&error)),
            Err(_) => Err(Fault::timeout("opening a receiver", patience)),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let (Some(client), Ok(runtime)) = (self.client.take(), tokio::runtime::Handle::try_current()) {
            // Whatever comes of it: what is left closes when it is dropped.
            runtime.spawn(timeout(FAREWELL, client.close()));
        }
    }
}
