//! The account of a run: every record that came in is in exactly one of these numbers.
//!
//! `records = events + control_plane + duplicates + sum(rejects)`.

use std::collections::BTreeMap;

use serde::Serialize;

/// Why a record became no row. The names are part of `--stats` and of dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectReason {
    /// The bytes are not JSON and not a log line either.
    NotJson,
    /// JSON that breaks off with a syntax error inside the record (single quotes, `[ 227 B blob ]`).
    MalformedJson,
    /// Valid JSON without anything that says what it is (no category, no log, no audit event).
    UnknownRecord,
    /// A record that says it is an audit event and holds none of an event's fields (`{"kind":0}`).
    NotAnAuditEvent,
    /// A JSON value where a record was expected (`records: [1, null, "x"]`).
    NotAnObject,
    /// A message cut before anything could be read from it.
    CutBeforeContent,
    /// One record over the size limit.
    TooLarge,
}

impl RejectReason {
    /// The name used in `--stats`, the summary and dead letters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::MalformedJson => "malformed_json",
            Self::UnknownRecord => "unknown_record",
            Self::NotAnAuditEvent => "not_an_audit_event",
            Self::NotAnObject => "not_an_object",
            Self::CutBeforeContent => "cut_before_content",
            Self::TooLarge => "too_large",
        }
    }
}

/// A record that became no row, with enough of it to find it again.
#[derive(Debug, Clone)]
pub struct Reject {
    pub reason: RejectReason,
    /// What exactly was wrong and at which byte of the record.
    pub detail: String,
    /// The record's bytes (at most 64 KiB of them).
    pub body: bytes::Bytes,
}

/// Counters of a batch or of a whole run; [`Counts::add`] adds one to the other.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Top-level JSON values or lines: hub messages where the input is hub messages.
    pub messages: u64,
    pub records: u64,
    /// Rows of `audit`, cut ones included.
    pub events: u64,
    /// Rows of `control_plane`.
    pub control_plane: u64,
    pub duplicates: u64,
    /// Rows of `audit` whose text was cut.
    pub truncated: u64,
    /// Events put together from the columns of a Log Analytics table, duplicates included.
    pub composed: u64,
    /// Events at level Metadata, which have no bodies, duplicates included.
    pub metadata: u64,
    /// Events whose record names no cluster, duplicates included.
    pub unnamed: u64,
    pub rejects: BTreeMap<RejectReason, u64>,
    /// Records by the category they carry; `""` for those that carry none.
    pub categories: BTreeMap<String, u64>,
    /// Smallest and largest event time of a row, microseconds since the epoch.
    pub first_event: Option<i64>,
    pub last_event: Option<i64>,
    /// Rows (both tables) by hour since the epoch.
    pub hours: BTreeMap<i64, u64>,
}

impl Counts {
    /// Adds another account to this one.
    pub fn add(&mut self, other: &Counts) {
        self.messages += other.messages;
        self.records += other.records;
        self.events += other.events;
        self.control_plane += other.control_plane;
        self.duplicates += other.duplicates;
        self.truncated += other.truncated;
        self.composed += other.composed;
        self.metadata += other.metadata;
        self.unnamed += other.unnamed;
        for (reason, n) in &other.rejects {
            *self.rejects.entry(*reason).or_default() += n;
        }
        for (name, n) in &other.categories {
            *self.categories.entry(name.clone()).or_default() += n;
        }
        for (hour, n) in &other.hours {
            *self.hours.entry(*hour).or_default() += n;
        }
        self.first_event = match (self.first_event, other.first_event) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.last_event = self.last_event.max(other.last_event);
    }

    /// Whether every record is accounted for.
    pub fn balanced(&self) -> bool {
        self.records
            == self.events + self.control_plane + self.duplicates + self.rejects.values().sum::<u64>()
    }
}
