//! The scenario as files: Event Hubs bodies by day, a storage account's tree of one cluster's evening,
//! and the account of both that tests compare with.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use anyhow::Context;
use flate2::{Compression, GzBuilder};
use serde_json::{Map, Value, json};

use crate::model::envelope::{Record, message};
use crate::scenario::Scenario;
use crate::tale::{HOUR, MINUTE, moment};

/// Path below `samples/` and contents.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A message holds at most this many records …
const RECORDS: usize = 22;
/// … of at most this long a time, so that nothing arrives later than that.
const SPAN: i64 = 8 * MINUTE * 1000;
const DAY: i64 = 24 * HOUR * 1000;

/// Records of one cluster that are sent together.
#[derive(Debug, Clone)]
struct Message {
    cluster: usize,
    /// Upload time of the last record, by which messages are in order.
    sent: i64,
    /// Numbers into the scenario's records.
    records: Vec<usize>,
}

/// How the first day and the second are split: name, first hour, whether compressed.
const PARTS: [(&str, i64, bool); 5] = [
    ("2026-03-10-part-1.ndjson", 0, false),
    ("2026-03-10-part-2.ndjson.gz", 4, true),
    ("2026-03-11-part-1.ndjson", 24, false),
    ("2026-03-11-part-2.ndjson", 24 + 12, false),
    ("2026-03-11-part-3.ndjson", 24 + 19, false),
];

/// Every file but the README.
pub fn files(scenario: &Scenario) -> anyhow::Result<Files> {
    let mut files = Files::new();
    let mut hub = Account::default();
    let mut parts: Vec<String> = vec![String::new(); PARTS.len()];
    for sent in deliveries(scenario) {
        let hour = (sent.sent - moment(1, 0, 0, 0) * 1000) / (HOUR * 1000);
        let part = PARTS.iter().rposition(|(_, from, _)| *from <= hour).unwrap_or(0);
        let texts: Vec<String> = sent
            .records
            .iter()
            .map(|n| {
                hub.add(scenario, *n);
                scenario.records[*n].1.text(&scenario.clusters[sent.cluster])
            })
            .collect();
        parts[part] += &message(&texts);
        parts[part].push('\n');
        hub.messages += 1;
    }
    for ((name, _, compressed), text) in PARTS.iter().zip(parts) {
        let bytes = if *compressed { gzip(text.as_bytes())? } else { text.into_bytes() };
        files.insert(format!("hub/{name}"), bytes);
    }

    let mut storage = Account::default();
    let mut both = hub.clone();
    for (n, (cluster, record)) in scenario.records.iter().enumerate() {
        let Some(path) = blob(scenario, *cluster, record) else { continue };
        for account in [&mut storage, &mut both] {
            account.add(scenario, n);
            account.messages += 1;
        }
        let file = files.entry(path).or_default();
        file.extend(record.text(&scenario.clusters[*cluster]).as_bytes());
        file.push(b'\n');
    }
    let expected = json!({
        "hub": hub.json(), "storage": storage.json(), "hub_and_storage": both.json(),
        "rules": rules(scenario),
    });
    let text = serde_json::to_string_pretty(&expected).context("cannot write expected.json")?;
    files.insert("expected.json".into(), (text + "\n").into_bytes());
    Ok(files)
}

/// The messages in the order they were sent, some of them twice.
fn deliveries(scenario: &Scenario) -> Vec<Message> {
    let mut open: Vec<Option<Message>> = vec![None; scenario.clusters.len()];
    let mut done = Vec::new();
    for (n, (cluster, record)) in scenario.records.iter().enumerate() {
        let slot = &mut open[*cluster];
        let full = slot.as_ref().is_some_and(|m| {
            let first = m.records.first().map_or(0, |n| scenario.records[*n].1.time);
            m.records.len() == RECORDS || record.time - first > SPAN || first / DAY != record.time / DAY
        });
        if full {
            done.extend(slot.take());
        }
        let message = slot.get_or_insert(Message { cluster: *cluster, sent: 0, records: Vec::new() });
        message.sent = record.time;
        message.records.push(n);
    }
    done.extend(open.into_iter().flatten());
    done.sort_by_key(|m| (m.sent, m.cluster));
    // Event Hubs delivers at least once: most repeats follow at once, one comes an hour later.
    let repeats: Vec<Message> = done
        .iter()
        .enumerate()
        .filter(|(n, _)| n % 131 == 70)
        .map(|(n, m)| {
            let later = if n == 201 { HOUR } else { MINUTE };
            Message { sent: m.sent + later * 1000, ..m.clone() }
        })
        .filter(|m| m.sent < moment(3, 0, 0, 0) * 1000)
        .collect();
    done.extend(repeats);
    done.sort_by_key(|m| (m.sent, m.cluster));
    done
}

fn gzip(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut gz = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    gz.write_all(bytes).and_then(|()| gz.finish()).context("cannot compress a part")
}

/// Path of the storage account's blob for a record, if it is in the slice that is written: the first
/// cluster's second day from 18:00 on.
fn blob(scenario: &Scenario, cluster: usize, record: &Record) -> Option<String> {
    let from = moment(2, 18, 0, 0) * 1000;
    if cluster != 0 || record.time < from {
        return None;
    }
    let hour = chrono::DateTime::from_timestamp_nanos(record.time).format("y=%Y/m=%m/d=%d/h=%H/m=00");
    let resource = &scenario.clusters[cluster].resource_id;
    Some(format!("storage/insights-logs-{}/resourceId={resource}/{hour}/PT1H.json", record.category))
}

/// What a run over the files must count.
#[derive(Debug, Clone, Default)]
struct Account {
    messages: u64,
    records: u64,
    events: u64,
    control_plane: u64,
    duplicates: u64,
    truncated: u64,
    categories: BTreeMap<&'static str, u64>,
    seen: BTreeSet<(usize, String)>,
}

impl Account {
    fn add(&mut self, scenario: &Scenario, n: usize) {
        let (cluster, record) = &scenario.records[n];
        self.records += 1;
        *self.categories.entry(record.category).or_default() += 1;
        // Lines of other categories have no identity: two that are equal may both have happened.
        if record.audit.is_none() {
            self.control_plane += 1;
        } else if !self.seen.insert((*cluster, record.identity().to_string())) {
            self.duplicates += 1;
        } else {
            self.events += 1;
            self.truncated += u64::from(record.truncated);
        }
    }

    fn json(&self) -> Value {
        json!({"messages": self.messages, "records": self.records, "events": self.events,
            "control_plane": self.control_plane, "duplicates": self.duplicates,
            "truncated": self.truncated, "categories": self.categories})
    }
}

/// Per rule the events that take part, as the story has them.
fn rules(scenario: &Scenario) -> Value {
    let cluster = scenario.clusters[0].resource_id.to_lowercase();
    let mut rules: BTreeMap<&str, Vec<&crate::model::event::Event>> = BTreeMap::new();
    for deed in scenario.steps.iter().flat_map(|s| &s.deeds) {
        for rule in &deed.rules {
            rules.entry(rule).or_default().push(&deed.event);
        }
    }
    let mut all: Map<String, Value> = rules
        .into_iter()
        .map(|(rule, mut events)| {
            events.sort_by_key(|e| e.at);
            let time =
                |at: Option<&&crate::model::event::Event>| at.map(|e| crate::model::event::micros(e.at));
            let ids: Vec<&str> = events.iter().map(|e| e.audit_id.as_str()).collect();
            let value = json!({"cluster": cluster, "first": time(events.first()), "last": time(events.last()),
                "events": ids.len(), "audit_ids": ids});
            (rule.to_owned(), value)
        })
        .collect();
    let last = scenario.records.iter().filter(|(n, _)| *n == 0).map(|(_, r)| r.time / 1000).max();
    all.insert(
        "cluster-silent".into(),
        json!({"cluster": cluster, "first": last.map(crate::model::event::micros), "events": 0, "audit_ids": []}),
    );
    Value::Object(all)
}
