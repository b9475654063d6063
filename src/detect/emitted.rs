//! Ids of alerts that left, so that the next firing of the same alert is silent.
//!
//! Bounded: when there are many, the older half is forgotten. An alert that then leaves again has the
//! same id, and whoever delivers alerts knows it by that.

use std::collections::HashMap;

use super::codec::{Reader, SavedError, Writer};

/// Ids of one half.
const HALF: usize = 65_536;

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// From here on no firing has the id.
    end: i64,
    /// Whether its rule has a window or a baseline, whose state a snapshot keeps.
    stateful: bool,
}

/// Ids that left.
#[derive(Debug, Default)]
pub struct Emitted {
    young: HashMap<String, Entry>,
    old: HashMap<String, Entry>,
}

impl Emitted {
    /// Whether the id is new; it is known afterwards, until event time passes `end`.
    pub fn insert(&mut self, id: &str, end: i64, stateful: bool) -> bool {
        for half in [&mut self.young, &mut self.old] {
            if let Some(entry) = half.get_mut(id) {
                entry.end = entry.end.max(end);
                return false;
            }
        }
        if self.young.len() >= HALF {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(id.to_string(), Entry { end, stateful });
        true
    }

    /// Forgets ids that ended before `watermark`.
    pub fn forget(&mut self, watermark: i64) {
        for half in [&mut self.young, &mut self.old] {
            half.retain(|_, entry| entry.end >= watermark);
        }
    }

    /// Writes the ids of rules with state.
    pub fn save(&self, to: &mut Writer) {
        let kept: Vec<_> = self.old.iter().chain(&self.young).filter(|(_, entry)| entry.stateful).collect();
        to.count(kept.len());
        for (id, entry) in kept {
            to.text(id);
            to.i64(entry.end);
        }
    }

    /// The ids that [`Emitted::save`] wrote.
    pub fn read(from: &mut Reader) -> Result<Vec<(String, i64)>, SavedError> {
        (0..from.count(16)?).map(|_| Ok((from.text()?.to_string(), from.i64()?))).collect()
    }

    /// Adds ids of rules with state.
    pub fn extend(&mut self, ids: Vec<(String, i64)>) {
        for (id, end) in ids {
            self.insert(&id, end, true);
        }
    }
}
