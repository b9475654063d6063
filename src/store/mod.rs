//! Object storage by URL: `az://container/prefix` and `file:///folder`.
//!
//! A [`Store`] does the same on both: whole objects, written so that a reader sees the old one or the new
//! one and never half of one, with conditional writes and with small metadata. Keys are paths below the
//! location, `a/b/c`. An object can be put aside: out of sight, and still there for those who listed it before.
//! Every wait has an end. What the objects mean is left to `checkpoint` and `archive`.

mod aside;
mod azure;
mod blob;
mod environment;
mod error;
mod folder;
mod location;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;

pub use aside::{is_aside, open_file};
pub use blob::{Blob, Stream, wait};
pub use environment::Environment;
pub use error::StoreError;
pub use location::{Location, LocationError};

/// Small text values kept with an object; names in lower case, values printable ASCII.
pub type Metadata = BTreeMap<String, String>;

/// An object as listings show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    pub key: String,
    pub bytes: u64,
    /// When it was written by the store's own clock, microseconds since the epoch (on Azure whole seconds).
    pub modified: i64,
}

/// An object without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub object: Object,
    /// Changes with every write; what [`Store::put_if_match`] wants to see.
    pub etag: String,
    pub metadata: Metadata,
}

/// Under which condition a write takes place.
#[derive(Debug, Clone, Copy)]
enum Condition<'a> {
    Always,
    Absent,
    Match(&'a str),
}

/// An open location; clones share it.
#[derive(Debug, Clone)]
pub struct Store(Backend);

#[derive(Debug, Clone)]
enum Backend {
    Azure(azure::Container),
    Folder(folder::Folder),
}

impl Store {
    /// Opens a location. A folder is made where there is none; a container must exist, which the first
    /// operation finds out.
    pub fn open(location: &Location, environment: &Environment) -> Result<Store, StoreError> {
        Ok(Store(match location {
            Location::Azure { container, prefix } => {
                Backend::Azure(azure::Container::open(container, prefix, environment)?)
            }
            Location::Folder(path) => Backend::Folder(folder::Folder::open(path)?),
        }))
    }

    /// Whether the location can be read, for those who want to know before they need it.
    pub async fn probe(&self) -> Result<(), StoreError> {
        match &self.0 {
            Backend::Azure(container) => container.probe().await,
            Backend::Folder(folder) => folder.folders("").await.map(drop),
        }
    }

    /// Writes an object, over what was there; its etag.
    pub async fn put(&self, key: &str, content: Bytes, metadata: &Metadata) -> Result<String, StoreError> {
        match self.write(key, content, metadata, Condition::Always).await? {
            Some(etag) => Ok(etag),
            None => Err(StoreError::failed("write", key, "the store refused an unconditional write")),
        }
    }

    /// Writes an object that is not there yet; `None` where it is.
    pub async fn put_if_absent(
        &self,
        key: &str,
        content: Bytes,
        metadata: &Metadata,
    ) -> Result<Option<String>, StoreError> {
        self.write(key, content, metadata, Condition::Absent).await
    }

    /// Writes over the object that has this etag; `None` where it was written again since, or is gone.
    pub async fn put_if_match(
        &self,
        key: &str,
        content: Bytes,
        metadata: &Metadata,
        etag: &str,
    ) -> Result<Option<String>, StoreError> {
        self.write(key, content, metadata, Condition::Match(etag)).await
    }

    async fn write(
        &self,
        key: &str,
        content: Bytes,
        metadata: &Metadata,
        condition: Condition<'_>,
    ) -> Result<Option<String>, StoreError> {
        check_metadata(key, metadata)?;
        match &self.0 {
            Backend::Azure(container) => container.write(key, content, metadata, condition).await,
            Backend::Folder(folder) => folder.write(key, content, metadata, condition).await,
        }
    }

    /// The content of an object and its etag, if there is one.
    pub async fn get(&self, key: &str) -> Result<Option<(Bytes, String)>, StoreError> {
        match &self.0 {
            Backend::Azure(container) => container.get(key).await,
            Backend::Folder(folder) => folder.get(key).await,
        }
    }

    /// Bytes of an object, which must have so many, also if it was put aside.
    pub async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        let wanted = range.end.saturating_sub(range.start);
        let bytes = match self.read_range(key, range.clone()).await {
            Err(_) if !is_aside(key) && self.head(key).await?.is_none() => {
                let aside = aside::key(key);
                if self.head(&aside).await?.is_none() {
                    return Err(StoreError::failed("read", key, aside::GONE));
                }
                self.read_range(&aside, range).await?
            }
            read => read?,
        };
        if bytes.len() as u64 != wanted {
            let found = format!("{} bytes where {wanted} should be", bytes.len());
            return Err(StoreError::failed("read", key, found));
        }
        Ok(bytes)
    }

    async fn read_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        match &self.0 {
            Backend::Azure(container) => container.get_range(key, range).await,
            Backend::Folder(folder) => folder.get_range(key, range).await,
        }
    }

    /// An object without its content, if there is one.
    pub async fn head(&self, key: &str) -> Result<Option<Head>, StoreError> {
        match &self.0 {
            Backend::Azure(container) => container.head(key).await,
            Backend::Folder(folder) => folder.head(key).await,
        }
    }

    /// Everything in a folder and the folders below it that was not put aside, in order of keys. `""` is the
    /// whole location.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Object>, StoreError> {
        Ok(self.list_all(prefix).await?.0)
    }

    /// The same, and beside it what was put aside, by the keys it has now; its time is when that was.
    pub async fn list_all(&self, prefix: &str) -> Result<(Vec<Object>, Vec<Object>), StoreError> {
        let mut objects = match &self.0 {
            Backend::Azure(container) => container.list(prefix).await?,
            Backend::Folder(folder) => folder.list(prefix).await?,
        };
        objects.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(objects.into_iter().partition(|object| !is_aside(&object.key)))
    }

    /// Takes an object out of the listings. Who listed it before still reads it by its key, until somebody
    /// deletes it by its new one. One that is not there was moved already.
    pub async fn put_aside(&self, key: &str) -> Result<(), StoreError> {
        let to = aside::key(key);
        match &self.0 {
            Backend::Azure(container) => container.rename(key, &to).await,
            Backend::Folder(folder) => folder.rename(key, &to).await,
        }
    }

    /// The keys of the folders right below a folder, in order and without a slash at their end.
    pub async fn folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let mut folders = match &self.0 {
            Backend::Azure(container) => container.folders(prefix).await?,
            Backend::Folder(folder) => folder.folders(prefix).await?,
        };
        folders.sort();
        Ok(folders)
    }

    /// Removes an object; one that is not there is removed already.
    pub async fn delete(&self, key: &str) -> Result<(), StoreError> {
        match &self.0 {
            Backend::Azure(container) => container.delete(key).await,
            Backend::Folder(folder) => folder.delete(key).await,
        }
    }

    /// Makes a file of this machine's disk an object, over what was there. The file stays.
    pub async fn upload_file(&self, path: &Path, key: &str) -> Result<(), StoreError> {
        match &self.0 {
            Backend::Azure(container) => container.upload(path, key).await,
            Backend::Folder(folder) => folder.copy_in(path, key).await,
        }
    }

    /// The same, and the file is gone afterwards. May be repeated: a file that is gone while the object is
    /// there was moved before.
    pub async fn move_file(&self, path: &Path, key: &str) -> Result<(), StoreError> {
        let present = tokio::fs::try_exists(path).await;
        if !present.map_err(|e| StoreError::failed("read", path.display(), e))? {
            return match self.head(key).await? {
                Some(_) => Ok(()),
                None => Err(StoreError::failed("publish", path.display(), "the file is gone")),
            };
        }
        match &self.0 {
            Backend::Azure(container) => {
                container.upload(path, key).await?;
                tokio::fs::remove_file(path)
                    .await
                    .map_err(|e| StoreError::failed("remove", path.display(), e))
            }
            Backend::Folder(folder) => folder.move_in(path, key).await,
        }
    }
}

/// Metadata travels in HTTP headers; what does not fit there is refused on folders too.
fn check_metadata(key: &str, metadata: &Metadata) -> Result<(), StoreError> {
    for (name, value) in metadata {
        let good_name = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !good_name || !value.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            let what = format!("metadata \"{name}\" is not plain ASCII text");
            return Err(StoreError::failed("write", key, what));
        }
    }
    Ok(())
}
