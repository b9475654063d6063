//! How far each partition was worked off and who reads it, in a [`Store`].
//!
//! Blob names and metadata are those of the Azure SDKs, so that their tools see lag and owners:
//! `{namespace}/{hub}/{group}/checkpoint/{partition}` with `sequencenumber` and `offset`,
//! `…/ownership/{partition}` with `ownerid`, empty blobs, names in lower case. What is ours alone is under
//! `…/aksentry/`. Every write is conditional, so that of two replicas exactly one has its way; when a lease
//! is somebody else's to take is left to `source`.

mod journal;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::event::Partition;
use crate::event::Position;
use crate::store::Head;
use crate::store::Metadata;
use crate::store::Store;
use crate::store::StoreError;

pub use journal::{Journal, Segment};

const SEQUENCE: &str = "sequencenumber";
const OFFSET: &str = "offset";
const OWNER: &str = "ownerid";

/// Blobs looked at, at once; a listing has no metadata.
const AT_ONCE: usize = 16;

/// How often a write is tried again that another one got in front of.
const TRIES: usize = 8;

/// What can go wrong with positions, leases and the journal.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("checkpoint store: {0}")]
    Store(#[source] StoreError),
    #[error(
        "cannot read the position in {key}: {what}; correct it, or delete it to begin where the configuration says"
    )]
    Unreadable { key: String, what: String },
    #[error(
        "cannot write {key}: it is being written by somebody else all the time; is there a second service with the same consumer group?"
    )]
    Contended { key: String },
    #[error(
        "cannot append {key} to the journal: a segment of this number exists with other content; is there a second replica of this name?"
    )]
    SegmentExists { key: String },
    #[error("cannot read {key} of the journal: it is gone; another replica compacted it")]
    SegmentGone { key: String },
}

impl From<StoreError> for CheckpointError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What is leased: a partition, or being the one replica that does what only one may do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeaseName {
    Partition(Partition),
    Leader,
}

/// Who holds what, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub name: LeaseName,
    /// Empty = nobody.
    pub owner: String,
    pub etag: String,
    /// When it was last claimed or renewed by the store's clock, microseconds since the epoch.
    pub modified: i64,
}

/// Positions and leases of one consumer group.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    store: Store,
    /// `{namespace}/{hub}/{group}`
    base: String,
}

impl Checkpoints {
    /// The checkpoints of a consumer group; `namespace` is fully qualified.
    pub fn new(store: Store, namespace: &str, hub: &str, group: &str) -> Self {
        let parts = [namespace, hub, group].map(|part| escape(&part.to_lowercase()));
        Self { store, base: parts.join("/") }
    }

    /// All positions.
    pub async fn positions(&self) -> Result<BTreeMap<Partition, Position>, CheckpointError> {
        let heads = self.heads(&format!("{}/checkpoint", self.base)).await?;
        heads.into_iter().map(|(name, head)| Ok((Partition::from(name), position(&head)?))).collect()
    }

    /// The position of one partition, if it has one.
    pub async fn position(&self, partition: &str) -> Result<Option<Position>, CheckpointError> {
        self.store.head(&self.position_key(partition)).await?.map(|head| position(&head)).transpose()
    }

    /// Notes how far a partition was worked off. Never goes backwards: where a later position is stored
    /// nothing is written.
    pub async fn write_position(&self, partition: &str, position: &Position) -> Result<(), CheckpointError> {
        let key = self.position_key(partition);
        let metadata = Metadata::from([
            (SEQUENCE.to_owned(), position.sequence.to_string()),
            (OFFSET.to_owned(), position.offset.clone()),
        ]);
        for _ in 0..TRIES {
            let written = match self.store.head(&key).await? {
                None => self.store.put_if_absent(&key, Bytes::new(), &metadata).await?,
                Some(head) if self::position(&head)?.sequence >= position.sequence => return Ok(()),
                Some(head) => self.store.put_if_match(&key, Bytes::new(), &metadata, &head.etag).await?,
            };
            if written.is_some() {
                return Ok(());
            }
        }
        Err(CheckpointError::Contended { key })
    }

    /// Forgets a position: the hub was made anew and counts from the beginning again.
    pub async fn forget_position(&self, partition: &str) -> Result<(), CheckpointError> {
        Ok(self.store.delete(&self.position_key(partition)).await?)
    }

    /// All leases there are, also those nobody holds.
    pub async fn leases(&self) -> Result<Vec<Lease>, CheckpointError> {
        let found = self.heads(&format!("{}/ownership", self.base)).await?;
        let mut leases: Vec<Lease> =
            found.into_iter().map(|(name, head)| lease(LeaseName::Partition(name.into()), head)).collect();
        let leader = self.store.head(&self.lease_key(&LeaseName::Leader)).await?;
        leases.extend(leader.map(|head| lease(LeaseName::Leader, head)));
        Ok(leases)
    }

    /// Takes or renews a lease: makes it where `seen` is none, replaces it where it is still as seen.
    /// `None`: somebody was faster.
    pub async fn claim(
        &self,
        name: &LeaseName,
        owner: &str,
        seen: Option<&Lease>,
    ) -> Result<Option<Lease>, CheckpointError> {
        let key = self.lease_key(name);
        let metadata = Metadata::from([(OWNER.to_owned(), owner.to_owned())]);
        let etag = match seen {
            None => self.store.put_if_absent(&key, Bytes::new(), &metadata).await?,
            Some(seen) => self.store.put_if_match(&key, Bytes::new(), &metadata, &seen.etag).await?,
        };
        // Looked at again for the store's clock; and a request that was answered too late and sent again
        // meets its own first copy, so a refusal means nothing where the lease names us.
        let now = self.store.head(&key).await?.map(|head| lease(name.clone(), head));
        Ok(now.filter(|lease| etag.as_ref() == Some(&lease.etag) || lease.owner == owner))
    }

    /// Gives a lease back, if it is still as it was got.
    pub async fn release(&self, lease: &Lease) -> Result<(), CheckpointError> {
        let metadata = Metadata::from([(OWNER.to_owned(), String::new())]);
        let key = self.lease_key(&lease.name);
        self.store.put_if_match(&key, Bytes::new(), &metadata, &lease.etag).await?;
        Ok(())
    }

    /// Rows that must outlive a restart, shared by the replicas of this group.
    pub fn journal(&self) -> Journal {
        Journal::new(self.store.clone(), format!("{}/aksentry", self.base))
    }

    fn position_key(&self, partition: &str) -> String {
        format!("{}/checkpoint/{}", self.base, escape(partition))
    }

    fn lease_key(&self, name: &LeaseName) -> String {
        match name {
            LeaseName::Partition(partition) => format!("{}/ownership/{}", self.base, escape(partition)),
            // Not beside the partitions: other SDKs take everything there for one.
            LeaseName::Leader => format!("{}/aksentry/leader", self.base),
        }
    }

    /// Every blob right below a folder, by the name it stands for.
    async fn heads(&self, folder: &str) -> Result<Vec<(String, Head)>, CheckpointError> {
        let objects = self.store.list(folder).await?;
        let names = objects.into_iter().filter_map(|object| {
            let name = object.key.strip_prefix(folder)?.strip_prefix('/')?;
            (!name.contains('/')).then(|| (unescape(name), object.key.clone()))
        });
        // Each with a store of its own: a borrowed one keeps callers from being spawned.
        let names: Vec<_> = names.map(|(name, key)| (self.store.clone(), name, key)).collect();
        let looks = stream::iter(names).map(|(store, name, key)| async move {
            store.head(&key).await.map(|head| head.map(|head| (name, head)))
        });
        let found: Vec<Option<(String, Head)>> = looks.buffered(AT_ONCE).try_collect().await?;
        // What is gone since the listing was taken away by somebody.
        Ok(found.into_iter().flatten().collect())
    }
}

fn position(head: &Head) -> Result<Position, CheckpointError> {
    let sequence = head.metadata.get(SEQUENCE).map(|text| text.parse());
    let unreadable = |what: String| CheckpointError::Unreadable { key: head.object.key.clone(), what };
    match sequence {
        Some(Ok(sequence)) => {
            let offset = head.metadata.get(OFFSET).cloned().unwrap_or_default();
            Ok(Position { sequence, offset, enqueued: 0 })
        }
        Some(Err(_)) => Err(unreadable(format!("its {SEQUENCE} is not a number"))),
        None => Err(unreadable(format!("it has no {SEQUENCE}"))),
    }
}

fn lease(name: LeaseName, head: Head) -> Lease {
    let owner = head.metadata.get(OWNER).cloned().unwrap_or_default();
    Lease { name, owner, etag: head.etag, modified: head.object.modified }
}

/// One part of a key from any text; letters, digits and the marks that names of Azure have stay.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'$' => out.push(byte.into()),
            b'.' if at > 0 => out.push('.'),
            // Writing to a string does not fail. Not `%`, which URLs would escape again.
            _ => drop(write!(out, "!{byte:02x}")),
        }
    }
    out
}

fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        let hex = if byte == b'!' { behind.get(..2) } else { None };
        let value = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        out.push(value.unwrap_or(byte));
        rest = if value.is_some() { behind.get(2..).unwrap_or_default() } else { behind };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_is_one_part_of_a_key() {
        for text in
            ["0", "31", "$default", "x.servicebus.windows.net", "a/b", "..", ".x", "a!2fb", "ü ä", "!"]
        {
            let name = escape(text);
            assert_eq!(unescape(&name), text);
            assert!(!name.contains('/') && !name.starts_with('.'), "{name}");
        }
        assert_eq!(escape("x.servicebus.windows.net"), "x.servicebus.windows.net");
        assert_eq!(escape("$default"), "$default");
    }
}
