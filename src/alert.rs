//! The alert: what it says, how it is identified, how severe it is.
//!
//! Its JSON form is part of the contract with consumers: field names and order stay as they are.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How urgent an alert is, least urgent first so that comparison works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Informational,
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    /// All severities, most urgent first.
    pub const ALL: [Severity; 5] =
        [Severity::Critical, Severity::High, Severity::Medium, Severity::Low, Severity::Informational];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Severity {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|v| v.as_str() == s).ok_or_else(|| {
            format!("unknown severity \"{s}\"; use critical, high, medium, low or informational")
        })
    }
}

/// Whether a rule's alerts are sent. `draft` rules are checked and not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Draft,
    Shadow,
    Stable,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Shadow => "shadow",
            Self::Stable => "stable",
        }
    }
}

/// A JSON object that keeps the order of its keys.
pub type Object = serde_json::Map<String, serde_json::Value>;

/// One alert. Times are RFC 3339 in UTC with microseconds trimmed of trailing zeros.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Stable: the same events give the same id live, replayed and after a crash.
    pub id: String,
    pub rule: String,
    pub title: String,
    pub severity: Severity,
    pub status: Status,
    pub cluster: Option<String>,
    /// The values of the rule's key columns.
    pub key: Object,
    pub summary: String,
    /// True number of events; `audit_ids` holds at most [`MAX_AUDIT_IDS`] of them.
    pub count: u64,
    pub first_seen: Option<String>,
    pub last_seen: Option<String>,
    pub attack: Vec<String>,
    pub tactic: String,
    pub audit_ids: Vec<String>,
    pub evidence: Object,
    pub replayed: bool,
}

/// How many audit ids an alert carries at most.
pub const MAX_AUDIT_IDS: usize = 50;

/// Hashes the parts that identify an alert into 32 hex digits. Parts are length-prefixed, so no two
/// different lists of parts give the same text.
pub fn alert_id<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().take(16).map(|b| format!("{b:02x}")).collect()
}
