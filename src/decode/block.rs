//! The block of one batch: every string a column shows is a [`Span`] of it.
//!
//! Owns appending to it: copied, unescaped, lower-cased, closed after a cut. What is appended is made
//! valid UTF-8 at once, so spans that end at character borders are valid too. Leaves the columns to
//! `columns` and what the text means to `record` and `audit`.

use std::ops::Range;

use crate::event::json::{Cursor, Stop, unescape};

/// A place in the block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

impl Span {
    /// `None` where the place is beyond what a string view can point to.
    pub fn new(range: Range<usize>) -> Option<Self> {
        let (start, end) = (u32::try_from(range.start).ok()?, u32::try_from(range.end).ok()?);
        (start <= end).then_some(Self { start, end })
    }

    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Text of a batch while it is being built.
#[derive(Debug, Default)]
pub struct Block {
    pub bytes: Vec<u8>,
    words: Vec<(&'static str, Span)>,
    /// The last resource id as it was written, and its lower-cased copy.
    cluster: Option<(Vec<u8>, Span)>,
}

impl Block {
    /// Starts the next batch in `bytes`, whose content is dropped.
    pub fn reset(&mut self, mut bytes: Vec<u8>) {
        bytes.clear();
        self.bytes = bytes;
        self.words.clear();
        self.cluster = None;
    }

    /// The bytes at `span`.
    pub fn get(&self, span: Span) -> &[u8] {
        self.bytes.get(span.range()).unwrap_or_default()
    }

    /// A constant, kept once per batch.
    pub fn word(&mut self, word: &'static str) -> Option<Span> {
        if let Some((_, span)) = self.words.iter().find(|(known, _)| *known == word) {
            return Some(*span);
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(word.as_bytes());
        let span = Span::new(start..self.bytes.len())?;
        self.words.push((word, span));
        Some(span)
    }

    /// Appends `text` as it stands.
    pub fn copy(&mut self, text: &[u8]) -> Option<Span> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(text);
        self.seal(start)
    }

    /// Appends the unescaped form of a string's inside.
    pub fn unescaped(&mut self, text: &[u8]) -> Option<Span> {
        let start = self.bytes.len();
        unescape(text, &mut self.bytes);
        self.seal(start)
    }

    /// Consumes a string and appends its unescaped form; of a cut one what came before the cut.
    pub fn string(&mut self, cursor: &mut Cursor<'_>) -> (Option<Span>, Result<(), Stop>) {
        let start = self.bytes.len();
        let read = cursor.string_into(&mut self.bytes);
        (self.seal(start), read)
    }

    /// A short string that mostly repeats: the same place again if `last` holds the same text.
    pub fn repeated(&mut self, text: &[u8], last: Option<Span>) -> Option<Span> {
        if let Some(span) = last
            && self.get(span) == text
        {
            return last;
        }
        self.unescaped(text)
    }

    /// The resource id in lower case; the same place again for the same bytes.
    pub fn cluster(&mut self, text: &[u8]) -> Option<Span> {
        if let Some((raw, span)) = &self.cluster
            && raw == text
        {
            return Some(*span);
        }
        let span = self.unescaped(text)?;
        if let Some(bytes) = self.bytes.get_mut(span.range()) {
            bytes.make_ascii_lowercase();
        }
        let mut raw = self.cluster.take().map(|(raw, _)| raw).unwrap_or_default();
        raw.clear();
        raw.extend_from_slice(text);
        self.cluster = Some((raw, span));
        Some(span)
    }

    /// Makes what was appended since `start` valid UTF-8 and gives its place.
    fn seal(&mut self, start: usize) -> Option<Span> {
        let added = self.bytes.get(start..)?;
        if simdutf8::basic::from_utf8(added).is_err() {
            let repaired = String::from_utf8_lossy(added).into_owned();
            self.bytes.truncate(start);
            self.bytes.extend_from_slice(repaired.as_bytes());
        }
        Span::new(start..self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_text_is_stored_once_and_bad_bytes_are_replaced() {
        let mut block = Block::default();
        let first = block.cluster(b"/SUBSCRIPTIONS/A");
        assert_eq!(block.cluster(b"/SUBSCRIPTIONS/A"), first);
        assert_eq!(first.map(|s| block.get(s).to_vec()), Some(b"/subscriptions/a".to_vec()));
        let word = block.word("info");
        assert_eq!(block.word("info"), word);
        let length = block.bytes.len();
        let category = block.repeated(b"guard", None);
        assert_eq!(block.repeated(b"guard", category), category);
        assert_eq!(block.bytes.len(), length + 5);
        let bad = block.copy(b"a\xFFb");
        assert_eq!(bad.map(|s| block.get(s).to_vec()), Some("a\u{FFFD}b".as_bytes().to_vec()));
    }
}
