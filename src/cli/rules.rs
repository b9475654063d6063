//! `aksentry rules list|show|coverage`: what the pack holds.

use std::io::Write;

use anyhow::Context as _;
use chrono::TimeDelta;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::output::{Cell, Column, Format, Printer, Table, stdout};
use super::terminal::{Style, Tint, safe};
use super::{Context, Exit, coverage, engine};
use crate::alert::Object;
use crate::rules::{Detection, Kind};

/// Which sections of the AKS security guide there are, from 1 on.
pub(super) const SECTIONS: [&str; 9] = [
    "identity and access",
    "network",
    "images",
    "secrets",
    "pods",
    "monitoring and auditing",
    "nodes",
    "admission controllers",
    "updates",
];

#[derive(Debug, Args)]
#[command(disable_help_subcommand = true)]
pub(super) struct Rules {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// All rules
    List,
    /// One rule: its facts, what it is about, its SQL
    Show {
        /// Id of the rule
        id: String,
    },
    /// What the rules cover: tactics, techniques, sections of the AKS security guide
    Coverage(coverage::Coverage),
}

impl Rules {
    pub fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self.command {
            Command::List => list(context),
            Command::Show { id } => show(&id, context),
            Command::Coverage(command) => command.run(context),
        }
    }
}

fn list(context: &Context) -> anyhow::Result<Exit> {
    let format = context.format()?;
    let catalog = engine::catalog(context, &[])?;
    let kinds = engine::kinds(&catalog)?;
    let columns = ["id", "severity", "kind", "status", "tactic"].map(Column::text);
    let columns = columns.into_iter().chain([Column::prose("title")]).collect();
    let fields = [
        "id",
        "title",
        "severity",
        "status",
        "kind",
        "tactic",
        "attack",
        "section",
        "categories",
        "window",
        "path",
    ];
    let table = Table::new(columns, context.terminal.stdout);
    let mut printer = Printer::new(stdout(), format, table, fields.map(str::to_owned).to_vec());
    for rule in &catalog.detections {
        let kind = kinds.get(&rule.id).copied();
        let row = || {
            vec![
                Cell::new(&rule.id),
                Cell::tinted(rule.severity.as_str(), rule.severity),
                Cell::new(kind.map_or("", name)),
                Cell::new(rule.status.as_str()),
                Cell::new(&rule.tactic),
                Cell::new(&rule.title),
            ]
        };
        printer.item(&facts(rule, kind), row).context("writing rules to standard output")?;
    }
    printer.finish().context("writing rules to standard output")?;
    Ok(Exit::Done)
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Stateless => "stateless",
        Kind::Window => "window",
        Kind::Sequence => "sequence",
        Kind::Baseline => "baseline",
    }
}

/// A rule as `rules list --format json` has it; the names are contract.
fn facts(rule: &Detection, kind: Option<Kind>) -> Object {
    object([
        ("id", json!(rule.id)),
        ("title", json!(rule.title)),
        ("severity", json!(rule.severity)),
        ("status", json!(rule.status)),
        ("kind", json!(kind)),
        ("tactic", json!(rule.tactic)),
        ("attack", json!(rule.attack)),
        ("section", json!(rule.section)),
        ("categories", json!(coverage::categories(rule))),
        ("window", json!(rule.window.map(duration))),
        ("path", json!(rule.path.to_string_lossy())),
    ])
}

fn object<const N: usize>(pairs: [(&str, Value); N]) -> Object {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A duration as rules write it, in the largest unit that holds it whole.
fn duration(span: TimeDelta) -> String {
    let seconds = span.num_seconds();
    match [(86_400, "d"), (3600, "h"), (60, "m")].into_iter().find(|(unit, _)| seconds % unit == 0) {
        Some((unit, letter)) => format!("{}{letter}", seconds / unit),
        None => format!("{seconds}s"),
    }
}

fn show(id: &str, context: &Context) -> anyhow::Result<Exit> {
    let format = context.format()?;
    let only = [id.to_owned()];
    let catalog = engine::catalog(context, &only)?;
    let rule = engine::detection(&catalog, id)?;
    let kind = engine::kinds(&catalog)?.get(id).copied();
    let mut out = stdout();
    if format == Format::Table {
        out.write_all(page(rule, kind, context.terminal.stdout).as_bytes())
            .context("writing to standard output")?;
        out.flush().context("writing to standard output")?;
        return Ok(Exit::Done);
    }
    let mut item = facts(rule, kind);
    item.extend(object([
        ("key", json!(rule.key)),
        ("summary", json!(rule.summary)),
        ("description", json!(rule.description)),
        ("step", json!(rule.step.map(duration))),
        ("thin", json!(rule.thin.map(duration))),
        ("baseline", json!(rule.baseline.map(duration))),
        ("learn", json!(rule.baseline.map(|_| duration(rule.learn)))),
        ("suppress", json!(rule.suppress.map(duration))),
        ("false_positives", json!(rule.false_positives)),
        ("follow_up", json!(rule.follow_up)),
        ("references", json!(rule.references)),
        ("sql", json!(rule.sql.trim())),
    ]));
    let fields = item.keys().cloned().collect();
    let mut printer = Printer::new(out, format, Table::new(Vec::new(), Style::default()), fields);
    printer.item(&item, Vec::new).context("writing to standard output")?;
    printer.finish().context("writing to standard output")?;
    Ok(Exit::Done)
}

/// The rule as a page to read.
fn page(rule: &Detection, kind: Option<Kind>, style: Style) -> String {
    let mut text = format!("{}\n{}\n\n", style.paint(Tint::Bold, &rule.id), safe(&rule.title));
    let mut fact = |label: &str, value: String| {
        if !value.is_empty() {
            text += &format!("{}{}\n", style.paint(Tint::Dim, &format!("{label:<16}")), value);
        }
    };
    let span = |span: Option<TimeDelta>| span.map(duration).unwrap_or_default();
    let sections = rule.section.iter().map(|n| format!("{n} {}", section(*n)));
    fact("severity", style.paint(rule.severity.into(), rule.severity.as_str()));
    fact("status", rule.status.as_str().to_owned());
    fact("kind", kind.map_or("", name).to_owned());
    fact("tactic", rule.tactic.clone());
    fact("attack", rule.attack.join(", "));
    fact("section", sections.collect::<Vec<_>>().join(", "));
    fact("categories", coverage::categories(rule).join(", "));
    fact("window", span(rule.window));
    fact("step", span(rule.step));
    fact("baseline", span(rule.baseline));
    fact("learn", span(rule.baseline.map(|_| rule.learn)));
    fact("thin", span(rule.thin));
    fact("suppress", span(rule.suppress));
    fact("key", rule.key.join(", "));
    fact("summary", safe(&rule.summary));
    fact("file", rule.path.display().to_string());
    text += &format!("\n{}\n", rule.description.trim());
    for (title, items) in [
        ("False positives", &rule.false_positives),
        ("Follow up with", &rule.follow_up),
        ("References", &rule.references),
    ] {
        if !items.is_empty() {
            text += &format!("\n{}\n", style.paint(Tint::Bold, title));
            for item in items {
                text += &format!("- {}\n", item.trim());
            }
        }
    }
    text + &format!("\n{}\n", rule.sql.trim())
}

/// The name of a section of the guide.
pub(super) fn section(number: u8) -> &'static str {
    usize::from(number).checked_sub(1).and_then(|i| SECTIONS.get(i)).copied().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_rules_write_them() {
        for text in ["90s", "10m", "1h", "36h", "7d"] {
            assert_eq!(duration(crate::rules::parse_duration(text).unwrap()), text);
        }
    }

    #[test]
    fn sections_are_counted_from_one() {
        assert_eq!(
            (section(1), section(9), section(0), section(10)),
            ("identity and access", "updates", "", "")
        );
    }
}
