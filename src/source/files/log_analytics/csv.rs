//! A query's rows as the portal exports them: CSV with a header, fields that run over lines, dynamic
//! columns as JSON in quotes.
//!
//! A quote that is never closed would make the rest of the file one field; what a row may take is
//! bounded, and reading ends there with a reason. Rows are counted for that reason as they stand in
//! the file, the header being row 1.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::csv::{ByteRecord, Reader, ReaderBuilder};

use super::super::content::Content;
use super::super::reader::Bodies;
use super::super::{FileStatus, Sizes};
use super::{Cell, Header, misfit, unknown};
use crate::event::RawBatch;

/// What separates fields, by how often it is met.
const DELIMITERS: [u8; 3] = [b',', b'\t', b';'];

/// What the first lines of a file say about it being a table.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) enum Looks {
    /// A log, its fields separated by this.
    Log(u8),
    /// A table of something else, and why it is no log.
    Other(String),
    /// No table.
    No,
}

/// Looks at the beginning of a file.
pub(in super::super) fn delimiter(head: &[u8]) -> Looks {
    let first = head.split(|b| *b == b'\n').next().unwrap_or_default();
    // JSON and prose are told by their first letter, before any parsing.
    if !matches!(first.first(), Some(b'"' | b'_') | Some(b'a'..=b'z' | b'A'..=b'Z')) {
        return Looks::No;
    }
    let mut other = Looks::No;
    for delimiter in DELIMITERS.into_iter().filter(|d| first.contains(d)) {
        let mut rows = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .from_reader(head)
            .into_byte_records()
            .take(3)
            .map_while(Result::ok);
        let Some(names) = rows.next().map(|row| texts(&row)) else { continue };
        if Header::new(&names).is_some() {
            return Looks::Log(delimiter);
        }
        let mut same = rows.filter(|row| row.len() == names.len());
        if other == Looks::No && names.iter().all(|name| is_name(name)) && same.next().is_some() {
            other = Looks::Other(unknown(&names));
        }
    }
    // A single column needs no delimiter.
    let alone = String::from_utf8_lossy(first.trim_ascii()).replace('"', "");
    if other == Looks::No && alone.eq_ignore_ascii_case("log_s") {
        return Looks::Log(b',');
    }
    other
}

fn texts(row: &ByteRecord) -> Vec<String> {
    row.iter().map(|field| String::from_utf8_lossy(field).trim().to_owned()).collect()
}

/// Whether text may be the name of a column: prose with a comma in it is not a table.
fn is_name(text: &str) -> bool {
    let first = text.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_');
    // The portal puts a zone in brackets behind the names of times.
    let name = text.split(" [").next().unwrap_or_default();
    first && text.len() <= 64 && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// Gives no more than the room there is, which whoever reads rows renews for each.
struct Bounded {
    content: Content,
    room: Arc<AtomicU64>,
}

impl Read for Bounded {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let room = self.room.load(Ordering::Relaxed);
        if room == 0 {
            return Err(io::Error::other("over the limit"));
        }
        let count = self.content.read(into)?;
        self.room.store(room.saturating_sub(count as u64), Ordering::Relaxed);
        Ok(count)
    }
}

/// Reads the rows of one file.
pub(in super::super) struct Csv {
    rows: Reader<Bounded>,
    room: Arc<AtomicU64>,
    header: Header,
    sizes: Sizes,
    row: ByteRecord,
    any: bool,
    /// How the file ended, once what came before is handed on.
    ended: Option<FileStatus>,
}

impl Csv {
    /// Reads the header.
    pub fn open(content: Content, delimiter: u8, sizes: Sizes) -> Result<Self, FileStatus> {
        let room = Arc::new(AtomicU64::new(sizes.record as u64));
        let bounded = Bounded { content, room: room.clone() };
        let mut rows =
            ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(bounded);
        let mut row = ByteRecord::new();
        let read = rows.read_byte_record(&mut row);
        read.map_err(|error| FileStatus::Unreadable(format!("CSV: {error}")))?;
        let names = texts(&row);
        let header = Header::new(&names).ok_or_else(|| FileStatus::NotALog(Some(unknown(&names))))?;
        Ok(Self { rows, room, header, sizes, row, any: false, ended: None })
    }

    fn fault(&self, error: &::csv::Error) -> FileStatus {
        let at = self.rows.position();
        let reason = if self.room.load(Ordering::Relaxed) == 0 {
            format!("it is over {} MB; is a quote not closed?", self.sizes.record >> 20)
        } else {
            match error.kind() {
                ::csv::ErrorKind::Io(error) => error.to_string(),
                _ => error.to_string(),
            }
        };
        // The row before is the last that was whole.
        let reason = format!("CSV row {} at byte {}: {reason}", at.record() + 1, at.byte());
        if self.any { FileStatus::Incomplete(reason) } else { FileStatus::Unreadable(reason) }
    }
}

impl Bodies for Csv {
    fn next(&mut self) -> Result<RawBatch, FileStatus> {
        if let Some(status) = self.ended.take() {
            return Err(status);
        }
        let mut body = Vec::with_capacity(self.sizes.chunk);
        while body.len() < self.sizes.chunk {
            self.room.store(self.sizes.record as u64, Ordering::Relaxed);
            match self.rows.read_byte_record(&mut self.row) {
                Ok(true) => {
                    if self.row.len() == self.header.len() {
                        self.header.row(self.row.iter().map(Cell::Text), &mut body);
                    } else {
                        misfit(self.row.as_slice(), &mut body);
                    }
                    self.any = true;
                }
                Ok(false) => {
                    self.ended = Some(self.header.status());
                    break;
                }
                Err(error) => {
                    self.ended = Some(self.fault(&error));
                    break;
                }
            }
        }
        if body.is_empty() {
            return Err(self.ended.take().unwrap_or(FileStatus::Ok));
        }
        Ok(RawBatch { bodies: vec![body.into()] })
    }
}
