//! Where the next record starts behind, or inside, text that could not be read.
//!
//! Owns the judgement of what looks like the start of a record. A scan of a cut string may have
//! swallowed that start, so the search goes over text already read, too.

use super::klog;
use crate::event::json::Cursor;

/// The start of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    pub pos: usize,
    /// Where the text before it ends, without the newline or comma between.
    pub text_end: usize,
    /// Whether it is the next item of the same array; otherwise it stands at the top of the body.
    pub item: bool,
}

/// Keys that an envelope or a record begins with.
const KEYS: &[&[u8]] = &[
    b"records",
    b"time",
    b"Time",
    b"TimeGenerated",
    b"resourceId",
    b"ResourceId",
    b"category",
    b"Category",
    b"operationName",
    b"OperationName",
    b"properties",
    b"ccpNamespace",
    b"Cloud",
    b"Environment",
    b"UnderlayClass",
    b"UnderlayName",
    b"attrs",
    b"serviceBuild",
    b"TenantId",
    b"ActivityId",
    b"auditID",
];

/// The first record that starts at or behind `from` and before `to`.
pub fn find(bytes: &[u8], from: usize, to: usize) -> Option<Start> {
    let mut at = from;
    loop {
        let window = bytes.get(at..to.min(bytes.len()))?;
        let pos = at + memchr::memchr2(b'{', b'\n', window)?;
        at = pos + 1;
        let found = if bytes.get(pos) == Some(&b'\n') { log_line(bytes, pos) } else { object(bytes, pos) };
        if let Some(start) = found
            && start.pos >= from
            && start.pos < to
        {
            return Some(start);
        }
    }
}

/// Whether the object at `pos` is an envelope that starts a line.
pub fn is_next_message(bytes: &[u8], pos: usize) -> bool {
    pos > 0 && bytes.get(pos - 1) == Some(&b'\n') && first_key(bytes, pos) == Some(b"records")
}

/// A log line that starts behind the newline at `newline`.
fn log_line(bytes: &[u8], newline: usize) -> Option<Start> {
    let pos = newline + 1;
    let line = bytes.get(pos..)?;
    matches!(line.first()?, b'I' | b'W' | b'E' | b'F' | b'T').then_some(())?;
    let length = memchr::memchr(b'\n', line).unwrap_or(line.len());
    klog::is_line(line.get(..length)?).then_some(Start {
        pos,
        text_end: before_newline(bytes, newline),
        item: false,
    })
}

/// An object whose brace at `pos` stands at the start of a line or behind another object.
fn object(bytes: &[u8], pos: usize) -> Option<Start> {
    let before = bytes.get(..pos)?;
    let last = before.iter().rposition(|b| !b.is_ascii_whitespace())?;
    let behind = *bytes.get(last)?;
    let key = first_key(bytes, pos);
    let known = key.is_some_and(|k| KEYS.contains(&k) || k == b"kind" && is_event(bytes, pos));
    if before.last() == Some(&b'\n') && (known || behind != b':') {
        let item = behind == b',' && key != Some(b"records");
        let text_end = if item { last } else { before_newline(bytes, pos - 1) };
        return Some(Start { pos, text_end, item });
    }
    let object_before = bytes.get(..last)?.iter().rposition(|b| !b.is_ascii_whitespace());
    let follows = behind == b',' && object_before.and_then(|p| bytes.get(p)) == Some(&b'}');
    (follows && known).then_some(Start { pos, text_end: last, item: true })
}

fn before_newline(bytes: &[u8], newline: usize) -> usize {
    if newline > 0 && bytes.get(newline - 1) == Some(&b'\r') { newline - 1 } else { newline }
}

fn first_key(bytes: &[u8], pos: usize) -> Option<&[u8]> {
    let mut cursor = Cursor { bytes, pos: pos + 1 };
    (cursor.peek()? == b'"').then_some(())?;
    let rest = bytes.get(cursor.pos + 1..)?;
    let length = rest.iter().take(32).position(|b| *b == b'"')?;
    cursor.pos += length + 2;
    (cursor.peek()? == b':').then_some(())?;
    rest.get(..length)
}

fn is_event(bytes: &[u8], pos: usize) -> bool {
    let mut cursor = Cursor { bytes, pos: pos + 1 };
    let read = cursor.key().ok().flatten().and_then(|_| cursor.value().ok());
    read.and_then(|value| bytes.get(value)) == Some(b"\"Event\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_lines_or_items_with_a_known_key() {
        let cases: &[(&str, Option<(&str, bool)>)] = &[
            ("x\n{\"a\":1}", Some(("{\"a\":1}", false))),
            ("x\r\n{\"a\":1}", Some(("{\"a\":1}", false))),
            ("{\"properties\":\n{\"log\":1}}", None),
            ("{\"time\":\n{\"time\":1}}", Some(("{\"time\":1}}", false))),
            ("x},{\"time\":1}", Some(("{\"time\":1}", true))),
            ("x}, \n  { \"category\" : 1}", Some(("{ \"category\" : 1}", true))),
            ("x},\n{\"records\":[]}", Some(("{\"records\":[]}", false))),
            ("x},{\"kind\":\"Event\"}", Some(("{\"kind\":\"Event\"}", true))),
            ("x},{\"kind\":\"Pod\"}", None),
            ("x},{\"other\":1}", None),
            ("x\nI0109 21:24:54.475590 1 a.go:1] y", Some(("I0109 21:24:54.475590 1 a.go:1] y", false))),
        ];
        for (text, expected) in cases {
            let found = find(text.as_bytes(), 1, text.len()).map(|s| (text.get(s.pos..), s.item));
            assert_eq!(found, expected.map(|(t, item)| (Some(t), item)), "{text}");
        }
        assert_eq!(find(b"x\n{\"a\":1}", 1, 2), None, "the end of the window counts");
    }
}
