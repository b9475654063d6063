//! The record around a log line: Azure's diagnostic envelope in the two ages the samples have, and the
//! message body that carries about twenty of them.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value, json};

use super::cluster::{Cluster, Envelope};
use super::event::Event;
use super::klog::Line;
use super::random::Random;

/// Bytes of an audit event the pipeline keeps; what is longer is cut there.
pub const CUT: usize = 16 * 1024;

/// A diagnostic record, and what it is for the account of the samples.
#[derive(Debug, Clone)]
pub struct Record {
    /// Upload time, nanoseconds since the epoch.
    pub time: i64,
    pub category: &'static str,
    /// `properties.log`, without its final newline.
    pub log: String,
    /// Audit id and stage of an audit event.
    pub audit: Option<(String, &'static str)>,
    /// The log was longer than [`CUT`] and lost its end.
    pub truncated: bool,
    /// Which of the API-server pods wrote it, or the pod of another component.
    pub pod: String,
    pub container: String,
    pub stream: &'static str,
}

impl Record {
    /// An audit event under `category`.
    pub fn audit(cluster: &Cluster, event: &Event, category: &'static str, random: &mut Random) -> Self {
        let mut log = event.text();
        let truncated = log.len() > CUT;
        if truncated {
            log.truncate(log.floor_char_boundary(CUT));
        }
        // The same API server answered it, whichever category tells of it.
        let first = event.audit_id.bytes().fold(0, |sum, b| sum ^ b).is_multiple_of(2);
        let (pod, container) = cluster.apiservers[usize::from(!first)].clone();
        Self {
            time: event.at * 1000 + random.between(90_000, 2_900_000),
            category,
            log,
            audit: Some((event.audit_id.clone(), event.stage)),
            truncated,
            pod,
            container,
            stream: "stdout",
        }
    }

    pub fn line(cluster: &Cluster, line: &Line, random: &mut Random) -> Self {
        let (pod, container) = match line.category {
            "kube-apiserver" => cluster.apiservers[0].clone(),
            category => (format!("{category}-{}", cluster.component.0), cluster.component.1.clone()),
        };
        Self {
            time: line.at * 1000 + random.between(1_000, 1_999),
            category: line.category,
            log: line.text.clone(),
            audit: None,
            truncated: false,
            pod,
            container,
            stream: "stderr",
        }
    }

    /// The record's JSON in the shape of its cluster's region.
    pub fn text(&self, cluster: &Cluster) -> String {
        const OPERATION: &str = "Microsoft.ContainerService/managedClusters/diagnosticLogs/Read";
        let newline = if self.truncated { "" } else { "\n" };
        let log = json!(format!("{}{newline}", self.log)).to_string();
        if cluster.envelope == Envelope::Second {
            let container = match self.audit {
                Some(_) => String::new(),
                None => format!(",\"containerID\":\"{}\"", self.container),
            };
            return format!(
                "{{\"operationName\":\"{OPERATION}\",\"category\":\"{}\",\"ccpNamespace\":\"{}\",\"resourceId\":\"{}\",\"properties\":{{\"log\":{log},\"stream\":\"{}\",\"pod\":\"{}\"{container}}},\"time\":\"{}\",\"Cloud\":\"AzureCloud\",\"Environment\":\"prod\",\"UnderlayClass\":\"hcp-underlay\",\"UnderlayName\":\"hcp-underlay-eastus-cx-387\"}}",
                self.category,
                cluster.ccp_namespace,
                cluster.resource_id,
                self.stream,
                self.pod,
                self.clock(SecondsFormat::Secs).replace('Z', ".0000000Z")
            );
        }
        let log = match cluster.envelope {
            Envelope::ThirdEscaped => log.replace('/', "\\/"),
            _ => log,
        };
        // The pipeline writes the properties in no particular order.
        let order =
            [[0, 1, 2, 3], [2, 0, 3, 1], [3, 2, 0, 1], [1, 3, 2, 0]][(self.time.unsigned_abs() % 4) as usize];
        let fields = [
            format!("\"log\":{log}"),
            format!("\"pod\":\"{}\"", self.pod),
            format!("\"containerID\":\"{}\"", self.container),
            format!("\"stream\":\"{}\"", self.stream),
        ];
        let properties = order.map(|n| fields[n].as_str()).join(",");
        format!(
            "{{\"category\":\"{}\",\"operationName\":\"{OPERATION}\",\"properties\":{{{properties}}},\"resourceId\":\"{}\",\"serviceBuild\":\"na\",\"time\":\"{}\"}}",
            self.category,
            cluster.resource_id,
            self.clock(SecondsFormat::Nanos)
        )
    }

    fn clock(&self, digits: SecondsFormat) -> String {
        DateTime::from_timestamp_nanos(self.time).to_rfc3339_opts(digits, true)
    }

    /// What makes two records the same thing for the engine, but for the cluster.
    pub fn identity(&self) -> Value {
        let mut map = Map::new();
        match &self.audit {
            Some((id, stage)) => {
                map.insert("audit".into(), json!([id, stage]));
            }
            None => {
                map.insert("line".into(), json!([self.log, self.time]));
            }
        }
        Value::Object(map)
    }
}

/// An Event Hubs message body.
pub fn message(records: &[String]) -> String {
    format!("{{\"records\":[{}]}}", records.join(","))
}
