//! Rows of the table in Sentinel, and bodies of requests made of them. Columns are part of the contract.
//! A row is never longer than a body may be: what is long is shortened, evidence first, and what had to go
//! is marked. Sending is the sink's.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::cut;
use crate::alert::{Alert, Object};

/// Columns and their types, as the data collection rule declares them.
pub const COLUMNS: [(&str, &str); 17] = [
    ("TimeGenerated", "datetime"),
    ("EventTime", "datetime"),
    ("AlertId", "string"),
    ("Rule", "string"),
    ("Title", "string"),
    ("Severity", "string"),
    ("Cluster", "string"),
    ("Key", "dynamic"),
    ("Summary", "string"),
    ("Count", "long"),
    ("FirstSeen", "datetime"),
    ("LastSeen", "datetime"),
    ("Tactic", "string"),
    ("Attack", "dynamic"),
    ("AuditIds", "dynamic"),
    ("Evidence", "dynamic"),
    ("Replayed", "boolean"),
];

/// Longest body, not compressed, with brackets and commas. The service refuses 1,048,576 bytes and more;
/// the rest is left for what it may count beside the body.
pub const MAX_BODY: usize = 1_000_000;

/// The service itself cuts longer values, without saying so.
const MAX_FIELD: usize = 64 * 1024;

/// A row to send: which alert it is of, and its JSON text.
#[derive(Debug)]
pub struct Row {
    pub alert: usize,
    pub json: Vec<u8>,
}

/// The alert's row in at most `limit` bytes; `None` if even the shortest form is longer.
pub fn row(alert: &Alert, time_generated: &str, limit: usize) -> Option<Vec<u8>> {
    std::iter::once(Room::WHOLE).chain(Room::SMALLER).find_map(|room| {
        let json = serde_json::to_vec(&Columns::new(alert, time_generated, room)).ok()?;
        (json.len() <= limit).then_some(json)
    })
}

/// Bodies of at most [`MAX_BODY`] bytes, filled in order.
pub fn pack(rows: impl IntoIterator<Item = Row>) -> Vec<Vec<Row>> {
    let mut bodies: Vec<Vec<Row>> = Vec::new();
    let mut len = 0;
    for row in rows {
        // The comma before it, or the brackets around it.
        match bodies.last_mut() {
            Some(body) if len + 1 + row.json.len() <= MAX_BODY => {
                len += 1 + row.json.len();
                body.push(row);
            }
            _ => {
                len = 2 + row.json.len();
                bodies.push(vec![row]);
            }
        }
    }
    bodies
}

/// The JSON array of `rows`.
pub fn body(rows: &[Row]) -> Vec<u8> {
    let len = rows.iter().map(|row| row.json.len() + 1).sum::<usize>() + 1;
    let mut body = Vec::with_capacity(len.max(2));
    body.push(b'[');
    for (i, row) in rows.iter().enumerate() {
        if i > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&row.json);
    }
    body.push(b']');
    body
}

/// How long columns may be.
#[derive(Debug, Clone, Copy)]
struct Room {
    evidence: usize,
    others: usize,
    /// Whether text is measured as it is in JSON, where a control character takes six bytes. The service
    /// measures values, so that a row that fits is not cut for its escapes.
    escaped: bool,
}

impl Room {
    const WHOLE: Self = Self { evidence: MAX_FIELD, others: MAX_FIELD, escaped: false };
    /// For a row that is too long: evidence gives way first.
    const SMALLER: [Self; 7] = [
        Self::escaped(16_384, MAX_FIELD),
        Self::escaped(4_096, MAX_FIELD),
        Self::escaped(4_096, 16_384),
        Self::escaped(1_024, 4_096),
        Self::escaped(512, 1_024),
        Self::escaped(128, 256),
        Self::escaped(cut::LEAST, 64),
    ];

    const fn escaped(evidence: usize, others: usize) -> Self {
        Self { evidence, others, escaped: true }
    }

    fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.escaped { cut::json_text(text, self.others) } else { cut::text(text, self.others) }
    }

    fn time<'a>(&self, time: Option<&'a str>) -> Option<Cow<'a, str>> {
        time.map(|time| self.text(time))
    }
}

/// A row, its members in the order of [`COLUMNS`].
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Columns<'a> {
    /// When it is sent. Older than two days is rewritten by the service, so that the event's own time has
    /// a column of its own.
    time_generated: &'a str,
    event_time: Option<Cow<'a, str>>,
    /// Never shortened: consumers find repeats by it.
    alert_id: &'a str,
    rule: Cow<'a, str>,
    title: Cow<'a, str>,
    /// The alert's own word. Sentinel knows no "critical": the analytics rule maps it, so that the table
    /// keeps what only it can tell.
    severity: &'a str,
    cluster: Option<Cow<'a, str>>,
    key: Dynamic<'a>,
    summary: Cow<'a, str>,
    /// Of a signed type.
    count: u64,
    first_seen: Option<Cow<'a, str>>,
    last_seen: Option<Cow<'a, str>>,
    tactic: Cow<'a, str>,
    attack: Dynamic<'a>,
    audit_ids: Dynamic<'a>,
    evidence: Dynamic<'a>,
    replayed: bool,
}

impl<'a> Columns<'a> {
    fn new(alert: &'a Alert, time_generated: &'a str, room: Room) -> Self {
        let first_seen = alert.first_seen.as_deref();
        Self {
            time_generated,
            event_time: room.time(first_seen),
            alert_id: &alert.id,
            rule: room.text(&alert.rule),
            title: room.text(&alert.title),
            severity: alert.severity.as_str(),
            cluster: alert.cluster.as_deref().map(|cluster| room.text(cluster)),
            key: Dynamic::object(&alert.key, room.others),
            summary: room.text(&alert.summary),
            count: alert.count.min(i64::MAX.unsigned_abs()),
            first_seen: room.time(first_seen),
            last_seen: room.time(alert.last_seen.as_deref()),
            tactic: room.text(&alert.tactic),
            attack: Dynamic::list(&alert.attack, room.others),
            audit_ids: Dynamic::list(&alert.audit_ids, room.others),
            evidence: Dynamic::object(&alert.evidence, room.evidence),
            replayed: alert.replayed,
        }
    }
}

/// A column that holds JSON.
enum Dynamic<'a> {
    Object(&'a Object),
    List(&'a [String]),
    Shortened(Value),
}

impl<'a> Dynamic<'a> {
    fn object(object: &'a Object, limit: usize) -> Self {
        if cut::json_len(object) <= limit {
            Self::Object(object)
        } else {
            Self::Shortened(Value::Object(cut::object(object, limit)))
        }
    }

    fn list(list: &'a [String], limit: usize) -> Self {
        if cut::json_len(&list) <= limit {
            return Self::List(list);
        }
        let items: Vec<Value> = list.iter().map(|item| Value::String(item.clone())).collect();
        Self::Shortened(Value::Array(cut::array(&items, limit)))
    }
}

impl Serialize for Dynamic<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Object(object) => object.serialize(serializer),
            Self::List(list) => list.serialize(serializer),
            Self::Shortened(value) => value.serialize(serializer),
        }
    }
}
