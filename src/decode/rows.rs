//! Rows, rejects and their account: whatever a record turns out to be, it is counted here, once.
//!
//! Owns the identity of rows and the counters of a batch. What a record is was decided in `record`.

use std::ops::Range;

use bytes::Bytes;

use super::audit::EventReader;
use super::block::Span;
use super::columns::{AuditRow, ControlRow};
use super::record::Record;
use super::{Decoder, klog};
use crate::event::identity::{event_id, text_id};
use crate::event::json::{Cursor, Stop};
use crate::event::{Reject, RejectReason};

/// A reject holds no more of its record than this.
const MAX_REJECT_BODY: usize = 64 << 10;

impl Decoder {
    /// Makes a row of the audit event `text`, or of each event of a list. `expected`: the record says
    /// that it is one, so that little is enough and anything else is a reject. Gives `false`, and does
    /// nothing, if it is not an event and was not expected to be.
    pub(super) fn audit_text(
        &mut self,
        body: &Bytes,
        range: Range<usize>,
        record: &Record,
        text: Span,
        expected: bool,
        lists: bool,
    ) -> bool {
        let place = text.range();
        let mut row = AuditRow::default();
        let mut tail = std::mem::take(&mut self.tail);
        tail.clear();
        let mut reader = EventReader::new(&self.block.bytes, place.start, place.end, &mut tail);
        let result = reader.read(&mut row);
        let evidence = reader.evidence;
        let class = reader.principal(&row);

        let list = evidence.items.filter(|_| lists && evidence.is_list());
        let some = evidence.event_kind || evidence.fields > 0 || result == Err(Stop::Cut);
        let event = evidence.is_event() || expected && some && !evidence.is_list();
        if list.is_none() && event {
            self.block.bytes.extend_from_slice(&tail);
        }
        self.tail = tail;
        if let Some(items) = list {
            self.event_list(body, range, record, items, place.end);
            return true;
        }
        if !event {
            if !expected || !evidence.says_event && result.is_ok() {
                return false;
            }
            let (reason, detail) = match result {
                Err(Stop::Bad(at)) => {
                    let at = at.saturating_sub(place.start);
                    (RejectReason::MalformedJson, format!("syntax error at byte {at} of the log"))
                }
                _ => (RejectReason::NotAnAuditEvent, "none of an audit event's fields".to_owned()),
            };
            self.reject(body, range, reason, detail, record.category);
            return true;
        }

        row.cluster = self.cluster_of(record);
        row.category = record.category;
        row.record_time = record.time;
        row.time = row.time.or(record.time);
        row.pod = record.pod;
        row.truncated = result.is_err();
        row.principal_class = class.and_then(|class| self.block.word(class));
        let id = match row.audit_id {
            Some(id) => self.event_id(row.cluster, id, row.stage),
            None => self.text_id(row.cluster, text, row.time),
        };
        let metadata = row.level.is_some_and(|level| self.block.get(level) == b"Metadata");
        self.audit.push(&self.block.bytes, &row);
        self.audit_ids.push(id);
        self.counts.events += 1;
        self.counts.metadata += u64::from(metadata);
        self.counts.unnamed += u64::from(record.cluster.is_none());
        self.counts.truncated += u64::from(row.truncated);
        self.count(record.category);
        true
    }

    /// Every item of a list of events is a record.
    fn event_list(&mut self, body: &Bytes, range: Range<usize>, record: &Record, start: usize, end: usize) {
        let mut items = Vec::new();
        let bytes = self.block.bytes.get(..end).unwrap_or_default();
        let mut cursor = Cursor { bytes, pos: start + 1 };
        while let Ok(true) = cursor.item() {
            cursor.peek();
            let start = cursor.pos;
            let read = cursor.value();
            items.push(start..if read.is_ok() { cursor.pos } else { end });
            if read.is_err() {
                break;
            }
        }
        if items.is_empty() {
            let detail = "a list of events without items".to_owned();
            self.reject(body, range, RejectReason::NotAnAuditEvent, detail, record.category);
            return;
        }
        for item in items {
            let is_object = self.block.bytes.get(item.start) == Some(&b'{');
            let Some(span) = Span::new(item).filter(|_| is_object) else {
                let detail = "an item of a list of events that is no object".to_owned();
                self.reject(body, range.clone(), RejectReason::NotAnObject, detail, record.category);
                continue;
            };
            if !self.audit_text(body, range.clone(), record, span, true, false) {
                let detail = "an item without a field of an audit event".to_owned();
                self.reject(body, range.clone(), RejectReason::NotAnAuditEvent, detail, record.category);
            }
        }
    }

    /// Makes a control-plane row. `logged`: `raw` is what was logged, not the whole record.
    pub(super) fn control_row(&mut self, record: &Record, raw: Option<Span>, logged: bool) {
        let mut row = ControlRow {
            time: record.time,
            cluster: self.cluster_of(record),
            category: record.category,
            record_time: record.time,
            pod: record.pod,
            stream: record.stream,
            raw,
            ..ControlRow::default()
        };
        row.component = match record.pod {
            Some(pod) => {
                let length = klog::component(self.block.get(pod));
                Span::new(pod.start as usize..pod.start as usize + length)
            }
            None => record.category,
        };
        if let (Some(raw), true) = (raw, logged) {
            let text = self.block.get(raw);
            let line = text.strip_suffix(b"\n").unwrap_or(text);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let at = raw.start as usize;
            let length = line.len();
            let header = klog::parse(line, record.time);
            let message = header.as_ref().map_or(0, |h| h.message);
            row.message = Span::new(at + message..at + length);
            if let Some(header) = header {
                row.severity = self.block.word(header.severity);
                row.time = header.time.or(record.time);
                row.thread = header.thread;
                row.source_line = header.line;
                row.source_file = header.file.and_then(|f| Span::new(at + f.start..at + f.end));
            } else if let Some(severity) = record.row.severity() {
                row.severity = self.block.word(severity);
            }
        }
        let id = raw.map_or(0, |raw| self.text_id(row.cluster, raw, row.time));
        self.control.push(&self.block.bytes, &row);
        self.control_ids.push(id);
        self.counts.control_plane += 1;
        self.count(record.category);
    }

    /// Accounts for a record that becomes no row. `range`: its bytes in `body`.
    pub(super) fn reject(
        &mut self,
        body: &Bytes,
        range: Range<usize>,
        reason: RejectReason,
        detail: String,
        category: Option<Span>,
    ) {
        let start = range.start.min(body.len());
        let end = range.end.min(start.saturating_add(MAX_REJECT_BODY)).clamp(start, body.len());
        self.rejects.push(Reject { reason, detail, body: body.slice(start..end) });
        *self.counts.rejects.entry(reason).or_default() += 1;
        self.count(category);
    }

    /// Rejects a record for a syntax error at byte `at` of `body`.
    pub(super) fn malformed(&mut self, body: &Bytes, range: Range<usize>, at: usize, category: Option<Span>) {
        let detail = format!("syntax error at byte {} of the record", at.saturating_sub(range.start));
        self.reject(body, range, RejectReason::MalformedJson, detail, category);
    }

    /// The cluster a record names, else the one that was given.
    fn cluster_of(&mut self, record: &Record) -> Option<Span> {
        record.cluster.or_else(|| self.block.cluster(self.cluster.as_deref()?.as_bytes()))
    }

    fn count(&mut self, category: Option<Span>) {
        self.counts.records += 1;
        let name = category.map(|span| self.block.get(span)).unwrap_or_default();
        let name = std::str::from_utf8(name).unwrap_or_default();
        match self.counts.categories.get_mut(name) {
            Some(count) => *count += 1,
            None => drop(self.counts.categories.insert(name.to_owned(), 1)),
        }
    }

    fn event_id(&mut self, cluster: Option<Span>, id: Span, stage: Option<Span>) -> u64 {
        let text = |span: Span| self.block.get(span);
        event_id(&mut self.hashed, cluster.map(text), text(id), stage.map(text))
    }

    fn text_id(&mut self, cluster: Option<Span>, text: Span, time: Option<i64>) -> u64 {
        let cluster = cluster.map(|span| self.block.get(span));
        text_id(&mut self.hashed, cluster, self.block.get(text), time)
    }
}
