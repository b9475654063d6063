//! Places in a partitioned log: what a source hands over beside the bytes, and what is committed.

use std::sync::Arc;

/// The id of a partition as the hub names it (`"0"`, `"1"`, …), or the path of a file.
pub type Partition = Arc<str>;

/// The last message taken from a partition; reading goes on behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Grows by one with each message of a hub; for a file, bytes read.
    pub sequence: i64,
    /// The hub's own name of the place; not always a number. Empty where there is none.
    pub offset: String,
    /// When the hub took the message, microseconds since the epoch; 0 where unknown.
    pub enqueued: i64,
}

/// Messages of one partition that follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub partition: Partition,
    /// Sequence number of the first message.
    pub first: i64,
    /// The last message.
    pub last: Position,
}
