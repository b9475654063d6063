//! Segments of bytes in order of their numbers, one sequence for each replica, and a snapshot that stands
//! for the segments before it. What the bytes mean is the writer's.

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{AT_ONCE, CheckpointError, escape, unescape};
use crate::store::Metadata;
use crate::store::Store;

/// One piece of a journal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Segment {
    pub replica: String,
    pub number: u64,
    pub bytes: u64,
}

/// The journal of a consumer group; clones share it.
#[derive(Debug, Clone)]
pub struct Journal {
    store: Store,
    /// `{namespace}/{hub}/{group}/aksentry`
    base: String,
}

impl Journal {
    pub(super) fn new(store: Store, base: String) -> Self {
        Self { store, base }
    }

    /// Writes a segment, durably. Repeating it with the same bytes is fine; with others it is refused.
    pub async fn append(&self, replica: &str, number: u64, content: Bytes) -> Result<(), CheckpointError> {
        let key = self.key(replica, number);
        if self.store.put_if_absent(&key, content.clone(), &Metadata::new()).await?.is_some() {
            return Ok(());
        }
        match self.store.get(&key).await? {
            Some((there, _)) if there == content => Ok(()),
            _ => Err(CheckpointError::SegmentExists { key }),
        }
    }

    /// All segments, by replica and number.
    pub async fn list(&self) -> Result<Vec<Segment>, CheckpointError> {
        let folder = format!("{}/journal", self.base);
        let objects = self.store.list(&folder).await?;
        let segment = |key: &str, bytes| {
            let (replica, number) = key.strip_prefix(&folder)?.strip_prefix('/')?.split_once('/')?;
            let number = u64::from_str_radix(number, 16).ok()?;
            // A name that we would not write is not ours.
            (self.key(&unescape(replica), number) == key).then(|| Segment {
                replica: unescape(replica),
                number,
                bytes,
            })
        };
        let mut segments: Vec<_> = objects.iter().filter_map(|o| segment(&o.key, o.bytes)).collect();
        segments.sort();
        Ok(segments)
    }

    /// The bytes of a segment; an error where it is gone.
    pub async fn read(&self, segment: &Segment) -> Result<Bytes, CheckpointError> {
        let key = self.key(&segment.replica, segment.number);
        match self.store.get(&key).await? {
            Some((content, _)) => Ok(content),
            None => Err(CheckpointError::SegmentGone { key }),
        }
    }

    /// Removes segments; those that are gone already are no error.
    pub async fn delete(&self, segments: &[Segment]) -> Result<(), CheckpointError> {
        let keys = segments.iter().map(|segment| self.key(&segment.replica, segment.number));
        // Each with a store of its own: a borrowed one keeps callers from being spawned.
        let keys: Vec<_> = keys.map(|key| (self.store.clone(), key)).collect();
        let deletes = stream::iter(keys).map(|(store, key)| async move { store.delete(&key).await });
        Ok(deletes.buffer_unordered(AT_ONCE).try_collect::<()>().await?)
    }

    /// The snapshot and its etag, if there is one.
    pub async fn read_snapshot(&self) -> Result<Option<(Bytes, String)>, CheckpointError> {
        Ok(self.store.get(&self.snapshot_key()).await?)
    }

    /// Writes the snapshot over the one that was read, or the first one; its etag. `None`: somebody else
    /// wrote it since.
    pub async fn write_snapshot(
        &self,
        content: Bytes,
        expected: Option<&str>,
    ) -> Result<Option<String>, CheckpointError> {
        let key = self.snapshot_key();
        let metadata = Metadata::new();
        let written = match expected {
            None => self.store.put_if_absent(&key, content.clone(), &metadata).await?,
            Some(etag) => self.store.put_if_match(&key, content.clone(), &metadata, etag).await?,
        };
        if written.is_some() {
            return Ok(written);
        }
        // A request that was sent again after a late answer is refused because of its own first copy.
        let there = self.store.get(&key).await?;
        Ok(there.filter(|(there, _)| *there == content).map(|(_, etag)| etag))
    }

    fn key(&self, replica: &str, number: u64) -> String {
        format!("{}/journal/{}/{number:016x}", self.base, escape(replica))
    }

    fn snapshot_key(&self) -> String {
        format!("{}/snapshot", self.base)
    }
}
