//! A running Azurite, if `AKSENTRY_TEST_AZURITE` names one (`http://127.0.0.1:10000`), and the places a
//! store is tested on.

use aksentry::identity::Secret;
use aksentry::store::Environment;
use aksentry::store::Location;
use aksentry::store::Store;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use tempfile::TempDir;

/// The account every Azurite has, and its published key.
pub const ACCOUNT: &str = "devstoreaccount1";
pub const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Its endpoint with the account in the path.
#[expect(clippy::disallowed_methods, reason = "a test is told by the environment what runs beside it")]
pub fn endpoint() -> Option<String> {
    let text = std::env::var("AKSENTRY_TEST_AZURITE").ok().filter(|text| !text.is_empty())?;
    let text = text.trim_end_matches('/');
    Some(if text.ends_with(ACCOUNT) { text.to_owned() } else { format!("{text}/{ACCOUNT}") })
}

pub fn environment(endpoint: &str) -> Environment {
    Environment {
        account: Some(ACCOUNT.to_owned()),
        key: Some(Secret::new(KEY)),
        endpoint: Some(endpoint.to_owned()),
    }
}

/// Makes a container, which object_store cannot. `endpoint` has the account in its path.
pub async fn create_container(endpoint: &str, name: &str) {
    // Azurite checks the signature, not how long ago it was made.
    let date = "Mon, 23 Nov 2026 12:00:00 GMT";
    let version = "2021-08-06";
    let text = format!(
        "PUT{}x-ms-date:{date}\nx-ms-version:{version}\n/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container",
        "\n".repeat(12)
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(&STANDARD.decode(KEY).unwrap()).unwrap();
    mac.update(text.as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    let answer = reqwest::Client::new()
        .put(format!("{endpoint}/{name}?restype=container"))
        .header("x-ms-date", date)
        .header("x-ms-version", version)
        .header("Authorization", format!("SharedKey {ACCOUNT}:{signature}"))
        .header("Content-Length", "0")
        .send()
        .await
        .unwrap();
    let status = answer.status();
    assert!(status == 201 || status == 409, "{status}: {}", answer.text().await.unwrap());
}

/// Somewhere a store can be, empty, gone when dropped.
pub struct Place {
    pub location: Location,
    pub environment: Environment,
    _folder: Option<TempDir>,
}

impl Place {
    pub fn open(&self) -> Store {
        Store::open(&self.location, &self.environment).unwrap()
    }

    pub fn folder() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::Folder(folder.path().join("store"));
        Self { location, environment: Environment::default(), _folder: Some(folder) }
    }

    /// A new container; `None` where no Azurite runs.
    pub async fn container() -> Option<Self> {
        let endpoint = endpoint()?;
        let container = format!("test-{:08x}", fastrand::u32(..));
        create_container(&endpoint, &container).await;
        let location = Location::Azure { container, prefix: "some/prefix".to_owned() };
        Some(Self { location, environment: environment(&endpoint), _folder: None })
    }
}

/// A folder, and a container where Azurite runs.
pub async fn places() -> Vec<Place> {
    let mut places = vec![Place::folder()];
    match Place::container().await {
        Some(place) => places.push(place),
        None => eprintln!("AKSENTRY_TEST_AZURITE is not set: tested on a folder only"),
    }
    places
}
