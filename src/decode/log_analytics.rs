//! Rows of the Log Analytics tables AKSAudit, AKSAuditAdmin and AKSControlPlane to the records they
//! were made of.
//!
//! Owns the names of those tables' columns. An audit event is composed from its columns as the API
//! server would have written it, bodies last, so that what reads events reads this one too: the same
//! columns, the same identity. Dynamic columns come as JSON or as text that holds JSON; one that was
//! cut is put last, where reading a cut event expects it. Rows of AzureDiagnostics carry the event's
//! own text and need none of this.

use std::ops::Range;

use bytes::Bytes;

use super::block::Span;
use super::record::Record;
use super::{Decoder, salvage};
use crate::event::json::{Cursor, unescape};

/// The table a row says it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    Audit,
    AuditAdmin,
    ControlPlane,
}

impl Table {
    /// Reads the column `Type`.
    pub fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"AKSAudit" => Some(Self::Audit),
            b"AKSAuditAdmin" => Some(Self::AuditAdmin),
            b"AKSControlPlane" => Some(Self::ControlPlane),
            _ => None,
        }
    }

    /// The category whose records the table holds.
    fn category(self) -> Option<&'static str> {
        match self {
            Self::Audit => Some("kube-audit"),
            Self::AuditAdmin => Some("kube-audit-admin"),
            Self::ControlPlane => None,
        }
    }
}

/// What of a row says what it is.
#[derive(Debug, Clone, Default)]
pub struct Row {
    pub table: Option<Table>,
    pub id: bool,
    pub uri: bool,
    pub verb: bool,
    /// The text of a log line, between its quotes.
    pub message: Option<Range<usize>>,
    /// The first letter of what `Level` says.
    pub level: Option<u8>,
}

impl Row {
    /// Whether the row's columns hold an audit event.
    pub fn is_event(&self) -> bool {
        self.id || self.uri && self.verb
    }

    /// The severity that `Level` names, for lines without a header of their own.
    pub fn severity(&self) -> Option<&'static str> {
        match self.level? {
            b'I' | b'i' => Some("info"),
            b'W' | b'w' => Some("warning"),
            b'E' | b'e' => Some("error"),
            b'F' | b'f' => Some("fatal"),
            _ => None,
        }
    }
}

/// Columns of an audit row and the key of an event that each one is.
const SCALARS: &[(&[u8], &[u8])] = &[
    (b"Level", b"level"),
    (b"AuditId", b"auditID"),
    (b"Stage", b"stage"),
    (b"RequestUri", b"requestURI"),
    (b"Verb", b"verb"),
    (b"UserAgent", b"userAgent"),
    (b"RequestReceivedTime", b"requestReceivedTimestamp"),
    (b"StageReceivedTime", b"stageTimestamp"),
];
const DYNAMIC: &[(&[u8], &[u8])] = &[
    (b"User", b"user"),
    (b"SourceIps", b"sourceIPs"),
    (b"ObjectRef", b"objectRef"),
    (b"ResponseStatus", b"responseStatus"),
    (b"Annotations", b"annotations"),
    (b"RequestObject", b"requestObject"),
    (b"ResponseObject", b"responseObject"),
];

impl Decoder {
    /// Makes a row of the audit event that the columns of a table's row hold.
    pub(super) fn audit_columns(&mut self, body: &Bytes, range: Range<usize>, record: &Record) {
        let mut text = std::mem::take(&mut self.properties);
        text.clear();
        compose(body.get(range.clone()).unwrap_or_default(), &mut text);
        let event = self.block.copy(&text);
        self.properties = text;
        let mut record = record.clone();
        let category = record.row.table.and_then(Table::category);
        record.category = record.category.or_else(|| self.block.word(category?));
        if let Some(event) = event {
            let before = self.counts.events;
            self.audit_text(body, range, &record, event, true, false);
            self.counts.composed += self.counts.events - before;
        }
    }

    /// The line that a row of AKSControlPlane holds. Records of other services have messages too: those
    /// carry no column of a table's row.
    pub(super) fn message(&mut self, body: &Bytes, record: &Record) -> Option<Span> {
        let text = body.get(record.row.message.clone()?)?;
        if text.is_empty() {
            return None;
        }
        self.block.unescaped(text)
    }
}

/// Writes the event that the columns of `row` hold; open at its end if the row or a column was cut.
fn compose(row: &[u8], out: &mut Vec<u8>) {
    let mut scalars = [const { None::<Range<usize>> }; SCALARS.len()];
    let mut dynamic = [const { None::<Range<usize>> }; DYNAMIC.len()];
    let mut cursor = Cursor::new(row);
    let mut whole = false;
    if cursor.expect(b'{').is_ok() {
        loop {
            match cursor.key() {
                Ok(Some(key)) => {
                    let name = row.get(key.range).unwrap_or_default();
                    let Ok(value) = cursor.value() else { break };
                    let place = |of: &[(&[u8], &[u8])]| of.iter().position(|(column, _)| *column == name);
                    if let Some(slot) = place(SCALARS).and_then(|i| scalars.get_mut(i)) {
                        *slot = Some(value);
                    } else if let Some(slot) = place(DYNAMIC).and_then(|i| dynamic.get_mut(i)) {
                        *slot = Some(value);
                    }
                }
                Ok(None) => {
                    whole = true;
                    break;
                }
                Err(_) => break,
            }
        }
    }
    out.extend_from_slice(b"{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\"");
    for ((_, key), value) in SCALARS.iter().zip(scalars) {
        if let Some(value) = value.and_then(|value| row.get(value)).filter(|value| *value != b"null") {
            member(key, value, out);
        }
    }
    // The first that was cut stays open, at the end; of others what can be saved is closed.
    let mut open: Option<(&[u8], Vec<u8>)> = None;
    for ((_, key), value) in DYNAMIC.iter().zip(dynamic) {
        let Some(value) = value.and_then(|value| row.get(value)).filter(|value| *value != b"null") else {
            continue;
        };
        let Some(inner) = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")) else {
            member(key, value, out);
            continue;
        };
        let mut text = Vec::with_capacity(inner.len());
        unescape(inner, &mut text);
        let json = text.trim_ascii();
        if !json.starts_with(b"{") && !json.starts_with(b"[") {
            // A name, or the marker of a body that was too large.
            if !json.is_empty() {
                member(key, value, out);
            }
        } else if is_whole(json) {
            member(key, json, out);
        } else if open.is_none() {
            open = Some((key, json.to_vec()));
        } else {
            let mut closed = Vec::new();
            salvage::close(json, &mut closed);
            member(key, &closed, out);
        }
    }
    match open {
        Some((key, text)) => member(key, &text, out),
        None if whole => out.push(b'}'),
        None => {}
    }
}

fn member(key: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key);
    out.extend_from_slice(b"\":");
    out.extend_from_slice(value);
}

/// Whether the text is one JSON value to its end.
fn is_whole(json: &[u8]) -> bool {
    let mut cursor = Cursor::new(json);
    cursor.value().is_ok() && cursor.peek().is_none()
}
