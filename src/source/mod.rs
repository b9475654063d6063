//! Where raw input comes from: files and folders, Event Hubs. A [`Source`] hands over messages with the
//! place they came from; [`Commit`] notes, later and elsewhere, that everything up to a place is done.

pub mod eventhubs;
pub mod files;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::OwnedSemaphorePermit;

use crate::event::{Partition, RawBatch, Span};

/// Messages of one partition.
#[derive(Debug)]
pub struct Received {
    pub raw: RawBatch,
    pub span: Span,
    /// When they were received, microseconds since the epoch.
    pub received: i64,
    /// Room taken in the source's budget of bytes; given back when this is dropped.
    pub room: Option<OwnedSemaphorePermit>,
}

/// What a source has to say.
#[derive(Debug)]
pub enum Incoming {
    /// All partitions there are, whoever reads them; comes before everything else.
    Partitions(Vec<Partition>),
    /// This process reads the partition from now on.
    Owned(Partition),
    Messages(Received),
    /// The partition is read by somebody else now: what was not committed comes again there.
    Lost(Partition),
}

/// An error of a source that it cannot get over by itself: wrong configuration, refused sign-in.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(pub String);

/// Where messages come from.
#[async_trait]
pub trait Source: Send {
    /// The next messages; `None` when there will never be more. Dropping the future loses nothing.
    /// Connections that break, links that die and servers that are away are the source's to get over.
    async fn next(&mut self) -> Result<Option<Incoming>, SourceError>;

    /// Whether the partition is known to have nothing that was not handed over. Only what the source
    /// was told says so; silence does not.
    fn is_idle(&self, partition: &str) -> bool;

    /// What keeps messages from coming, for a person; `None` where nothing does.
    fn trouble(&self) -> Option<String>;

    fn commits(&self) -> Arc<dyn Commit>;

    /// Stops reading and hands partitions back, for somebody else to take at once.
    async fn close(self: Box<Self>);
}

/// Notes how far everything is done.
#[async_trait]
pub trait Commit: Send + Sync {
    /// Everything up to the end of `span` is durable. Idempotent. `Ok(false)`: the partition is not ours
    /// any more and nothing was written.
    async fn commit(&self, span: &Span) -> Result<bool, SourceError>;
}
