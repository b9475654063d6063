//! Every metric of the service. Labels are bounded: rules, sinks, partitions, reasons; never names of
//! people or objects.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Partition {
    pub partition: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Outcome {
    pub outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Rule {
    pub rule: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RuleSeverity {
    pub rule: String,
    pub severity: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Sink {
    pub sink: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SinkOutcome {
    pub sink: String,
    pub outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Queue {
    pub queue: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Reason {
    pub reason: String,
}

type FloatGauge = Gauge<f64, AtomicU64>;
type FloatCounter = Counter<f64, AtomicU64>;

/// All metrics; shared by everything that runs.
#[derive(Debug, Default)]
pub struct Metrics {
    registry: Registry,

    pub messages: Family<Partition, Counter>,
    pub bytes: Counter,
    /// Outcome: `event`, `control_plane`, `duplicate`, or the reason a record was rejected.
    pub records: Family<Outcome, Counter>,
    pub truncated: Counter,
    /// Seconds between an event and its arrival here.
    pub event_delay: Seconds,
    /// Messages in the hub that were not taken yet.
    pub lag: Family<Partition, Gauge>,
    /// 1 while the hub has messages of the partition and none arrive.
    pub stalled: Family<Partition, Gauge>,
    pub partitions_owned: Gauge,
    /// Reason: `error`, `stalled`, `stolen`.
    pub reconnects: Family<Reason, Counter>,

    pub alerts: Family<RuleSeverity, Counter>,
    pub rule_failures: Family<Rule, Counter>,
    /// Time spent on windows and baselines, by rule.
    pub rule_seconds: Family<Rule, FloatCounter>,
    /// Time spent on the row filters of all rules together.
    pub filter_seconds: FloatCounter,
    pub decode_seconds: FloatCounter,
    pub window_rows: Family<Rule, Gauge>,

    /// Queue: `source`, `archive`, `journal`.
    pub queue_bytes: Family<Queue, Gauge>,
    pub outbox_alerts: Family<Sink, Gauge>,
    pub outbox_oldest_seconds: Family<Sink, FloatGauge>,
    pub outbox_bytes: Gauge,
    /// Outcome: `delivered`, `retry`, `refused`.
    pub sends: Family<SinkOutcome, Counter>,
    pub send_seconds: SinkSeconds,
    /// Seconds since the alert's message was received until its sink acknowledged it.
    pub alert_delay: SinkSeconds,
    pub dead_letters: Family<Reason, Counter>,
    /// What was given up for want of room: `dead_letters`.
    pub dropped: Family<Reason, Counter>,

    pub archive_rows: Counter,
    pub archive_files: Counter,
    pub archive_bytes: Counter,
    pub commits: Family<Outcome, Counter>,
    /// Seconds since everything received was last committed.
    pub commit_age_seconds: FloatGauge,
    /// Outcome: `done`, `refused`.
    pub reloads: Family<Outcome, Counter>,
}

/// A histogram of durations.
#[derive(Debug, Clone)]
pub struct Seconds(pub Histogram);

impl Default for Seconds {
    fn default() -> Self {
        Self(seconds())
    }
}

/// Histograms of durations by sink.
#[derive(Debug, Clone)]
pub struct SinkSeconds(pub Family<Sink, Histogram, fn() -> Histogram>);

impl Default for SinkSeconds {
    fn default() -> Self {
        Self(Family::new_with_constructor(seconds))
    }
}

/// From a millisecond to about half an hour.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 21))
}

impl Metrics {
    pub fn new() -> Self {
        let mut metrics = Self::default();
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let r = self.registry.sub_registry_with_prefix("aksentry");
        r.register("messages", "Messages taken from the source", self.messages.clone());
        r.register("bytes", "Bytes of messages taken from the source", self.bytes.clone());
        r.register("records", "Records by what became of them", self.records.clone());
        r.register("truncated", "Events whose record was cut", self.truncated.clone());
        r.register("event_delay_seconds", "Seconds from an event to its arrival", self.event_delay.0.clone());
        r.register("partition_lag_messages", "Messages of the hub not taken yet", self.lag.clone());
        r.register(
            "partition_stalled",
            "1 while a partition has messages and none arrive",
            self.stalled.clone(),
        );
        r.register("partitions_owned", "Partitions this replica reads", self.partitions_owned.clone());
        r.register("reconnects", "Times the source was opened again, by reason", self.reconnects.clone());
        r.register("alerts", "Alerts raised", self.alerts.clone());
        r.register("rule_failures", "Times a rule failed on a batch or window", self.rule_failures.clone());
        r.register("rule_seconds", "Time spent on windows and baselines", self.rule_seconds.clone());
        r.register("filter_seconds", "Time spent on row filters", self.filter_seconds.clone());
        r.register("decode_seconds", "Time spent on decoding", self.decode_seconds.clone());
        r.register("window_rows", "Rows held by windows and baselines", self.window_rows.clone());
        r.register("queue_bytes", "Bytes waiting inside the service", self.queue_bytes.clone());
        r.register("outbox_alerts", "Alerts not delivered yet", self.outbox_alerts.clone());
        r.register(
            "outbox_oldest_seconds",
            "Age of the oldest alert not delivered",
            self.outbox_oldest_seconds.clone(),
        );
        r.register("outbox_bytes", "Size of the outbox on disk", self.outbox_bytes.clone());
        r.register("sends", "Alerts sent, by outcome", self.sends.clone());
        r.register("send_seconds", "Duration of one send", self.send_seconds.0.clone());
        r.register(
            "alert_delay_seconds",
            "Seconds from an alert to its acknowledgement",
            self.alert_delay.0.clone(),
        );
        r.register("dead_letters", "Records and alerts put aside, by reason", self.dead_letters.clone());
        r.register("dropped", "What was given up for want of room", self.dropped.clone());
        r.register("archive_rows", "Rows written to the archive", self.archive_rows.clone());
        r.register("archive_files", "Files written to the archive", self.archive_files.clone());
        r.register("archive_bytes", "Bytes written to the archive", self.archive_bytes.clone());
        r.register("commits", "Commits of positions, by outcome", self.commits.clone());
        r.register(
            "commit_age_seconds",
            "Age of the oldest message received and not committed",
            self.commit_age_seconds.clone(),
        );
        r.register("reloads", "Reloads of rules and lists, by outcome", self.reloads.clone());
    }

    /// The text that Prometheus scrapes.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
