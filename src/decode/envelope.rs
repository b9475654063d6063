//! A body to its records: one value after another, arrays, envelopes, lines of text, and getting over
//! what is broken.
//!
//! Owns the count of messages and the promise that one bad record never costs its neighbours. What a
//! record's keys mean is `record`'s business; where the next one starts after trouble is `resync`'s.

use bytes::Bytes;

use super::record::{Halt, Record};
use super::resync::{self, Start};
use super::{Decoder, klog};
use crate::event::RejectReason;
use crate::event::json::{Cursor, Stop};

/// Where reading goes on after a value.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    /// At this byte, in the same array.
    Next(usize),
    /// Nowhere: the body is used up.
    End,
    /// At this byte, at the top of the body.
    Top(usize),
}

/// Envelopes inside envelopes beyond this depth are read as plain values.
pub const MAX_NESTING: usize = 4;

/// The block grows to a few times a body in the worst case and must stay below 4 GiB.
const GROWTH: usize = 8;

const BOM: &[u8] = b"\xEF\xBB\xBF";

impl Decoder {
    /// Decodes one body.
    pub(super) fn body(&mut self, body: &Bytes) {
        let used = self.block.bytes.len();
        if body.len().saturating_mul(GROWTH).saturating_add(used) > u32::MAX as usize {
            self.counts.messages += 1;
            let detail = format!("{} bytes do not fit into a batch that holds {used}", body.len());
            self.reject(body, 0..body.len(), RejectReason::TooLarge, detail, None);
            return;
        }
        let mut pos = 0;
        while let Some(&first) = body.get(pos) {
            if body.get(pos..).is_some_and(|rest| rest.starts_with(BOM)) {
                pos += BOM.len();
                continue;
            }
            // Commas and closing brackets between values are left over from broken neighbours.
            if first.is_ascii_whitespace() || matches!(first, b',' | b']' | b'}' | 0) {
                pos += 1;
                continue;
            }
            self.counts.messages += 1;
            let step = match first {
                b'{' => self.object(body, pos, body.len(), false, 0),
                b'[' => self.array(body, pos, body.len(), 0),
                _ => Step::Next(self.line(body, pos)),
            };
            // Progress is certain, but cheap to make sure of.
            pos = match step {
                Step::Next(next) | Step::Top(next) => next.max(pos + 1),
                Step::End => return,
            };
        }
    }

    /// An object at `start`: an envelope or a record. `in_array` says whether siblings may follow.
    pub(super) fn object(
        &mut self,
        body: &Bytes,
        start: usize,
        end: usize,
        in_array: bool,
        depth: usize,
    ) -> Step {
        let before = self.counts.records;
        let mut record = Record::default();
        let mut cursor = Cursor { bytes: body.get(..end).unwrap_or(body), pos: start };
        let stop = match self.keys(body, &mut cursor, &mut record, depth) {
            Ok(()) => {
                if !record.envelope {
                    self.record(body, start..cursor.pos, &record, false, depth);
                }
                return Step::Next(cursor.pos);
            }
            Err(Halt::Top(next)) => return Step::Top(next),
            Err(Halt::Stop(stop)) => stop,
        };
        let step =
            |next: Start| if in_array && !next.item { Step::Top(next.pos) } else { Step::Next(next.pos) };

        if record.envelope {
            return match stop {
                Stop::Cut => {
                    if self.counts.records == before {
                        let detail = format!("the message ends at byte {}", end - start);
                        self.reject(body, start..end, RejectReason::CutBeforeContent, detail, None);
                    }
                    Step::End
                }
                Stop::Bad(at) => {
                    let next = resync::find(body, at, end);
                    let text_end = next.map_or(end, |n| n.text_end);
                    let left = body.get(at..text_end).unwrap_or_default();
                    if !left.trim_ascii().is_empty() {
                        let detail = format!("syntax error at byte {} of the message", at - start);
                        self.reject(body, at..text_end, RejectReason::MalformedJson, detail, None);
                    }
                    next.map_or(Step::End, step)
                }
            };
        }

        let limit = match stop {
            Stop::Cut => end,
            Stop::Bad(at) => (at + 1).min(end),
        };
        if let Some(next) = resync::find(body, start + 1, limit) {
            self.broken_off(body, start, next.text_end, depth);
            return step(next);
        }
        match stop {
            Stop::Cut => {
                self.record(body, start..end, &record, true, depth);
                Step::End
            }
            Stop::Bad(at) => {
                let next = resync::find(body, at + 1, end);
                let text_end = next.map_or(end, |n| n.text_end);
                self.malformed(body, start..text_end, at, record.category);
                next.map_or(Step::End, step)
            }
        }
    }

    /// A record whose text ends at `end` because another one starts there.
    fn broken_off(&mut self, body: &Bytes, start: usize, end: usize, depth: usize) {
        let mut record = Record::default();
        let mut cursor = Cursor { bytes: body.get(..end).unwrap_or(body), pos: start };
        match self.keys(body, &mut cursor, &mut record, depth) {
            Ok(()) if record.envelope => {}
            Ok(()) => self.record(body, start..end, &record, false, depth),
            Err(Halt::Stop(Stop::Cut)) if !record.envelope => {
                self.record(body, start..end, &record, true, depth)
            }
            Err(Halt::Stop(Stop::Bad(at))) => self.malformed(body, start..end, at, record.category),
            Err(_) => {}
        }
    }

    /// An array at `start`, its items being records.
    pub(super) fn array(&mut self, body: &Bytes, start: usize, end: usize, depth: usize) -> Step {
        let before = self.counts.records;
        let bytes = body.get(..end).unwrap_or(body);
        let mut cursor = Cursor { bytes, pos: start + 1 };
        loop {
            match cursor.item() {
                Ok(true) => {}
                Ok(false) => return Step::Next(cursor.pos),
                // A comma too many.
                Err(Stop::Bad(at)) => return Step::Next(at + 1),
                Err(Stop::Cut) => {
                    if self.counts.records == before {
                        let detail = format!("the message ends at byte {}", end - start);
                        self.reject(body, start..end, RejectReason::CutBeforeContent, detail, None);
                    }
                    return Step::End;
                }
            }
            // The next message behind one that was cut between two records.
            if depth > 0 && cursor.peek() == Some(b'{') && resync::is_next_message(bytes, cursor.pos) {
                if self.counts.records == before {
                    let detail = format!("the message ends at byte {}", cursor.pos - start);
                    self.reject(body, start..cursor.pos, RejectReason::CutBeforeContent, detail, None);
                }
                return Step::Top(cursor.pos);
            }
            let step = if cursor.peek() == Some(b'{') {
                self.object(body, cursor.pos, end, true, depth + 1)
            } else {
                self.odd_item(body, cursor.pos, end)
            };
            match step {
                Step::Next(next) => cursor.pos = next.max(cursor.pos + usize::from(next <= cursor.pos)),
                other => return other,
            }
        }
    }

    /// An item of an array that is not an object.
    fn odd_item(&mut self, body: &Bytes, start: usize, end: usize) -> Step {
        let bytes = body.get(..end).unwrap_or(body);
        let mut cursor = Cursor { bytes, pos: start };
        let stop = match cursor.value() {
            Ok(range) => match cursor.peek() {
                None | Some(b',' | b']') => {
                    let detail = format!("{} where a record was expected", kind_of(bytes.get(start)));
                    self.reject(body, range, RejectReason::NotAnObject, detail, None);
                    return Step::Next(cursor.pos);
                }
                Some(_) => Stop::Bad(cursor.pos),
            },
            Err(stop) => stop,
        };
        let Stop::Bad(at) = stop else {
            let detail = format!("the message ends inside {}", kind_of(bytes.get(start)));
            self.reject(body, start..end, RejectReason::CutBeforeContent, detail, None);
            return Step::End;
        };
        // Up to the next record, or to what may close the array.
        let next = resync::find(bytes, at, end);
        let limit = next.map_or(end, |n| n.text_end);
        let close = bytes.get(at..limit).and_then(|text| memchr::memchr(b']', text)).map(|n| at + n);
        match (close, next) {
            (Some(close), next) if next.is_none_or(|n| !n.item) => {
                self.malformed(body, start..close, at, None);
                Step::Next(close)
            }
            (_, Some(next)) => {
                self.malformed(body, start..next.text_end, at, None);
                if next.item { Step::Next(next.pos) } else { Step::Top(next.pos) }
            }
            (_, None) => {
                self.malformed(body, start..end, at, None);
                Step::End
            }
        }
    }

    /// Text at the top of a body that is neither object nor array. Gives where the next line starts.
    fn line(&mut self, body: &Bytes, start: usize) -> usize {
        let rest = body.get(start..).unwrap_or_default();
        let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let text = rest.get(..length).unwrap_or(rest);
        let line = text.strip_suffix(b"\r").unwrap_or(text);
        if klog::is_line(line) {
            let raw = self.block.copy(line);
            self.control_row(&Record::default(), raw, true);
            return start + length + 1;
        }
        let mut cursor = Cursor::new(line);
        let (reason, detail) = if cursor.value().is_ok() && cursor.peek().is_none() {
            let detail = format!("{} where a record was expected", kind_of(line.first()));
            (RejectReason::NotAnObject, detail)
        } else {
            (RejectReason::NotJson, "neither JSON nor a log line at byte 0".to_owned())
        };
        self.reject(body, start..start + line.len(), reason, detail, None);
        start + length + 1
    }
}

fn kind_of(first: Option<&u8>) -> &'static str {
    match first {
        Some(b'"') => "a string",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}
