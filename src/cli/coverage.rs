//! `aksentry rules coverage [PATH...]`: what the rules cover, and which are blind on given archives.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use super::output::{Cell, Column, Printer, Table, stdout};
use super::progress::Bar;
use super::rules::{SECTIONS, section};
use super::stats::{NO_CATEGORY, category};
use super::{Context, Exit, engine};
use crate::alert::{Object, Severity, Status};
use crate::event::Counts;
use crate::pipeline::Range;
use crate::pipeline::replay::{Options, Outcome};
use crate::rules::Detection;
use crate::source::files::Inputs;
use crate::store::Environment;

/// The categories that carry audit events.
const AUDIT: [&str; 2] = ["kube-audit", "kube-audit-admin"];

#[derive(Debug, Args)]
pub(super) struct Coverage {
    /// Also say which log categories these archives hold and which rules are blind on them
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
}

/// What coverage asks of a rule.
struct Facts {
    id: String,
    tactic: String,
    attack: Vec<String>,
    section: Vec<u8>,
    /// See [`categories`].
    categories: Vec<String>,
}

impl From<&Detection> for Facts {
    fn from(rule: &Detection) -> Self {
        Self {
            id: rule.id.clone(),
            tactic: rule.tactic.clone(),
            attack: rule.attack.clone(),
            section: rule.section.clone(),
            categories: categories(rule),
        }
    }
}

/// One line of the result.
struct Line {
    /// What it counts by: tactic, technique, section, category, blind, partly-blind or weaker.
    by: &'static str,
    value: String,
    name: String,
    records: Option<u64>,
    rules: Vec<String>,
}

impl Coverage {
    pub fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let format = context.format()?;
        let catalog = engine::catalog(context, &[])?;
        // A draft covers nothing yet.
        let running = catalog.detections.iter().filter(|rule| rule.status != Status::Draft);
        let rules: Vec<Facts> = running.map(Facts::from).collect();
        let mut lines = pack(&rules);
        if !self.paths.is_empty() {
            let inputs = Inputs::resolve_anywhere(&self.paths, &Environment::read())?;
            let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            let options = Options { inputs, range: Range::default(), threads };
            let bar = Bar::new(options.inputs.bytes(), context.terminal.progress);
            let outcome = engine::account(&options, &bar);
            bar.clear();
            let mut outcome = outcome?;
            let mut compiled = engine::compile(&catalog, &[], Severity::Informational)?;
            for lack in &mut outcome.lacks {
                (lack.blind, lack.weaker) = compiled.without(&lack.columns);
            }
            lines.extend(seen(&rules, &outcome.counts));
            let blind = lines.iter().filter(|line| line.by == "blind").map(|line| line.value.clone());
            let blind: BTreeSet<String> = blind.collect();
            lines.extend(lacking(&outcome, &blind));
        }
        let columns = vec![
            Column::text("by"),
            Column::text("value"),
            Column::text("name"),
            Column::number("records"),
            Column::number("rules"),
            Column::prose("ids"),
        ];
        let fields = ["by", "value", "name", "records", "rules", "ids"].map(str::to_owned).to_vec();
        let table = Table::new(columns, context.terminal.stdout);
        let mut printer = Printer::new(stdout(), format, table, fields);
        for line in &lines {
            let count = line.rules.len();
            let item: Object = [
                ("by", json!(line.by)),
                ("value", json!(line.value)),
                ("name", json!(line.name)),
                ("records", json!(line.records)),
                ("rules", json!(count)),
                ("ids", json!(line.rules)),
            ]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
            let row = || {
                vec![
                    Cell::new(line.by),
                    Cell::new(&line.value),
                    Cell::new(&line.name),
                    Cell::new(line.records.map(super::summary::number).unwrap_or_default()),
                    Cell::new(count.to_string()),
                    Cell::new(line.rules.join(" ")),
                ]
            };
            printer.item(&item, row).context("writing coverage to standard output")?;
        }
        printer.finish().context("writing coverage to standard output")?;
        Ok(Exit::Done)
    }
}

/// Rules that nothing of the input could feed, and what each needs.
pub(super) fn blind<'a>(
    rules: impl Iterator<Item = &'a Detection>,
    counts: &Counts,
) -> Vec<(String, String)> {
    let rules: Vec<Facts> = rules.map(Facts::from).collect();
    unfed(&rules, counts).map(|rule| (rule.id.clone(), needs(rule))).collect()
}

fn unfed<'a>(rules: &'a [Facts], counts: &Counts) -> impl Iterator<Item = &'a Facts> {
    rules.iter().filter(|rule| !counts.categories.keys().any(|name| feeds(name, rule, counts)))
}

/// Coverage of the pack itself.
fn pack(rules: &[Facts]) -> Vec<Line> {
    let by = |by: &'static str, values: &dyn Fn(&Facts) -> Vec<String>| {
        let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for rule in rules {
            for value in values(rule).into_iter().collect::<BTreeSet<_>>() {
                groups.entry(value).or_default().push(rule.id.clone());
            }
        }
        let line = move |(value, rules)| Line { by, value, name: String::new(), records: None, rules };
        groups.into_iter().map(line).collect::<Vec<_>>()
    };
    let mut lines = by("tactic", &|rule| vec![rule.tactic.clone()]);
    lines.extend(by("technique", &|rule| rule.attack.clone()));
    // A section without a rule is what one looks for.
    for number in (1..).take(SECTIONS.len()) {
        let of = rules.iter().filter(|rule| rule.section.contains(&number));
        lines.push(Line {
            by: "section",
            value: number.to_string(),
            name: section(number).to_owned(),
            records: None,
            rules: of.map(|rule| rule.id.clone()).collect(),
        });
    }
    lines
}

/// Which categories were seen and which rules none of them feeds.
fn seen(rules: &[Facts], counts: &Counts) -> Vec<Line> {
    let mut lines = Vec::new();
    for (name, records) in &counts.categories {
        let fed = rules.iter().filter(|rule| feeds(name, rule, counts));
        lines.push(Line {
            by: "category",
            value: category(name).to_owned(),
            name: String::new(),
            records: Some(*records),
            rules: fed.map(|rule| rule.id.clone()).collect(),
        });
    }
    for rule in unfed(rules, counts) {
        lines.push(Line {
            by: "blind",
            value: rule.id.clone(),
            name: format!("needs {}", needs(rule)),
            records: Some(0),
            rules: vec![rule.id.clone()],
        });
    }
    lines
}

/// Which rules read what the input has no place for; `known` are blind already.
fn lacking(outcome: &Outcome, known: &BTreeSet<String>) -> Vec<Line> {
    let all = outcome.counts.events + outcome.counts.duplicates;
    let mut lines: Vec<Line> = Vec::new();
    for lack in &outcome.lacks {
        let events = lack.events.min(all);
        // Where other files carry it, a rule sees those.
        let blind = if events == all { "blind" } else { "partly-blind" };
        let rules = lack.blind.iter().map(|rule| (blind, rule));
        for (by, rule) in rules.chain(lack.weaker.iter().map(|rule| ("weaker", rule))) {
            if !known.contains(rule) {
                lines.push(Line {
                    by,
                    value: rule.clone(),
                    name: lack.what.clone(),
                    records: Some(all - events),
                    rules: vec![rule.clone()],
                });
            }
        }
    }
    lines
}

fn needs(rule: &Facts) -> String {
    match rule.categories.as_slice() {
        [] => "any category of the control plane".into(),
        names => names.join(" or "),
    }
}

/// Whether records of this category carry what the rule reads.
fn feeds(name: &str, rule: &Facts, counts: &Counts) -> bool {
    let wanted = &rule.categories;
    let audit = wanted.is_empty() || wanted.iter().any(|w| AUDIT.contains(&w.as_str()));
    match name {
        // A plain audit.log names no category; its records are audit events like any.
        "" | NO_CATEGORY => counts.events > 0 && audit && !wanted.is_empty(),
        name if wanted.is_empty() => !AUDIT.contains(&name),
        name => wanted.iter().any(|w| w.eq_ignore_ascii_case(name)),
    }
}

/// The categories of which any one carries what the rule reads; none named and no audit table read
/// means every category of the control plane.
pub(super) fn categories(rule: &Detection) -> Vec<String> {
    if !rule.categories.is_empty() {
        return rule.categories.clone();
    }
    default_categories(&rule.sql)
}

fn default_categories(sql: &str) -> Vec<String> {
    let words = sql.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|w| !w.is_empty());
    let words: Vec<String> = words.map(str::to_lowercase).collect();
    let reads = |table: &str| {
        words.windows(2).any(
            |pair| matches!(pair, [before, name] if name == table && (before == "from" || before == "join")),
        )
    };
    if reads("audit") || !reads("control_plane") { AUDIT.map(str::to_owned).to_vec() } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Vec<Facts> {
        let rule = |id: &str, categories: Vec<String>| Facts {
            id: id.into(),
            tactic: "impact".into(),
            attack: vec!["T1485".into()],
            section: vec![6],
            categories,
        };
        vec![
            rule("reads-get", vec!["kube-audit".into()]),
            rule("any-audit", default_categories("SELECT a\nFROM\n  audit AS x")),
            rule("klog", default_categories("SELECT audit FROM control_plane")),
        ]
    }

    #[test]
    fn a_rule_is_blind_without_any_of_its_categories() {
        let counts = |names: &[&str], events| Counts {
            categories: names.iter().map(|n| ((*n).to_owned(), 1)).collect(),
            events,
            ..Counts::default()
        };
        let blind = |counts: &Counts| -> Vec<String> {
            seen(&rules(), counts).into_iter().filter(|l| l.by == "blind").map(|l| l.value).collect()
        };
        assert_eq!(blind(&counts(&["kube-audit-admin"], 1)), ["reads-get", "klog"]);
        assert_eq!(blind(&counts(&["kube-audit", "guard"], 1)), Vec::<String>::new());
        assert_eq!(blind(&counts(&["guard"], 0)), ["reads-get", "any-audit"]);
        assert_eq!(blind(&counts(&[""], 1)), ["klog"]);
        assert_eq!(blind(&Counts::default()).len(), 3);
    }

    #[test]
    fn the_pack_is_counted_by_tactic_technique_and_section() {
        let lines = pack(&rules());
        let count = |by: &str, value: &str| {
            lines.iter().find(|l| l.by == by && l.value == value).map(|l| l.rules.len())
        };
        assert_eq!(count("tactic", "impact"), Some(3));
        assert_eq!(count("technique", "T1485"), Some(3));
        assert_eq!((count("section", "6"), count("section", "1")), (Some(3), Some(0)));
    }
}
