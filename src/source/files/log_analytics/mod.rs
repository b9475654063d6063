//! Rows of Log Analytics tables, from any file that has a header: which columns there are, what they
//! are called, and a row as the JSON object that the decoder knows.
//!
//! [`Header`] decides whether a table holds a log at all; what it lacks is told in the file's status.
//! Composing an audit event from its columns is the decoder's business: rows that come as JSON lines,
//! or through a hub, need the same.

mod csv;
mod query_result;

#[cfg(test)]
mod tests;

pub(super) use self::csv::{Csv, Looks, delimiter};
pub(super) use query_result::{QueryResult, begins_query_result};

use super::{FileStatus, Lacking};

/// Columns of a row that mean something to the decoder, as it spells them.
const KNOWN: &[&str] = &[
    "TimeGenerated",
    "Type",
    "Category",
    "_ResourceId",
    "ResourceId",
    "AuditId",
    "Level",
    "Stage",
    "Verb",
    "RequestUri",
    "User",
    "SourceIps",
    "UserAgent",
    "ObjectRef",
    "ResponseStatus",
    "RequestReceivedTime",
    "StageReceivedTime",
    "Annotations",
    "RequestObject",
    "ResponseObject",
    "PodName",
    "Message",
    "Stream",
    "log_s",
    "pod_s",
    "stream_s",
    "records",
    "time",
    "category",
    "properties",
];

/// Columns of AKSAudit and AKSAuditAdmin, and the columns of `audit` that each one fills. A cluster is
/// looked for under two names, see [`Header::lacking`].
const AUDIT: &[(&str, &[&str])] = &[
    ("AuditId", &["audit_id"]),
    ("Level", &["level"]),
    ("Stage", &["stage"]),
    ("Verb", &["verb"]),
    ("RequestUri", &["request_uri"]),
    ("User", &["username", "user_uid", "groups", "user_extra", "principal_class"]),
    ("SourceIps", &["source_ips", "client_ip"]),
    ("UserAgent", &["user_agent"]),
    (
        "ObjectRef",
        &["resource", "subresource", "namespace", "name", "api_group", "api_version", "object_uid"],
    ),
    ("ResponseStatus", &["status_code", "status_reason", "status_message"]),
    ("RequestReceivedTime", &["received_time"]),
    ("StageReceivedTime", &["time"]),
    ("Annotations", &["annotations", "decision", "decision_reason"]),
    ("RequestObject", &["request_object"]),
    ("ResponseObject", &["response_object"]),
    ("PodName", &["pod"]),
    ("_ResourceId", &["cluster"]),
];
const DIAGNOSTICS: &[&str] = &["TimeGenerated", "Category", "ResourceId", "pod_s"];
const CONTROL_PLANE: &[&str] = &["TimeGenerated", "Category", "_ResourceId", "PodName"];

/// The columns of `audit` that stay empty when a table lacks these columns.
pub fn audit_columns(lacking: &Lacking) -> Vec<&'static str> {
    let lacks = |name: &&str| lacking.columns.contains(name);
    let mut empty: Vec<&'static str> =
        AUDIT.iter().filter(|(name, _)| lacks(name)).flat_map(|(_, fills)| fills.iter().copied()).collect();
    if lacks(&"RequestObject") && lacks(&"ResponseObject") {
        empty.push("object");
    }
    empty
}

/// Names listed in a message beyond this many are counted.
const NAMED: usize = 12;

/// What is wrong with a table none of whose columns hold a log.
pub(super) fn unknown(names: &[String]) -> String {
    let mut text = names.iter().take(NAMED).map(|name| clipped(name)).collect::<Vec<_>>().join(", ");
    if names.len() > NAMED {
        text += &format!(" and {} more", names.len() - NAMED);
    }
    format!("a table without the columns of an audit log; it has {text}")
}

fn clipped(name: &str) -> String {
    if name.chars().count() <= 40 { name.into() } else { name.chars().take(39).chain(['…']).collect() }
}

/// The columns of a table that holds a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    columns: Vec<Option<Column>>,
    zone: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Column {
    name: &'static str,
    /// What is appended to each value, for times whose zone stands in the header.
    offset: String,
}

/// One value of a row.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cell<'a> {
    Null,
    /// Text as it is meant; need not be UTF-8.
    Text(&'a [u8]),
    /// A JSON value.
    Json(&'a [u8]),
}

impl Header {
    /// Reads the names of a table's columns; `None` if they are not those of a log. Names are known in
    /// any case, with the zone that the portal puts behind those of times.
    pub fn new<T: AsRef<str>>(names: &[T]) -> Option<Self> {
        let mut zone = false;
        let column = |given: &T| {
            let given = given.as_ref().trim();
            let (name, suffix) = match given.strip_suffix(']').and_then(|rest| rest.split_once('[')) {
                Some((name, suffix)) => (name.trim_end(), Some(suffix.trim())),
                None => (given, None),
            };
            // `category` and `Category` are two names of one thing; the exact one is meant first.
            let exact = KNOWN.iter().find(|known| **known == name);
            let known = exact.or_else(|| KNOWN.iter().find(|known| known.eq_ignore_ascii_case(name)))?;
            let offset = suffix.map(offset);
            zone |= offset == Some(None);
            Some(Column { name: known, offset: offset.flatten().unwrap_or_default() })
        };
        let columns = names.iter().map(column).collect();
        let header = Self { columns, zone };
        header.is_log().then_some(header)
    }

    /// Indexes of the columns that mean something.
    pub fn used(&self) -> impl Iterator<Item = usize> {
        self.columns.iter().enumerate().filter(|(_, column)| column.is_some()).map(|(i, _)| i)
    }

    pub fn len(&self) -> usize {
        self.columns.len()
    }

    fn has(&self, name: &str) -> bool {
        self.columns.iter().flatten().any(|column| column.name == name)
    }

    fn is_audit(&self) -> bool {
        self.has("AuditId") || self.has("Verb") && self.has("RequestUri")
    }

    fn is_log(&self) -> bool {
        let control = self.has("Message") && ["PodName", "Stream", "Category"].iter().any(|n| self.has(n));
        let envelope = self.has("properties") && (self.has("category") || self.has("time"));
        self.is_audit() || self.has("log_s") || control || self.has("records") || envelope
    }

    /// How a file with this header ends that was read to its end.
    pub fn status(&self) -> FileStatus {
        let cluster = self.has("_ResourceId") || self.has("ResourceId");
        let lacks = |name: &&'static str| !(self.has(name) || cluster && name.ends_with("ResourceId"));
        let columns: Vec<&'static str> = if self.has("log_s") {
            DIAGNOSTICS.iter().copied().filter(lacks).collect()
        } else if self.is_audit() {
            AUDIT.iter().map(|(name, _)| *name).filter(lacks).collect()
        } else if self.has("Message") {
            CONTROL_PLANE.iter().copied().filter(lacks).collect()
        } else {
            Vec::new()
        };
        if columns.is_empty() && !self.zone {
            return FileStatus::Ok;
        }
        FileStatus::Lacking(Lacking { columns, zone: self.zone })
    }

    /// Appends a row as an object of the known columns, and a newline; one cell for each column.
    pub fn row<'a>(&self, cells: impl Iterator<Item = Cell<'a>>, out: &mut Vec<u8>) {
        let start = out.len();
        for (column, cell) in self.columns.iter().zip(cells) {
            let Some(Column { name, offset }) = column else { continue };
            out.push(if out.len() == start { b'{' } else { b',' });
            out.push(b'"');
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            write(cell, offset, out);
        }
        out.extend_from_slice(b"}\n");
    }
}

/// Appends what stands in the place of a row and does not fit its header: an object that is no record,
/// so that the decoder counts it as a reject and shows it.
fn misfit(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"row\":");
    write(Cell::Text(text), "", out);
    out.extend_from_slice(b"}\n");
}

fn write(cell: Cell<'_>, offset: &str, out: &mut Vec<u8>) {
    match cell {
        Cell::Null | Cell::Text(b"") => out.extend_from_slice(b"null"),
        Cell::Json(json) => out.extend_from_slice(json),
        Cell::Text(text) => {
            let mut text = String::from_utf8_lossy(text);
            if !offset.is_empty() {
                text.to_mut().push_str(offset);
            }
            // Text always has a JSON form, and a Vec takes any.
            if serde_json::to_writer(&mut *out, &text).is_err() {
                out.extend_from_slice(b"null");
            }
        }
    }
}

/// The offset that a zone in a header stands for, as it is written behind a time; `None` if unknown.
fn offset(zone: &str) -> Option<String> {
    if zone.eq_ignore_ascii_case("utc") || zone.eq_ignore_ascii_case("gmt") {
        return Some(String::new());
    }
    let upper = zone.to_ascii_uppercase();
    let rest = upper.strip_prefix("UTC").or(upper.strip_prefix("GMT")).unwrap_or(&upper).trim();
    let sign = rest.chars().next().filter(|c| matches!(c, '+' | '-'))?;
    let (hours, minutes) = rest.get(1..)?.split_once(':').unwrap_or((rest.get(1..)?, "00"));
    let number = |text: &str, below: u32| {
        let digits = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u32>().ok().filter(|n| digits && *n < below)
    };
    Some(format!(" {sign}{:02}:{:02}", number(hours, 24)?, number(minutes, 60)?))
}
