//! The places a store is tested on: a folder, and a container of Azurite.

use aksentry::identity::Secret;
use aksentry::store::Environment;
use aksentry::store::Location;
use aksentry::store::Store;
use tempfile::TempDir;

use crate::support::azurite::Azurite;

/// The environment that names Azurite.
pub fn environment() -> Environment {
    let azurite = Azurite::shared();
    Environment {
        account: Some(azurite.account.to_owned()),
        key: Some(Secret::new(azurite.key)),
        endpoint: Some(azurite.endpoint.clone()),
    }
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

    /// A new container.
    pub fn container() -> Self {
        let container = format!("test-{:08x}", fastrand::u32(..));
        Azurite::shared().create_container(&container);
        let location = Location::Azure { container, prefix: "some/prefix".to_owned() };
        Self { location, environment: environment(), _folder: None }
    }
}

/// One of each.
pub fn places() -> [Place; 2] {
    [Place::folder(), Place::container()]
}
