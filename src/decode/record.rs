//! One record: its keys, and from its content what it is.
//!
//! Owns the names a record's keys have had over the years and the decision between an audit row, a
//! control-plane row and a reject, which goes by content, not by category. Building the rows is left
//! to `rows`.

use std::ops::Range;

use bytes::Bytes;

use super::audit::Evidence;
use super::block::Span;
use super::envelope::{MAX_NESTING, Step};
use super::log_analytics::{Row, Table};
use super::{Decoder, time};
use crate::event::RejectReason;
use crate::event::json::{Cursor, Stop, Text, unescape};

/// One record over this size is refused; the hub's limit for a whole message is 1 MB.
const MAX_RECORD: usize = 64 << 20;

/// What was read of a record.
#[derive(Debug, Default, Clone)]
pub struct Record {
    pub time: Option<i64>,
    /// How well the key `time` came from says what the time is.
    time_rank: u8,
    pub category: Option<Span>,
    pub cluster: Option<Span>,
    pub pod: Option<Span>,
    pub stream: Option<Span>,
    /// The text that was logged.
    pub log: Option<Span>,
    /// An audit event that stands where `properties` should be.
    event: Option<Span>,
    /// What speaks for the record itself being an audit event.
    evidence: Evidence,
    /// It was an envelope; its records are done.
    pub envelope: bool,
    /// A value of the result of a query that may hold records: where it starts.
    rows: Option<usize>,
    /// What says that it is a row of a Log Analytics table.
    pub row: Row,
}

/// Why reading the keys of a record ended early.
#[derive(Debug, Clone, Copy)]
pub enum Halt {
    Stop(Stop),
    /// Reading goes on at the top of the body.
    Top(usize),
}

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Self {
        Halt::Stop(stop)
    }
}

impl Decoder {
    /// Reads the keys of the object at the cursor; records of an envelope are decoded on the way.
    pub(super) fn keys(
        &mut self,
        body: &Bytes,
        cursor: &mut Cursor<'_>,
        record: &mut Record,
        depth: usize,
    ) -> Result<(), Halt> {
        cursor.expect(b'{')?;
        let bytes = cursor.bytes;
        while let Some(key) = cursor.key()? {
            match &bytes[key.range] {
                b"time" => read_time(cursor, record, 3)?,
                b"TimeGenerated" => read_time(cursor, record, 2)?,
                b"EventTimeString" => read_time(cursor, record, 1)?,
                b"category" | b"Category" => {
                    if let Some(text) = string(cursor)? {
                        self.last.category = self.repeated(bytes, &text, self.last.category);
                        record.category = self.last.category;
                    }
                }
                b"resourceId" | b"ResourceId" | b"resourceID" | b"resourceid" | b"_ResourceId" => {
                    if let Some(text) = string(cursor)? {
                        record.cluster = self.block.cluster(&bytes[text.range]);
                    }
                }
                b"properties" => self.properties(cursor, record)?,
                b"log" | b"log_s" => self.log(cursor, record)?,
                b"pod" | b"pod_s" | b"PodName" => self.pod(cursor, record)?,
                b"stream" | b"stream_s" | b"Stream" => self.stream(cursor, record)?,
                b"records" if depth < MAX_NESTING && cursor.peek() == Some(b'[') => {
                    record.envelope = true;
                    match self.array(body, cursor.pos, bytes.len(), depth + 1) {
                        Step::Next(next) => cursor.pos = next,
                        Step::End => return Err(Halt::Stop(Stop::Cut)),
                        Step::Top(next) => return Err(Halt::Top(next)),
                    }
                }
                key @ (b"body" | b"value" | b"items") => {
                    cursor.peek();
                    if key == b"items" {
                        record.evidence.items = Some(cursor.pos);
                    } else {
                        record.rows = Some(cursor.pos);
                    }
                    cursor.value()?;
                }
                key @ (b"kind" | b"apiVersion" | b"auditID" | b"requestURI" | b"verb") => {
                    let value = cursor.value()?;
                    record.evidence.note(key, &bytes[value]);
                }
                key @ (b"AuditId" | b"RequestUri" | b"Verb") => {
                    let text = string(cursor)?.is_some_and(|text| !text.range.is_empty());
                    match key {
                        b"AuditId" => record.row.id |= text,
                        b"RequestUri" => record.row.uri |= text,
                        _ => record.row.verb |= text,
                    }
                }
                b"Message" => record.row.message = string(cursor)?.map(|text| text.range),
                b"Level" => {
                    let text = string(cursor)?;
                    record.row.level = text.and_then(|text| bytes.get(text.range.start).copied());
                }
                b"Type" => {
                    let text = string(cursor)?;
                    record.row.table = text.and_then(|text| Table::named(bytes.get(text.range)?));
                }
                _ => {
                    cursor.value()?;
                }
            }
        }
        Ok(())
    }

    /// The value of `properties`: an object, or a string that holds one, or the log text itself.
    fn properties(&mut self, cursor: &mut Cursor<'_>, record: &mut Record) -> Result<(), Stop> {
        let bytes = cursor.bytes;
        match cursor.peek() {
            Some(b'{') => self.property_keys(cursor, record),
            Some(b'"') => {
                let start = cursor.pos + 1;
                let read = cursor.string();
                let text = match &read {
                    Ok(text) => text.range.clone(),
                    Err(_) => start..bytes.len(),
                };
                let mut properties = std::mem::take(&mut self.properties);
                properties.clear();
                unescape(bytes.get(text).unwrap_or_default(), &mut properties);
                if properties.trim_ascii_start().starts_with(b"{") {
                    let mut inner = Cursor::new(&properties);
                    if let Err(Stop::Bad(_)) = self.property_keys(&mut inner, record) {
                        record.log = record.log.or_else(|| self.block.copy(&properties));
                    }
                } else if !properties.is_empty() {
                    record.log = self.block.copy(&properties);
                }
                self.properties = properties;
                read.map(drop)
            }
            _ => {
                let range = cursor.value()?;
                let text = bytes.get(range.clone()).unwrap_or_default();
                let sound = serde_json::from_slice::<serde::de::IgnoredAny>(text);
                // `[ 227 B blob data ]` passes for an array by its brackets.
                sound.map(drop).map_err(|_| Stop::Bad(range.start))
            }
        }
    }

    fn property_keys(&mut self, cursor: &mut Cursor<'_>, record: &mut Record) -> Result<(), Stop> {
        cursor.peek();
        let start = cursor.pos;
        let mut evidence = Evidence::default();
        let result = self.read_properties(cursor, record, &mut evidence);
        if evidence.is_event() && record.log.is_none() {
            let end = if result == Err(Stop::Cut) { cursor.bytes.len() } else { cursor.pos };
            record.event = cursor.bytes.get(start..end).and_then(|text| self.block.copy(text));
        }
        result
    }

    fn read_properties(
        &mut self,
        cursor: &mut Cursor<'_>,
        record: &mut Record,
        evidence: &mut Evidence,
    ) -> Result<(), Stop> {
        cursor.expect(b'{')?;
        let bytes = cursor.bytes;
        while let Some(key) = cursor.key()? {
            match &bytes[key.range] {
                b"log" => self.log(cursor, record)?,
                b"pod" => self.pod(cursor, record)?,
                b"stream" => self.stream(cursor, record)?,
                key @ (b"kind" | b"apiVersion" | b"auditID" | b"requestURI" | b"verb") => {
                    let value = cursor.value()?;
                    evidence.note(key, &bytes[value]);
                }
                _ => {
                    cursor.value()?;
                }
            }
        }
        Ok(())
    }

    /// The logged text: a string, unescaped into the block, or the text of any other value.
    fn log(&mut self, cursor: &mut Cursor<'_>, record: &mut Record) -> Result<(), Stop> {
        let bytes = cursor.bytes;
        match cursor.peek() {
            Some(b'"') => {
                let (log, read) = self.block.string(cursor);
                record.log = log;
                return read;
            }
            Some(b'n') => return cursor.value().map(drop),
            _ => {}
        }
        let start = cursor.pos;
        let read = cursor.value();
        let range = match &read {
            Ok(range) => range.clone(),
            Err(Stop::Cut) if start < bytes.len() => start..bytes.len(),
            Err(stop) => return Err(*stop),
        };
        record.log = bytes.get(range).and_then(|text| self.block.copy(text));
        read.map(drop)
    }

    fn pod(&mut self, cursor: &mut Cursor<'_>, record: &mut Record) -> Result<(), Stop> {
        if let Some(text) = string(cursor)? {
            self.last.pod = self.repeated(cursor.bytes, &text, self.last.pod);
            record.pod = self.last.pod;
        }
        Ok(())
    }

    fn stream(&mut self, cursor: &mut Cursor<'_>, record: &mut Record) -> Result<(), Stop> {
        if let Some(text) = string(cursor)? {
            self.last.stream = self.repeated(cursor.bytes, &text, self.last.stream);
            record.stream = self.last.stream;
        }
        Ok(())
    }

    fn repeated(&mut self, bytes: &[u8], text: &Text, last: Option<Span>) -> Option<Span> {
        let raw = bytes.get(text.range.clone())?;
        if text.escaped { self.block.unescaped(raw) } else { self.block.repeated(raw, last) }
    }

    /// Decides what the record at `range` of `body` is and makes its row. `cut`: its text ends early.
    pub(super) fn record(
        &mut self,
        body: &Bytes,
        range: Range<usize>,
        record: &Record,
        cut: bool,
        depth: usize,
    ) {
        if range.len() > MAX_RECORD {
            let detail = format!("{} bytes, more than {MAX_RECORD}", range.len());
            self.reject(body, range, RejectReason::TooLarge, detail, record.category);
            return;
        }
        if let Some(log) = record.log {
            self.logged(body, range, record, log);
            return;
        }
        if record.row.is_event() && record.event.is_none() {
            self.audit_columns(body, range, record);
            return;
        }
        // The time of a table's row has a name of its own.
        let row = record.row.table == Some(Table::ControlPlane) || record.time_rank == 2;
        if row
            && record.event.is_none()
            && let Some(line) = self.message(body, record)
        {
            self.logged(body, range, record, line);
            return;
        }
        let itself = record.evidence.is_event() || record.evidence.is_list();
        let event = record.event.or_else(|| {
            let text = body.get(range.clone()).filter(|_| itself)?;
            self.block.copy(text)
        });
        if let Some(event) = event {
            self.audit_text(body, range, record, event, true, true);
        } else if record.category.is_some() {
            let raw = body.get(range).and_then(|text| self.block.copy(text));
            self.control_row(record, raw, false);
        } else if let Some(rows) = record.rows.filter(|_| depth < MAX_NESTING) {
            self.query_rows(body, rows, range, depth);
        } else if cut {
            let detail = format!("cut at byte {}, nothing before it says what it is", range.len());
            self.reject(body, range, RejectReason::CutBeforeContent, detail, None);
        } else if record.evidence.event_kind {
            let detail = "an Event without a field of an audit event".to_owned();
            self.reject(body, range, RejectReason::NotAnAuditEvent, detail, None);
        } else {
            let detail = "no category, no log, no audit event".to_owned();
            self.reject(body, range, RejectReason::UnknownRecord, detail, None);
        }
    }

    /// Rows of a query's result: an array at `start`, or an object whose `value` is one.
    fn query_rows(&mut self, body: &Bytes, start: usize, range: Range<usize>, depth: usize) {
        let before = self.counts.records;
        let end = range.end;
        match body.get(start) {
            Some(b'{') => drop(self.object(body, start, end, false, depth + 1)),
            Some(b'[') => drop(self.array(body, start, end, depth + 1)),
            _ => {}
        }
        if self.counts.records == before && !matches!(body.get(start), Some(b'[')) {
            let detail = "no category, no log, no audit event".to_owned();
            self.reject(body, range, RejectReason::UnknownRecord, detail, None);
        }
    }

    /// A record by its logged text.
    fn logged(&mut self, body: &Bytes, range: Range<usize>, record: &Record, log: Span) {
        let category = record.category.map(|c| self.block.get(c)).unwrap_or_default();
        let audit_category = category.eq_ignore_ascii_case(b"kube-audit")
            || category.eq_ignore_ascii_case(b"kube-audit-admin");
        let is_object = self.block.get(log).trim_ascii_start().starts_with(b"{");
        if !(is_object && self.audit_text(body, range, record, log, audit_category, true)) {
            self.control_row(record, Some(log), true);
        }
    }
}

fn read_time(cursor: &mut Cursor<'_>, record: &mut Record, rank: u8) -> Result<(), Stop> {
    if let Some(text) = string(cursor)?
        && rank > record.time_rank
        && let Some(time) = cursor.bytes.get(text.range).and_then(time::parse)
    {
        (record.time, record.time_rank) = (Some(time), rank);
    }
    Ok(())
}

/// A string; any other value is skipped and gives `None`.
fn string(cursor: &mut Cursor<'_>) -> Result<Option<Text>, Stop> {
    if cursor.peek() == Some(b'"') {
        return cursor.string().map(Some);
    }
    cursor.value().map(|_| None)
}
