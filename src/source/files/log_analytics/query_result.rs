//! The answer of the query API: `{"tables":[{"name","columns":[{"name","type"}],"rows":[[…]]}]}`.
//!
//! Read piece by piece: no more than one row, and the columns, are held at a time. A table whose
//! columns are not those of a log is passed over and named if there is no other.

use std::io::Read;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::content::Content;
use super::super::reader::Bodies;
use super::super::{FileStatus, Sizes};
use super::{Cell, Header, misfit, unknown};
use crate::event::RawBatch;
use crate::event::json::{Cursor, Stop};

/// Whether a file begins as an answer of the query API does.
pub(in super::super) fn begins_query_result(head: &[u8]) -> bool {
    let mut cursor = Cursor::new(head);
    if cursor.expect(b'{').is_err() {
        return false;
    }
    while let Ok(Some(key)) = cursor.key() {
        if is(head.get(key.range), b"tables") {
            return cursor.peek() == Some(b'[');
        }
        if cursor.value().is_err() {
            return false;
        }
    }
    false
}

/// The API writes small letters, Kusto's first version capitals.
fn is(key: Option<&[u8]>, name: &[u8]) -> bool {
    key.is_some_and(|key| key.eq_ignore_ascii_case(name))
}

/// Where reading stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    Answer,
    Tables,
    Table,
    Rows,
    End,
}

#[derive(Deserialize)]
struct Named {
    #[serde(alias = "ColumnName", alias = "Name")]
    name: String,
}

/// Reads the rows of one answer.
pub(in super::super) struct QueryResult {
    content: Content,
    buffer: Vec<u8>,
    /// How much of the buffer is done with, and how many bytes came before it.
    used: usize,
    before: u64,
    end: bool,
    fault: Option<String>,
    at: At,
    header: Option<Header>,
    /// What the last table that was passed over has.
    other: Option<String>,
    /// The worst any table had to say of itself.
    status: FileStatus,
    sizes: Sizes,
    any: bool,
    ended: Option<FileStatus>,
}

impl QueryResult {
    pub fn new(content: Content, sizes: Sizes) -> Self {
        Self {
            content,
            buffer: Vec::new(),
            used: 0,
            before: 0,
            end: false,
            fault: None,
            at: At::Start,
            header: None,
            other: None,
            status: FileStatus::Ok,
            sizes,
            any: false,
            ended: None,
        }
    }

    /// One step; `Stop::Cut` asks for more bytes and has changed nothing.
    fn step(&mut self, out: &mut Vec<u8>) -> Result<(), Stop> {
        let mut cursor = Cursor { bytes: &self.buffer, pos: self.used };
        match self.at {
            At::Start => {
                cursor.expect(b'{')?;
                self.at = At::Answer;
            }
            At::Answer => match cursor.key()? {
                None => self.at = At::End,
                Some(key) if is(self.buffer.get(key.range.clone()), b"tables") => {
                    cursor.expect(b'[')?;
                    self.at = At::Tables;
                }
                Some(key) => {
                    let value = cursor.value()?;
                    if is(self.buffer.get(key.range), b"error") && self.buffer.get(value.start) == Some(&b'{')
                    {
                        let text = self.buffer.get(value).unwrap_or_default();
                        let what = "the query gave only a part of its rows: ";
                        let text = String::from_utf8_lossy(text.get(..200).unwrap_or(text)).into_owned();
                        self.status = FileStatus::Incomplete(format!("{what}{text}"));
                    }
                }
            },
            At::Tables => {
                if cursor.item()? {
                    cursor.expect(b'{')?;
                    self.header = None;
                    self.at = At::Table;
                } else {
                    self.at = At::Answer;
                }
            }
            At::Table => match cursor.key()? {
                None => self.at = At::Tables,
                Some(key) if is(self.buffer.get(key.range.clone()), b"columns") => {
                    let value = cursor.value()?;
                    let bad = Stop::Bad(value.start);
                    let text = self.buffer.get(value).unwrap_or_default();
                    let names: Vec<Named> = serde_json::from_slice(text).map_err(|_| bad)?;
                    let names: Vec<String> = names.into_iter().map(|column| column.name).collect();
                    self.header = Header::new(&names);
                    if self.header.is_none() {
                        self.other = Some(unknown(&names));
                    }
                }
                Some(key) if is(self.buffer.get(key.range.clone()), b"rows") => {
                    cursor.expect(b'[')?;
                    self.at = At::Rows;
                }
                Some(_) => {
                    cursor.value()?;
                }
            },
            At::Rows => {
                if cursor.item()? {
                    let value = cursor.value()?;
                    if let Some(header) = &self.header {
                        row(header, self.buffer.get(value).unwrap_or_default(), out);
                        self.any = true;
                    }
                } else {
                    let status = self.header.as_ref().map_or(FileStatus::Ok, Header::status);
                    if self.status == FileStatus::Ok {
                        self.status = status;
                    }
                    self.at = At::Table;
                }
            }
            At::End => {}
        }
        self.used = cursor.pos;
        Ok(())
    }

    /// Takes more bytes; false if there are none, or no room for them.
    fn fill(&mut self) -> bool {
        self.before += self.used as u64;
        self.buffer.drain(..self.used);
        self.used = 0;
        if self.end || self.buffer.len() > self.sizes.record {
            return false;
        }
        // As much again as is there: a long row is looked at a few times and not once a chunk.
        let count = self.sizes.chunk.max(self.buffer.len());
        match (&mut self.content).take(count as u64).read_to_end(&mut self.buffer) {
            Ok(read) => self.end = read < count,
            Err(error) => {
                self.end = true;
                self.fault = Some(error.to_string());
            }
        }
        true
    }

    fn wrong(&self, reason: &str) -> FileStatus {
        let reason = format!("a query result, at byte {}: {reason}", self.before + self.used as u64);
        if self.any { FileStatus::Incomplete(reason) } else { FileStatus::Unreadable(reason) }
    }

    fn whole(&mut self) -> FileStatus {
        match self.other.take().filter(|_| !self.any && self.header.is_none()) {
            Some(other) => FileStatus::NotALog(Some(other)),
            None => self.status.clone(),
        }
    }
}

/// One row; what is no array of as many values as there are columns becomes a record that is rejected.
fn row(header: &Header, text: &[u8], out: &mut Vec<u8>) {
    let values: Vec<&RawValue> = serde_json::from_slice(text).unwrap_or_default();
    if values.len() != header.len() {
        return misfit(text, out);
    }
    let cells: Vec<Cell<'_>> = values.iter().map(|value| Cell::Json(value.get().as_bytes())).collect();
    header.row(cells.into_iter(), out);
}

impl Bodies for QueryResult {
    fn next(&mut self) -> Result<RawBatch, FileStatus> {
        if let Some(status) = self.ended.take() {
            return Err(status);
        }
        let mut body = Vec::new();
        while body.len() < self.sizes.chunk && self.ended.is_none() {
            if self.at == At::End {
                self.ended = Some(self.whole());
                break;
            }
            match self.step(&mut body) {
                Ok(()) => {}
                Err(Stop::Cut) if self.fill() => {}
                Err(Stop::Cut) => {
                    let reason = match self.fault.take() {
                        Some(fault) => fault,
                        None if self.end => "it ends before it is complete".into(),
                        None => format!("a value over {} MB", self.sizes.record >> 20),
                    };
                    self.ended = Some(self.wrong(&reason));
                }
                Err(Stop::Bad(at)) => {
                    self.used = at;
                    self.ended = Some(self.wrong("a syntax error"));
                }
            }
        }
        if body.is_empty() {
            return Err(self.ended.take().unwrap_or(FileStatus::Ok));
        }
        Ok(RawBatch { bodies: vec![body.into()] })
    }
}
