//! Writers of the formats that other systems keep audit logs in, from the records of the samples.
//!
//! Each gives the bytes of one file. What a format has no place for is left out, as its own writer
//! would leave it out.

use std::io::Write as _;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};

/// A record of a diagnostic setting with the event in it, if it holds one.
#[derive(Debug, Clone)]
pub struct Record {
    pub json: Value,
    pub event: Option<Value>,
}

impl Record {
    fn text(&self, name: &str) -> &str {
        self.json[name].as_str().unwrap_or_default()
    }

    fn property(&self, name: &str) -> Value {
        self.json["properties"][name].clone()
    }

    pub fn category(&self) -> &str {
        self.text("category")
    }

    pub fn cluster(&self) -> String {
        let id = self.json.get("resourceId").or_else(|| self.json.get("resourceID"));
        id.and_then(Value::as_str).unwrap_or_default().to_lowercase()
    }

    /// A workspace keeps seven digits of a second.
    fn time(&self) -> String {
        let time = self.text("time").trim_end_matches('Z');
        format!("{}Z", time.get(..27).unwrap_or(time))
    }
}

/// A table's row: columns with their values, text or JSON.
pub type Row = Vec<(&'static str, Value)>;

/// The row of AKSAudit, AKSAuditAdmin or AKSControlPlane that a workspace makes of a record.
pub fn resource_specific(record: &Record) -> Row {
    let mut row: Row = vec![
        ("TenantId", json!("11111111-2222-4333-8444-555555555555")),
        ("TimeGenerated", json!(record.time())),
        ("SourceSystem", json!("Azure")),
        ("PodName", record.property("pod")),
        ("_ResourceId", json!(record.cluster())),
        ("_BilledSize", json!(1234)),
    ];
    let Some(event) = &record.event else {
        row.extend([
            ("Type", json!("AKSControlPlane")),
            ("Category", json!(record.category())),
            ("Level", json!("INFO")),
            ("Message", record.property("log")),
            ("Stream", record.property("stream")),
        ]);
        return row;
    };
    let table = if record.category() == "kube-audit" { "AKSAudit" } else { "AKSAuditAdmin" };
    row.push(("Type", json!(table)));
    for (column, key) in [
        ("AuditId", "auditID"),
        ("Level", "level"),
        ("Stage", "stage"),
        ("RequestUri", "requestURI"),
        ("Verb", "verb"),
        ("User", "user"),
        ("SourceIps", "sourceIPs"),
        ("UserAgent", "userAgent"),
        ("ObjectRef", "objectRef"),
        ("ResponseStatus", "responseStatus"),
        ("RequestObject", "requestObject"),
        ("ResponseObject", "responseObject"),
        ("RequestReceivedTime", "requestReceivedTimestamp"),
        ("StageReceivedTime", "stageTimestamp"),
        ("Annotations", "annotations"),
    ] {
        row.push((column, event[key].clone()));
    }
    row
}

/// The row of AzureDiagnostics that a workspace makes of a record.
pub fn diagnostics(record: &Record) -> Row {
    vec![
        ("TenantId", json!("11111111-2222-4333-8444-555555555555")),
        ("TimeGenerated", json!(record.time())),
        ("ResourceId", json!(record.cluster().to_uppercase())),
        ("Category", json!(record.category())),
        ("OperationName", record.json["operationName"].clone()),
        ("ResultType", json!("")),
        ("Message", json!("")),
        ("httpStatusCode_d", Value::Null),
        ("log_s", record.property("log")),
        ("pod_s", record.property("pod")),
        ("stream_s", record.property("stream")),
        ("containerID_s", record.property("containerID")),
        ("Type", json!("AzureDiagnostics")),
    ]
}

/// What a column of text shows: dynamic values as JSON.
fn shown(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// All columns of some rows, in the order they are met.
fn columns(rows: &[Row]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for (name, _) in rows.iter().flatten() {
        if !names.contains(name) {
            names.push(*name);
        }
    }
    names
}

fn cell<'a>(row: &'a Row, name: &str) -> &'a Value {
    row.iter().find(|(column, _)| *column == name).map_or(&Value::Null, |(_, value)| value)
}

/// Data export to storage: a row a line; columns without a value are left out.
pub fn json_lines(rows: &[Row]) -> Vec<u8> {
    let line = |row: &Row| {
        let kept = row.iter().filter(|(_, value)| !value.is_null());
        let object: serde_json::Map<String, Value> =
            kept.map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Value::Object(object).to_string() + "\r\n"
    };
    rows.iter().map(line).collect::<String>().into_bytes()
}

/// The query API: dynamic columns are text.
pub fn query_result(rows: &[Row]) -> Vec<u8> {
    let names = columns(rows);
    let types: Vec<Value> = names.iter().map(|name| json!({"name": name, "type": "string"})).collect();
    let value = |row: &Row, name: &str| shown(cell(row, name)).map_or(Value::Null, Value::String);
    let rows: Vec<Value> =
        rows.iter().map(|row| names.iter().map(|name| value(row, name)).collect::<Value>()).collect();
    let table = json!({"name": "PrimaryResult", "columns": types, "rows": rows});
    json!({"tables": [table]}).to_string().into_bytes()
}

/// `2026-03-11T18:05:09.1234567Z` as the portal shows it: to the millisecond.
fn portal_time(text: &str) -> String {
    let time = chrono::DateTime::parse_from_rfc3339(text).unwrap();
    time.format("%-m/%-d/%Y, %-I:%M:%S%.3f %p").to_string()
}

/// The portal's export: times in its own style, with the zone in the header.
pub fn portal_csv(rows: &[Row]) -> Vec<u8> {
    let names = columns(rows);
    let is_time = |name: &str| name == "TimeGenerated" || name.ends_with("ReceivedTime");
    let mut file = csv::WriterBuilder::new().from_writer(b"\xef\xbb\xbf".to_vec());
    let header =
        names.iter().map(|name| if is_time(name) { format!("{name} [UTC]") } else { (*name).into() });
    file.write_record(header).unwrap();
    for row in rows {
        let field = |name: &&'static str| {
            let text = shown(cell(row, name)).unwrap_or_default();
            if is_time(name) && !text.is_empty() { portal_time(&text) } else { text }
        };
        file.write_record(names.iter().map(field)).unwrap();
    }
    file.into_inner().unwrap()
}

/// An export job: columns of text, some row groups.
pub fn parquet(rows: &[Row]) -> Vec<u8> {
    let names = columns(rows);
    let fields: Vec<Field> = names.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(300))
        .build();
    let mut file = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties)).unwrap();
    for rows in rows.chunks(100) {
        let column = |name: &&str| -> ArrayRef {
            Arc::new(rows.iter().map(|row| shown(cell(row, name))).collect::<StringArray>())
        };
        file.write(&RecordBatch::try_new(schema.clone(), names.iter().map(column).collect()).unwrap())
            .unwrap();
    }
    file.into_inner().unwrap()
}

/// The schema that Capture writes.
const CAPTURE: &str = r#"{"type":"record","name":"EventData","namespace":"Microsoft.ServiceBus.Messaging","fields":[{"name":"SequenceNumber","type":"long"},{"name":"Offset","type":"string"},{"name":"EnqueuedTimeUtc","type":"string"},{"name":"SystemProperties","type":{"type":"map","values":["long","double","string","bytes"]}},{"name":"Properties","type":{"type":"map","values":["long","double","string","bytes","null"]}},{"name":"Body","type":["null","bytes"]}]}"#;
pub const SYNC: &[u8; 16] = b"0123456789abcdef";

fn long(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn bytes(value: &[u8], out: &mut Vec<u8>) {
    long(value.len() as i64, out);
    out.extend_from_slice(value);
}

/// Snappy without any matches, and the checksum that Avro puts behind it.
fn snappy(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut length = data.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    for piece in data.chunks(1 << 16) {
        // A literal whose length stands in two bytes.
        out.push(61 << 2);
        out.extend_from_slice(&((piece.len() - 1) as u16).to_le_bytes());
        out.extend_from_slice(piece);
    }
    let mut crc = flate2::Crc::new();
    crc.update(data);
    out.extend_from_slice(&crc.sum().to_be_bytes());
    out
}

/// Event Hubs Capture: each message with its properties, ten to a block, packed with `codec`.
pub fn capture(messages: &[String], codec: &str) -> Vec<u8> {
    let mut file = b"Obj\x01".to_vec();
    long(2, &mut file);
    for (key, value) in [("avro.codec", codec), ("avro.schema", CAPTURE)] {
        bytes(key.as_bytes(), &mut file);
        bytes(value.as_bytes(), &mut file);
    }
    long(0, &mut file);
    file.extend_from_slice(SYNC);
    for (block, messages) in messages.chunks(10).enumerate() {
        let mut data = Vec::new();
        for (i, message) in messages.iter().enumerate() {
            let number = (block * 10 + i) as i64;
            long(number, &mut data);
            bytes((number * 4096).to_string().as_bytes(), &mut data);
            bytes(b"3/11/2026 6:05:09 PM", &mut data);
            // One map of each kind of value, one empty.
            long(2, &mut data);
            bytes(b"x-opt-enqueued-time", &mut data);
            long(0, &mut data);
            long(1_773_252_309_000, &mut data);
            bytes(b"x-opt-partition-key", &mut data);
            long(2, &mut data);
            bytes(b"key", &mut data);
            long(0, &mut data);
            long(0, &mut data);
            long(1, &mut data);
            bytes(message.as_bytes(), &mut data);
        }
        let data = match codec {
            "deflate" => {
                let mut packed = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
                packed.write_all(&data).unwrap();
                packed.finish().unwrap()
            }
            "snappy" => snappy(&data),
            _ => data,
        };
        long(messages.len() as i64, &mut file);
        bytes(&data, &mut file);
        file.extend_from_slice(SYNC);
    }
    file
}

/// Messages as a storage account keeps them: a record a line.
pub fn storage(records: &[Record]) -> Vec<u8> {
    records.iter().map(|record| record.json.to_string() + "\n").collect::<String>().into_bytes()
}

/// What kube-apiserver writes with `--audit-log-path`.
pub fn audit_log(records: &[Record]) -> Vec<u8> {
    let events = records.iter().filter_map(|record| record.event.as_ref());
    events.map(|event| event.to_string() + "\n").collect::<String>().into_bytes()
}

/// What a webhook of kube-apiserver gets.
pub fn event_list(records: &[Record]) -> Vec<u8> {
    let events: Vec<&Value> = records.iter().filter_map(|record| record.event.as_ref()).collect();
    let list = json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": events});
    list.to_string().into_bytes()
}

pub fn gzip(data: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(data).unwrap();
    packed.finish().unwrap()
}
