//! The live service: messages in, alerts out, positions committed when everything they caused is durable.
//!
//! One thread ([`detect`]) decodes, filters and evaluates; everything that waits for a network is a task
//! beside it: the source reads ahead, [`commit`] makes groups durable in order, [`keeper`] holds the
//! lease on windows, the delivery empties the outbox. Queues between them are bounded. [`Live::run`]
//! wires them and begins again from the last commit where a step cannot go on.

mod commit;
mod detect;
mod figures;
mod keeper;
mod reload;
mod segment;
mod service;
mod watermark;
mod windows;

use bytes::Bytes;

use crate::detect::Engine;

pub use keeper::Applied;
pub use reload::{Adjust, RuleSet};
pub use service::{Archive, Live, LiveError, OpenSource, Parts};

/// How the pipeline is set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of this replica.
    pub replica: String,
    /// How long messages may wait for their commit.
    pub commit_every: std::time::Duration,
    /// How late a row may come and still be counted.
    pub lateness: chrono::TimeDelta,
    /// A lease on windows that did not change for so long is free.
    pub lease: std::time::Duration,
    /// Bytes the archive may have waiting before a commit is due.
    pub archive_pending: u64,
}

/// What reaches the detecting thread beside messages.
pub enum Control {
    /// Other rules from now on.
    Reload(Box<Engine>),
    /// This replica evaluates windows from now on, beginning with this state.
    Lead { state: Option<Bytes>, applied: Applied },
    /// Another replica does.
    Follow,
    /// Rows that another replica, or this one before it led, kept.
    Segment { replica: String, number: u64, bytes: Bytes },
    /// A group became durable; whether it had positions.
    Committed { positions: bool },
}
