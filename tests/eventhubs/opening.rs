//! Mistakes in the configuration: what a newcomer is told.

use std::sync::Arc;
use std::time::Duration;

use aksentry::hub::Options;
use aksentry::identity::Auth;
use aksentry::identity::Secret;
use aksentry::source::eventhubs::Config;
use aksentry::source::eventhubs::EventHubs;
use aksentry::telemetry::Metrics;
use tokio::time::timeout;

use super::Rig;
use super::clock;

async fn refused(rig: &Rig, config: Config) -> String {
    let open = EventHubs::open(config, rig.checkpoints(), Arc::new(Metrics::new()), clock());
    let opened = timeout(Duration::from_secs(30), open).await.expect("it waits instead of saying so");
    match opened {
        Ok(_) => panic!("it opened"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_wrong_hub_is_named() {
    let rig = Rig::with(Options { hub: Some("aks-audit".to_owned()), ..Options::default() }).await;
    let error = refused(&rig, rig.config("a")).await;
    assert!(
        error.starts_with(r#"localhost has no event hub "audit", or that no consumer group "$Default""#),
        "{error}"
    );
}

#[tokio::test]
async fn a_refused_sign_in_names_the_role() {
    let key = Some(("listen".to_owned(), Secret::new("right-key")));
    let rig = Rig::with(Options { key, ..Options::default() }).await;
    let mut config = rig.config("a");
    config.auth = Auth::ConnectionString(Secret::new(
        "Endpoint=sb://localhost;SharedAccessKeyName=listen;SharedAccessKey=wrong-key",
    ));
    let error = refused(&rig, config).await;
    assert!(error.contains("Azure Event Hubs Data Receiver"), "{error}");
    assert!(!error.contains("key="), "{error}");
    rig.open("a").await;
}

#[tokio::test]
async fn a_host_without_address_is_named() {
    let rig = Rig::new().await;
    let mut config = rig.config("a");
    config.endpoint = Some("amqp://no-such-host.invalid:5672".to_owned());
    let error = refused(&rig, config).await;
    assert!(error.starts_with("there is no host \"amqp://no-such-host.invalid:5672\""), "{error}");
}

#[tokio::test]
async fn a_connection_string_that_does_not_fit_is_told_without_its_key() {
    let rig = Rig::new().await;
    let mut config = rig.config("a");
    let string = |text: &str| Auth::ConnectionString(Secret::new(text));
    config.auth =
        string("Endpoint=sb://localhost;SharedAccessKeyName=k;SharedAccessKey=s3cret;EntityPath=other");
    let error = refused(&rig, config.clone()).await;
    assert!(error.contains(r#"for event hub "other""#) && !error.contains("s3cret"), "{error}");
    config.auth = string("SharedAccessKeyName=k;SharedAccessKey=s3cret");
    let error = refused(&rig, config.clone()).await;
    assert!(error.contains("'Endpoint'") && !error.contains("s3cret"), "{error}");
    config.endpoint = None;
    config.auth = string("Endpoint=sb://fabrikam.example.net;SharedAccessKeyName=k;SharedAccessKey=s3cret");
    let error = refused(&rig, config).await;
    assert!(error.contains("fabrikam.example.net") && !error.contains("s3cret"), "{error}");
}
