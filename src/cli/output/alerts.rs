//! Alerts as data.

use std::io::Write;

use anyhow::Context as _;
use serde_json::Value;

use super::{Cell, Column, Format, Printer, Table};
use crate::alert::{Alert, Status};
use crate::cli::terminal::{Style, Tint};
use crate::event::cluster_name;

/// The fields of an alert, in the order the contract gives.
const FIELDS: [&str; 16] = [
    "id",
    "rule",
    "title",
    "severity",
    "status",
    "cluster",
    "key",
    "summary",
    "count",
    "first_seen",
    "last_seen",
    "attack",
    "tactic",
    "audit_ids",
    "evidence",
    "replayed",
];

/// Prints alerts as they come.
pub(in crate::cli) struct Alerts<W: Write> {
    printer: Printer<W>,
}

impl<W: Write> Alerts<W> {
    pub fn new(out: W, format: Format, style: Style) -> Self {
        let columns = vec![
            Column::text("first seen"),
            Column::text("severity"),
            Column::text("rule"),
            Column::text("cluster"),
            Column::prose("summary"),
            Column::number("count"),
        ];
        let fields = FIELDS.map(str::to_owned).to_vec();
        Self { printer: Printer::new(out, format, Table::new(columns, style), fields) }
    }

    /// Writes one alert.
    pub fn write(&mut self, alert: &Alert) -> anyhow::Result<()> {
        let Value::Object(item) = serde_json::to_value(alert).context("writing an alert as JSON")? else {
            anyhow::bail!("writing an alert as JSON: it is no object");
        };
        self.printer.item(&item, || cells(alert)).context("writing alerts to standard output")
    }

    /// Writes what is held back.
    pub fn finish(&mut self) -> anyhow::Result<()> {
        self.printer.finish().context("writing alerts to standard output")
    }

    /// How many alerts were written.
    pub fn count(&self) -> u64 {
        self.printer.items()
    }
}

fn cells(alert: &Alert) -> Vec<Cell> {
    // Seconds are enough to read; the data has the rest.
    let time = alert.first_seen.as_deref().unwrap_or("");
    let time = time.get(..19).unwrap_or(time).replace('T', " ");
    let cluster = alert.cluster.as_deref().unwrap_or("");
    let rule = match alert.status {
        Status::Stable => alert.rule.clone(),
        other => format!("{} ({})", alert.rule, other.as_str()),
    };
    vec![
        Cell::tinted(time, Tint::Dim),
        Cell::tinted(alert.severity.as_str(), alert.severity),
        Cell::new(rule),
        Cell::new(cluster_name(cluster)),
        Cell::new(&alert.summary),
        Cell::new(alert.count.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::{Object, Severity};

    fn alert() -> Alert {
        Alert {
            id: "00".into(),
            rule: "secret-get".into(),
            title: "A secret was read".into(),
            severity: Severity::High,
            status: Status::Shadow,
            cluster: Some("/subscriptions/x/managedclusters/prod-weu".into()),
            key: Object::from_iter([("username".to_owned(), Value::from("=cmd"))]),
            summary: "=alice read\na secret".into(),
            count: 3,
            first_seen: Some("2026-01-02T03:04:05.678Z".into()),
            last_seen: None,
            attack: vec!["T1552.007".into()],
            tactic: "credential-access".into(),
            audit_ids: vec!["a".into()],
            evidence: Object::new(),
            replayed: true,
        }
    }

    fn print(format: Format, alerts: &[Alert]) -> String {
        let mut out = Vec::new();
        let mut printer = Alerts::new(&mut out, format, Style::default());
        alerts.iter().for_each(|alert| printer.write(alert).unwrap());
        assert_eq!(printer.count(), alerts.len() as u64);
        printer.finish().unwrap();
        drop(printer);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn json_forms_hold_the_alert_as_it_is() {
        let text = serde_json::to_string(&alert()).unwrap();
        assert_eq!(print(Format::Ndjson, &[alert(), alert()]), format!("{text}\n{text}\n"));
        assert_eq!(print(Format::Json, &[alert(), alert()]), format!("[\n{text},\n{text}\n]\n"));
        assert_eq!(print(Format::Json, &[]), "[]\n");
        assert_eq!(print(Format::None, &[alert()]), "");
        let names: Vec<String> = serde_json::from_str::<Object>(&text).unwrap().keys().cloned().collect();
        assert_eq!(names, FIELDS);
    }

    #[test]
    fn csv_has_every_field_and_no_formula() {
        let text = print(Format::Csv, &[alert()]);
        assert!(text.starts_with("id,rule,title,"), "{text}");
        assert!(text.contains(",\"'=alice read\na secret\",3,"), "{text}");
        assert_eq!(print(Format::Csv, &[]), FIELDS.join(",") + "\r\n");
    }

    #[test]
    fn the_table_is_for_reading() {
        let text = print(Format::Table, &[alert()]);
        let row = text.lines().nth(1).unwrap_or_default();
        assert_eq!(
            row,
            "2026-01-02 03:04:05  high      secret-get (shadow)  prod-weu  =alice read a secret      3"
        );
    }
}
