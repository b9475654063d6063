//! One row of a rule's result, as what an alert is made of.

use arrow::array::{Array, RecordBatch};
use serde_json::Value;

use super::rows::Rows;
use crate::alert::Object;
use crate::event::cluster_name;
use crate::event::value::to_json;
use crate::rules::Detection;

/// Output columns that set an alert's times and so are not evidence.
const TIMES: [&str; 2] = ["first_seen", "last_seen"];

/// An event that raised an alert: its place in time order, and its audit id if it has one.
pub type Event = (i64, u64, Option<String>);

/// What one result row says.
#[derive(Debug)]
pub struct Firing {
    pub cluster: Option<String>,
    pub key: Object,
    pub summary: String,
    pub evidence: Object,
    /// Microseconds; from the columns of that name, else from the events.
    pub first_seen: Option<i64>,
    pub last_seen: Option<i64>,
    /// The events that raised it, in order of time.
    pub events: Vec<Event>,
}

impl Firing {
    /// Reads row `row` of a rule's output; times and events are left to the caller.
    pub fn read(rule: &Detection, output: &RecordBatch, row: usize) -> Firing {
        let (key, mut evidence) = (key_of(rule, output, row), Object::new());
        let value = |name: &str| value_of(output, name, row);
        for field in output.schema().fields() {
            let name = field.name();
            if !rule.key.contains(name) && !TIMES.contains(&name.as_str()) {
                evidence.insert(name.clone(), value(name));
            }
        }
        let cluster = value("cluster").as_str().map(String::from);
        let summary = rule.render_summary(|column| match value(column) {
            Value::Null => "(unknown)".into(),
            // A resource id is 150 characters; people know a cluster by its name.
            Value::String(id) if column == "cluster" => cluster_name(&id).into(),
            Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
            other => plain(&other),
        });
        let [first_seen, last_seen] = TIMES.map(|name| time(output, name, row));
        Firing { cluster, key, summary, evidence, first_seen, last_seen, events: Vec::new() }
    }

    /// The rows of a window's parts that have this alert's key, each event once, in order of time.
    pub fn events_of(&self, parts: &[Rows]) -> Vec<Event> {
        let mut events: Vec<Event> = Vec::new();
        for rows in parts {
            let columns: Vec<_> =
                self.key.iter().filter_map(|(name, value)| Some((rows.column(name)?, value))).collect();
            for row in 0..rows.len() {
                if columns.iter().all(|(column, value)| to_json(column, row) == **value) {
                    let (time, id) = rows.order(row);
                    events.push((time, id, rows.audit_id(row).map(String::from)));
                }
            }
        }
        events.sort_unstable();
        events.dedup();
        events
    }
}

/// The key that row `row` of a rule's output gives an alert.
pub fn key_of(rule: &Detection, output: &RecordBatch, row: usize) -> Object {
    rule.key.iter().map(|name| (name.clone(), value_of(output, name, row))).collect()
}

fn value_of(output: &RecordBatch, name: &str, row: usize) -> Value {
    output.column_by_name(name).map_or(Value::Null, |column| to_json(column, row))
}

/// The event behind one kept row.
pub fn event_of(rows: &Rows, row: usize) -> Event {
    let (time, id) = rows.order(row);
    (time, id, rows.audit_id(row).map(String::from))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), String::from)
}

/// A timestamp column's value in microseconds.
fn time(output: &RecordBatch, name: &str, row: usize) -> Option<i64> {
    use arrow::array::AsArray;
    use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
    let column = output.column_by_name(name)?;
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    let cast = arrow::compute::cast(column, &micros).ok()?;
    let times = cast.as_primitive_opt::<TimestampMicrosecondType>()?;
    times.is_valid(row).then(|| times.value(row))
}
