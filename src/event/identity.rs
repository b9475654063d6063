//! What makes two rows the same thing: the one place that hashes a row's identity.
//!
//! The decoder gives each row its id, the archive's reader gives the same one from the row's columns.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// The id of an audit event: cluster, audit id and stage. `scratch` is memory to use again.
pub fn event_id(scratch: &mut Vec<u8>, cluster: Option<&[u8]>, audit_id: &[u8], stage: Option<&[u8]>) -> u64 {
    scratch.clear();
    for part in [cluster, Some(audit_id), stage] {
        // A separator that stands in no UTF-8 text keeps the parts apart.
        scratch.push(if part.is_some() { 0xFF } else { 0xFE });
        scratch.extend_from_slice(part.unwrap_or_default());
    }
    xxh3_64(scratch)
}

/// The id of what has no audit id: its own text, cluster and time (microseconds since the epoch).
pub fn text_id(scratch: &mut Vec<u8>, cluster: Option<&[u8]>, text: &[u8], time: Option<i64>) -> u64 {
    scratch.clear();
    scratch.extend_from_slice(&time.unwrap_or(i64::MIN).to_le_bytes());
    scratch.extend_from_slice(cluster.unwrap_or_default());
    xxh3_64_with_seed(text, xxh3_64(scratch))
}
