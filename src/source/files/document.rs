//! Where JSON values end that are not one a line: pretty-printed objects, and documents far larger
//! than memory should hold.
//!
//! [`Document`] walks brackets and strings as bytes arrive and keeps nothing but its position. It
//! judges structure only as far as finding the end needs: what lies between brackets may be any
//! nonsense, a closing bracket closes whatever was left open inside, and a record that was cut in the
//! middle of a line is noticed when the next line begins a new one. Whether a value makes sense is the
//! decoder's business.

use std::ops::Range;

use memchr::{memchr_iter, memchr3};

/// Brackets deeper than this are not tracked: such text is handed on line by line.
const MAX_DEPTH: usize = 10_000;

/// What was found; positions are in the buffer given to [`Document::step`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A complete value.
    Value(Range<usize>),
    /// A value that was cut at the end of a line; from the end of the range on there are lines.
    Cut(Range<usize>),
    /// From here on there are lines.
    Lines(usize),
    /// The buffer ends before anything is complete.
    More,
}

/// The scan of one document. Its positions move with the buffer, see [`Document::drop_front`].
#[derive(Debug, Default)]
pub(super) struct Document {
    /// Open brackets, the innermost last. The first `base` belong to containers that were taken apart.
    open: Vec<u8>,
    base: usize,
    in_string: bool,
    escaped: bool,
    /// The last byte outside strings that is not white space.
    last: u8,
    at: usize,
    /// Where the value that is being scanned begins.
    start: Option<usize>,
    /// Whether that value runs over more than one line.
    multiline: bool,
    /// A top-level value ended here; what follows it decides between document and lines.
    ended: Option<usize>,
    /// The value was too large and its first part handed on: find its end, hand on no more of it.
    skipping: bool,
    /// The value cannot be taken apart.
    whole: bool,
}

impl Document {
    pub(super) fn new(at: usize) -> Self {
        Self { at, ..Self::default() }
    }

    /// Everything before this position is done with.
    pub(super) fn needed_from(&self) -> usize {
        if self.skipping { self.at } else { self.start.unwrap_or(self.at) }
    }

    /// The value that is not complete yet, unless it is being skipped.
    pub(super) fn pending(&self) -> Option<usize> {
        self.start.filter(|_| !self.skipping)
    }

    /// The caller dropped this many bytes from the front of the buffer.
    pub(super) fn drop_front(&mut self, count: usize) {
        self.at -= count.min(self.at);
        self.start = self.start.map(|s| s.saturating_sub(count));
        self.ended = self.ended.map(|e| e.saturating_sub(count));
    }

    /// Hands on no more of the value that is being scanned.
    pub(super) fn skip_value(&mut self) {
        self.skipping = true;
    }

    /// Goes on until something is complete. `end` says that the buffer ends with the file.
    pub(super) fn step(&mut self, buffer: &[u8], end: bool) -> Step {
        if let Some(step) = self.after_value(buffer, end) {
            return step;
        }
        while let Some(&byte) = buffer.get(self.at) {
            if self.in_string {
                if let Some(step) = self.string(buffer, end) {
                    return step;
                }
                continue;
            }
            if self.start.is_none() && !self.in_rest() {
                match byte {
                    b' ' | b'\t' | b'\r' | b'\n' | b',' => {
                        self.at += 1;
                        continue;
                    }
                    b'{' | b'[' => self.begin(),
                    b']' | b'}' if self.base > 0 => {}
                    _ if self.base == 0 => return Step::Lines(self.at),
                    _ => self.begin(),
                }
            }
            match byte {
                b'"' => {
                    self.in_string = true;
                    self.last = byte;
                }
                b'{' | b'[' => {
                    if self.open.len() >= MAX_DEPTH {
                        return Step::Lines(self.needed_from());
                    }
                    self.open.push(byte);
                    self.last = byte;
                }
                b'}' | b']' => {
                    if let Some(ended) = self.close(byte) {
                        if self.base == 0 && !self.multiline && !self.whole {
                            self.ended = Some(ended.end);
                            return self.after_value(buffer, end).unwrap_or(Step::More);
                        }
                        if let Some(range) = self.finish(ended) {
                            return Step::Value(range);
                        }
                    }
                    continue;
                }
                b',' if self.open.len() == self.base && self.start.is_some() => {
                    let ended = self.start.unwrap_or(self.at)..self.at;
                    self.at += 1;
                    match self.finish(ended) {
                        Some(range) => return Step::Value(range),
                        None => continue,
                    }
                }
                b'\n' => {
                    if let Some(step) = self.line_end(buffer, end) {
                        return step;
                    }
                }
                b' ' | b'\t' | b'\r' => {}
                _ => self.last = byte,
            }
            self.at += 1;
        }
        Step::More
    }

    /// Between the end of an array that was taken apart and the end of the object it stood in.
    fn in_rest(&self) -> bool {
        self.base > 0 && self.open.get(self.base - 1) == Some(&b'{')
    }

    fn begin(&mut self) {
        self.start = Some(self.at);
        self.multiline = false;
        self.whole = false;
        self.skipping = false;
    }

    /// The value is over; its range, unless its first part was handed on before.
    fn finish(&mut self, range: Range<usize>) -> Option<Range<usize>> {
        self.start = None;
        self.whole = false;
        (!std::mem::take(&mut self.skipping)).then_some(range)
    }

    /// Inside a string, up to its end or the end of the buffer.
    fn string(&mut self, buffer: &[u8], end: bool) -> Option<Step> {
        if std::mem::take(&mut self.escaped) {
            self.at += 1;
            return None;
        }
        let rest = buffer.get(self.at..).unwrap_or_default();
        let Some(found) = memchr3(b'"', b'\\', b'\n', rest) else {
            self.at = buffer.len();
            return None;
        };
        self.at += found;
        match buffer.get(self.at) {
            Some(b'"') => self.in_string = false,
            Some(b'\\') => self.escaped = true,
            _ => {
                // A quote that is not escaped cannot follow here inside a string.
                match begins_object(buffer.get(self.at + 1..).unwrap_or_default(), end) {
                    Begins::Yes => return Some(self.cut()),
                    Begins::Unknown => return Some(Step::More),
                    Begins::No => self.multiline = true,
                }
            }
        }
        self.at += 1;
        None
    }

    /// A line ends outside strings: a new record may begin although this one is not complete.
    fn line_end(&mut self, buffer: &[u8], end: bool) -> Option<Step> {
        // In an array after a comma an object is what must follow, and after a colon it may.
        let innermost = self.open.last();
        let expected = matches!((innermost, self.last), (Some(b'['), b'[' | b',') | (_, b':'));
        if !expected && (self.start.is_some() || self.in_rest()) {
            match begins_object(buffer.get(self.at + 1..).unwrap_or_default(), end) {
                Begins::Yes => return Some(self.cut()),
                Begins::Unknown => return Some(Step::More),
                Begins::No => {}
            }
        }
        self.multiline = true;
        None
    }

    fn cut(&mut self) -> Step {
        let from = self.needed_from();
        Step::Cut(from..self.at)
    }

    /// A closing bracket. Returns the value that ended with it, or before it.
    fn close(&mut self, byte: u8) -> Option<Range<usize>> {
        let opener = if byte == b'}' { b'{' } else { b'[' };
        self.last = byte;
        let inner = self.open.get(self.base..).unwrap_or_default();
        if let Some(found) = inner.iter().rposition(|b| *b == opener) {
            self.open.truncate(self.base + found);
            self.at += 1;
            return self.start.filter(|_| found == 0).map(|start| start..self.at);
        }
        if self.base > 0 && self.open.get(self.base - 1) == Some(&opener) {
            let ended = self.start.map(|start| start..self.at);
            self.at += 1;
            self.base -= 1;
            self.open.truncate(self.base);
            // The value that was taken apart is over, and so is what ended before the bracket.
            return match ended {
                Some(range) if self.base == 0 => {
                    self.whole = true;
                    Some(range)
                }
                other => other,
            };
        }
        // Closes nothing that is open.
        self.at += 1;
        None
    }

    /// After a top-level value on one line: if the line ends with it, the file is one of lines.
    fn after_value(&mut self, buffer: &[u8], end: bool) -> Option<Step> {
        let ended = self.ended?;
        let start = self.start.unwrap_or(ended);
        let rest = buffer.get(ended..).unwrap_or_default();
        match rest.iter().find(|b| !matches!(b, b' ' | b'\t' | b'\r')) {
            None if !end => return Some(Step::More),
            Some(b'\n') if !self.skipping => return Some(Step::Lines(start)),
            _ => {}
        }
        self.ended = None;
        self.finish(start..ended).map(Step::Value)
    }

    /// Turns to the elements of the value that is being scanned: those of an array, or of the array an
    /// object holds as `records` (Azure), `items` (EventList) or `value`. False if there is none.
    pub(super) fn take_apart(&mut self, buffer: &[u8]) -> bool {
        let Some(start) = self.start.filter(|_| !self.whole) else { return false };
        let text = buffer.get(start..).unwrap_or_default();
        let (at, frames): (usize, &[u8]) = match text.first() {
            Some(b'[') => (start + 1, b"["),
            Some(b'{') => match records(text) {
                Some(at) => (start + at, b"{["),
                None => {
                    self.whole = true;
                    return false;
                }
            },
            _ => {
                self.whole = true;
                return false;
            }
        };
        self.open.truncate(self.base);
        self.open.extend_from_slice(frames);
        *self = Self {
            base: self.open.len(),
            open: std::mem::take(&mut self.open),
            at,
            last: b'[',
            ..Self::default()
        };
        true
    }
}

enum Begins {
    Yes,
    No,
    Unknown,
}

/// Whether a line begins `{"`, with blanks between; unknown if the buffer ends before that shows.
fn begins_object(line: &[u8], end: bool) -> Begins {
    let Some((first, rest)) = line.split_first() else {
        return if end { Begins::No } else { Begins::Unknown };
    };
    if *first != b'{' {
        return Begins::No;
    }
    match rest.iter().find(|b| **b != b' ') {
        Some(b'"') => Begins::Yes,
        None if !end => Begins::Unknown,
        _ => Begins::No,
    }
}

/// The offset behind the bracket that opens the list of records in an object.
fn records(object: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = object.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b'"' => {
                let from = at + 1;
                let close = memchr_iter(b'"', object.get(from..)?).map(|i| from + i).find(|i| {
                    let text = object.get(from..*i).unwrap_or_default();
                    text.iter().rev().take_while(|b| **b == b'\\').count() % 2 == 0
                })?;
                at = close;
                if depth == 1 && matches!(object.get(from..close)?, b"records" | b"items" | b"value") {
                    let after = object.get(close + 1..)?;
                    let colon = after.len() - after.trim_ascii_start().len();
                    if after.get(colon) == Some(&b':') {
                        let value = after.get(colon + 1..)?;
                        let blank = value.len() - value.trim_ascii_start().len();
                        if value.get(blank) == Some(&b'[') {
                            return Some(close + 1 + colon + 1 + blank + 1);
                        }
                    }
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}
