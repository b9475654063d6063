//! One segment of the windows' journal: rows that windowed rules keep, and how far each partition was.
//!
//! Layout: a line of JSON (version, event times by partition), then portions as [`Engine::encode`] made
//! them, each behind its length in four bytes, little-endian.
//!
//! [`Engine::encode`]: crate::detect::Engine::encode

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::watermark::Mark;

const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    version: u32,
    /// How far each partition of the replica was.
    marks: BTreeMap<String, Mark>,
}

/// What goes into the next segment.
#[derive(Debug, Default)]
pub struct Draft {
    body: Vec<u8>,
}

/// A segment that was read.
#[derive(Debug)]
pub struct Segment {
    pub marks: BTreeMap<String, Mark>,
    pub portions: Vec<Bytes>,
}

#[derive(Debug, thiserror::Error)]
#[error("a segment of the windows' journal cannot be read: {0}")]
pub struct BrokenSegment(String);

impl Draft {
    pub fn push(&mut self, portion: &[u8]) {
        // A portion is one batch's rows; four gigabytes of them cannot come together.
        let length = u32::try_from(portion.len()).unwrap_or(u32::MAX);
        self.body.extend_from_slice(&length.to_le_bytes());
        self.body.extend_from_slice(portion);
    }

    pub fn len(&self) -> usize {
        self.body.len()
    }

    pub fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    /// The segment's bytes; the draft is empty afterwards.
    pub fn take(&mut self, marks: BTreeMap<String, Mark>) -> Bytes {
        let mut bytes = serde_json::to_vec(&Head { version: VERSION, marks }).unwrap_or_default();
        bytes.push(b'\n');
        bytes.append(&mut self.body);
        Bytes::from(bytes)
    }
}

impl Segment {
    /// Reads a segment; anything may stand in it.
    pub fn read(mut bytes: Bytes) -> Result<Segment, BrokenSegment> {
        let broken = |what: &str| BrokenSegment(what.to_owned());
        let end = memchr::memchr(b'\n', &bytes).ok_or_else(|| broken("it has no first line"))?;
        let head = bytes.split_to(end + 1);
        let head: Head = serde_json::from_slice(&head).map_err(|e| BrokenSegment(e.to_string()))?;
        if head.version != VERSION {
            return Err(BrokenSegment(format!("it is of version {}, not {VERSION}", head.version)));
        }
        let mut portions = Vec::new();
        while let Some((length, _)) = bytes.split_first_chunk::<4>() {
            let length = u32::from_le_bytes(*length) as usize;
            let mut portion = bytes.split_off(4);
            if portion.len() < length {
                return Err(broken("it ends inside a portion"));
            }
            bytes = portion.split_off(length);
            portions.push(portion);
        }
        if bytes.is_empty() {
            Ok(Segment { marks: head.marks, portions })
        } else {
            Err(broken("it ends inside a length"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_reads_back_and_a_broken_one_is_refused() {
        let mut draft = Draft::default();
        draft.push(b"one");
        draft.push(b"");
        draft.push(&[b'x'; 70_000]);
        let bytes = draft.take(BTreeMap::from([("0".to_owned(), (Some(17), false))]));
        assert!(draft.is_empty());
        let read = Segment::read(bytes.clone()).unwrap();
        assert_eq!(read.marks["0"], (Some(17), false));
        assert_eq!(read.portions, [Bytes::from_static(b"one"), Bytes::new(), vec![b'x'; 70_000].into()]);
        for end in (0..bytes.len()).step_by(997).chain([bytes.len() - 1]) {
            let cut = Segment::read(bytes.slice(..end));
            let whole_portions = cut.as_ref().is_ok_and(|cut| cut.portions.len() < 3);
            assert!(cut.is_err() || whole_portions, "cut at {end}");
        }
        assert!(Segment::read(Bytes::from_static(b"{\"version\":9,\"marks\":{}}\n")).is_err());
    }
}
