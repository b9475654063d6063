//! Bytes of one file to bodies that never split a record.
//!
//! Most logs have a record or a message a line: then the stream is cut behind a line, and nothing but
//! that line end is looked for. What is not one value a line goes through [`Document`], which finds the
//! ends of values; a value over [`Sizes::value`] is taken apart into its records so that memory stays
//! bounded. The first value decides, and a line without an end, or a document that turns into lines,
//! changes the mode. A value over [`Sizes::record`] is handed on cut at that size, for the decoder to
//! save what it can, and counted in [`Framer::oversized`].

use std::ops::Range;

use bytes::Bytes;
use memchr::{memchr, memrchr, memrchr_iter};

use super::document::{Document, Step};
use super::sniff::begins_klog;
use crate::event::RawBatch;

/// Sizes in bytes; memory in use is a small multiple of `chunk`, at worst one `record`.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// How much is read at a time, and so about how much a batch holds.
    pub chunk: usize,
    /// A value up to this size is one body, also when it is a list of records.
    pub value: usize,
    /// A record above this size is cut.
    pub record: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { chunk: 1 << 20, value: 8 << 20, record: 64 << 20 }
    }
}

#[derive(Debug)]
enum Mode {
    Document(Document),
    Lines,
    /// The rest of a line whose first part was handed on.
    SkipLine,
}

/// Cuts the content of one file. Fill [`Framer::buffer`], call [`Framer::take`], repeat.
#[derive(Debug)]
pub struct Framer {
    /// Content not handed on yet; the reader appends to it.
    pub buffer: Vec<u8>,
    /// Records that were cut because of their size.
    pub oversized: u64,
    sizes: Sizes,
    mode: Mode,
}

impl Framer {
    pub fn new(sizes: Sizes) -> Self {
        Self { buffer: Vec::new(), oversized: 0, sizes, mode: Mode::Document(Document::default()) }
    }

    /// What is complete in the buffer, or `None` if more must be read. With `end`, everything.
    pub fn take(&mut self, end: bool) -> Option<RawBatch> {
        let (bodies, used) = self.scan(end);
        if used == 0 && bodies.is_empty() {
            return None;
        }
        if let Mode::Document(document) = &mut self.mode {
            document.drop_front(used);
        }
        let rest = self.buffer.get(used..).unwrap_or_default();
        let mut next = Vec::with_capacity(if end { 0 } else { rest.len() + self.sizes.chunk });
        next.extend_from_slice(rest);
        let mut block = std::mem::replace(&mut self.buffer, next);
        block.truncate(used.max(bodies.last().map_or(0, |b| b.end)));
        let block = Bytes::from(block);
        let bodies: Vec<Bytes> = bodies
            .into_iter()
            .map(|range| block.slice(range))
            .filter(|body| !body.trim_ascii_start().is_empty())
            .collect();
        (!bodies.is_empty()).then_some(RawBatch { bodies })
    }

    /// Bodies as ranges of the buffer, in order, and how much of the buffer is done with.
    fn scan(&mut self, end: bool) -> (Vec<Range<usize>>, usize) {
        let Self { buffer, sizes, mode, oversized } = self;
        let mut bodies = Vec::new();
        let mut from = match mode {
            Mode::Document(document) => document.needed_from(),
            _ => 0,
        };
        let mut tried_document = false;
        loop {
            match mode {
                Mode::Document(document) => match document.step(buffer, end) {
                    Step::Value(range) => {
                        from = range.end;
                        bodies.push(range);
                    }
                    Step::Cut(range) => {
                        from = range.end;
                        if document.pending().is_some() {
                            bodies.push(range);
                        }
                        *mode = Mode::Lines;
                    }
                    Step::Lines(at) => {
                        from = at;
                        *mode = Mode::Lines;
                    }
                    Step::More => {
                        if let Some(start) = document.pending() {
                            let size = buffer.len() - start;
                            if size > sizes.value && document.take_apart(buffer) {
                                continue;
                            }
                            if size > sizes.record {
                                *oversized += 1;
                                bodies.push(start..start + sizes.record);
                                document.skip_value();
                            } else if end {
                                bodies.push(start..buffer.len());
                            }
                        }
                        let used = if end { buffer.len() } else { document.needed_from() };
                        return (bodies, used);
                    }
                },
                Mode::Lines => {
                    let rest = buffer.get(from..).unwrap_or_default();
                    if end {
                        bodies.push(from..buffer.len());
                        return (bodies, buffer.len());
                    }
                    let structured = matches!(rest.trim_ascii_start().first(), Some(b'{' | b'['));
                    match line_cut(rest) {
                        Some(Cut::Record(at)) => {
                            bodies.push(from..from + at);
                            return (bodies, from + at);
                        }
                        // No record begins at a line: one value may run over them all.
                        Some(Cut::Line(_)) if structured && !tried_document => {
                            tried_document = true;
                            *mode = Mode::Document(Document::new(from));
                        }
                        Some(Cut::Line(at)) => {
                            bodies.push(from..from + at);
                            return (bodies, from + at);
                        }
                        None if rest.len() > sizes.value && structured => {
                            *mode = Mode::Document(Document::new(from));
                        }
                        None if rest.len() > sizes.record => {
                            *oversized += 1;
                            bodies.push(from..from + sizes.record);
                            *mode = Mode::SkipLine;
                            return (bodies, buffer.len());
                        }
                        None => return (bodies, from),
                    }
                }
                Mode::SkipLine => {
                    match memchr(b'\n', buffer.get(from..).unwrap_or_default()) {
                        Some(at) => from += at + 1,
                        None => return (bodies, buffer.len()),
                    }
                    *mode = Mode::Lines;
                }
            }
        }
    }
}

enum Cut {
    /// Behind a line, before one that begins a record.
    Record(usize),
    /// Behind the last line; the next one is not known to begin a record.
    Line(usize),
}

/// Where to cut text of lines: as late as possible, at best where the next line begins a record, so
/// that a value which runs over several lines after all stays whole.
fn line_cut(text: &[u8]) -> Option<Cut> {
    let last = memrchr(b'\n', text)?;
    let record = memrchr_iter(b'\n', text).find(|at| {
        let next = text.get(at + 1..).unwrap_or_default();
        let before = text.get(..*at).unwrap_or_default().trim_ascii_end().last();
        begins_klog(next)
            || (matches!(next.first(), Some(b'{' | b'[')) && !matches!(before, Some(b',' | b'[' | b':')))
    });
    Some(record.map_or(Cut::Line(last + 1), |at| Cut::Record(at + 1)))
}
