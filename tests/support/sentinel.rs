//! A stand-in for the Logs Ingestion API: takes what the service would take and keeps the rows by alert id.
//! It is stricter than the service where that would drop rows without a word: unknown or missing columns,
//! values of a wrong type, and fields that would be cut.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use chrono::DateTime;
use flate2::read::GzDecoder;
use serde_json::{Value, json};

use super::http::{Answer, Request, Server};

pub const RULE_ID: &str = "dcr-0123456789abcdef0123456789abcdef";
pub const STREAM: &str = "Custom-AksentryAlerts";

const MAX_BODY: usize = 1_048_576;
const MAX_FIELD: usize = 65_536;

const COLUMNS: &[(&str, &str)] = &[
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

type Rows = Arc<Mutex<BTreeMap<String, Vec<Value>>>>;

/// The stand-in; what it can be told to answer is the [`Server`]'s.
pub struct Sentinel {
    server: Server,
    rows: Rows,
    limit: Arc<AtomicUsize>,
    too_large: Arc<AtomicUsize>,
}

impl Sentinel {
    /// Starts one that takes this token and refuses any request in which a row has one of these ids.
    pub async fn start(token: &str, refused: &'static [&'static str]) -> Self {
        let rows = Rows::default();
        let kept = Arc::clone(&rows);
        let token = token.to_owned();
        let (limit, too_large) = (Arc::new(AtomicUsize::new(usize::MAX)), Arc::<AtomicUsize>::default());
        let (most, count) = (Arc::clone(&limit), Arc::clone(&too_large));
        let server = Server::start(move |request| match check(request, &token, refused) {
            Ok(rows) if rows.len() > most.load(Ordering::Relaxed) => {
                count.fetch_add(1, Ordering::Relaxed);
                fault(413, "ContentLengthLimitExceeded", "Maximum allowed content length exceeded")
            }
            Ok(rows) => {
                let mut kept = kept.lock().unwrap();
                for row in rows {
                    kept.entry(row["AlertId"].as_str().unwrap().to_owned()).or_default().push(row);
                }
                Answer::status(204, "")
            }
            Err((status, code, message)) => fault(status, code, &message),
        })
        .await;
        Self { server, rows, limit, too_large }
    }

    /// From now on a request with more rows than this is too large.
    pub fn limit(&self, rows: usize) {
        self.limit.store(rows, Ordering::Relaxed);
    }

    /// How many requests were too large.
    pub fn too_large(&self) -> usize {
        self.too_large.load(Ordering::Relaxed)
    }

    /// Rows stored, by alert id; more than one where an alert was sent again.
    pub fn rows(&self) -> BTreeMap<String, Vec<Value>> {
        self.rows.lock().unwrap().clone()
    }
}

impl Deref for Sentinel {
    type Target = Server;
    fn deref(&self) -> &Server {
        &self.server
    }
}

/// An answer as the service words it.
pub fn fault(status: u16, code: &str, message: &str) -> Answer {
    let body = json!({"error": {"code": code, "message": message}}).to_string();
    Answer::status(status, &body).with("x-ms-error-code", code).with("content-type", "application/json")
}

type Fault = (u16, &'static str, String);

/// The rows of a request, if it is as the service wants it.
pub fn check(request: &Request, token: &str, refused: &[&str]) -> Result<Vec<Value>, Fault> {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    if request.method != "POST" || path != format!("/dataCollectionRules/{RULE_ID}/streams/{STREAM}") {
        return Err((404, "NotFound", format!("nothing takes {} {path}", request.method)));
    }
    if query != "api-version=2023-01-01" {
        return Err((400, "InvalidApiVersion", format!("api-version is missing or unknown in {query}")));
    }
    if request.header("authorization") != Some(&format!("Bearer {token}")) {
        return Err((401, "AuthenticationFailed", "the token is missing, expired or not for us".to_owned()));
    }
    if request.header("content-type") != Some("application/json") {
        return Err((415, "UnsupportedMediaType", "the body must be JSON".to_owned()));
    }
    let body = match request.header("content-encoding") {
        None => request.body.to_vec(),
        Some("gzip") => {
            let mut body = Vec::new();
            let done = GzDecoder::new(&request.body[..]).read_to_end(&mut body);
            done.map_err(|error| (400, "InvalidGzip", error.to_string()))?;
            body
        }
        Some(other) => return Err((415, "UnsupportedEncoding", other.to_owned())),
    };
    if body.len() > MAX_BODY || request.body.len() > MAX_BODY {
        let message = "Maximum allowed content length: 1048576 bytes (1 MB)".to_owned();
        return Err((413, "ContentLengthLimitExceeded", message));
    }
    let Ok(Value::Array(rows)) = serde_json::from_slice(&body) else {
        return Err((400, "InvalidPayload", "the body must be an array of objects".to_owned()));
    };
    for row in &rows {
        check_row(row).map_err(|message| (400, "InvalidRecord", message))?;
        if let Some(id) = refused.iter().find(|id| row["AlertId"] == **id) {
            return Err((400, "InvalidRecord", format!("record {id} cannot be stored")));
        }
    }
    Ok(rows)
}

fn check_row(row: &Value) -> Result<(), String> {
    let members = row.as_object().ok_or("a record is not an object")?;
    let names: Vec<&str> = members.keys().map(String::as_str).collect();
    let columns: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
    if names != columns {
        return Err(format!("columns are {names:?}"));
    }
    for (name, kind) in COLUMNS {
        let value = &row[*name];
        let (fits, len) = match *kind {
            "string" => (value.is_string() || value.is_null(), value.as_str().unwrap_or_default().len()),
            "long" => (value.as_i64().is_some(), 0),
            "boolean" => (value.is_boolean(), 0),
            "dynamic" => (value.is_object() || value.is_array(), value.to_string().len()),
            _ => {
                let time = value.as_str().map(DateTime::parse_from_rfc3339);
                (value.is_null() || time.is_some_and(|time| time.is_ok()), 0)
            }
        };
        if !fits || len > MAX_FIELD {
            return Err(format!("{name} is no {kind}, or too long ({len} bytes)"));
        }
    }
    Ok(())
}
