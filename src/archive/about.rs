//! What a file says of itself beside its rows, as JSON in its key-value metadata: rows that were cut,
//! records rejected while it was written, and the files it was merged from.
//!
//! A file that replaces others is the only word on that: who lists both reads the new one alone, so one
//! upload makes a merge true, whatever happens before the old files are gone.

use std::collections::BTreeMap;

use parquet::file::metadata::{KeyValue, ParquetMetaData};
use serde::{Deserialize, Serialize};

/// The key of the metadata.
const KEY: &str = "aksentry";

/// Hour since the epoch → reason → records.
pub type Rejected = BTreeMap<i64, BTreeMap<String, u64>>;

/// See the head of this file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The cluster all rows are of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Rows of `audit` whose record was cut.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cut: u64,
    /// Records that became no row, by the hour they were received in.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rejected: Rejected,
    /// Names of files of the same folder whose rows are here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl About {
    /// What the file says; nothing where it says nothing that can be read.
    pub fn of(metadata: &ParquetMetaData) -> Self {
        let pairs = metadata.file_metadata().key_value_metadata();
        let text = pairs.into_iter().flatten().find(|pair| pair.key == KEY).and_then(|p| p.value.as_ref());
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// As it is written into a file.
    pub(super) fn pair(&self) -> Option<KeyValue> {
        if *self == Self::default() {
            return None;
        }
        let text = serde_json::to_string(self).ok()?;
        Some(KeyValue::new(KEY.to_owned(), text))
    }

    /// Adds the records another file rejected.
    pub fn add_rejected(&mut self, other: &Rejected) {
        for (hour, reasons) in other {
            let here = self.rejected.entry(*hour).or_default();
            for (reason, n) in reasons {
                *here.entry(reason.clone()).or_default() += n;
            }
        }
    }
}
