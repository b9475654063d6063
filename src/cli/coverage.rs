//! `aksentry rules coverage [PATH...]`: what rules and saved queries cover, which rules are blind on
//! given archives, and the same as a Navigator layer or a page.

mod navigator;
mod page;
mod peers;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use super::output::{Cell, Column, Printer, Table, stdout};
use super::progress::Bar;
use super::rules::{SECTIONS, section};
use super::stats::{NO_CATEGORY, category};
use super::{Context, Exit, engine, terminal};
use crate::alert::{Object, Severity, Status};
use crate::detect::Engine;
use crate::event::Counts;
use crate::pipeline::Range;
use crate::pipeline::replay::{Options, Outcome};
use crate::rules::{Detection, Peers, Query};
use crate::source::files::Inputs;
use crate::store::Environment;

/// The categories that carry audit events.
const AUDIT: [&str; 2] = ["kube-audit", "kube-audit-admin"];

#[derive(Debug, Args)]
pub(super) struct Coverage {
    /// Also say which log categories these archives hold and which rules are blind on them
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// Write a layer for the ATT&CK Navigator instead ("-" = standard output)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["paths", "peers", "markdown"])]
    navigator: Option<PathBuf>,
    /// Print other products' rules and what covers them instead
    #[arg(long, conflicts_with_all = ["paths", "markdown"])]
    peers: bool,
    /// Print a page of Markdown instead
    #[arg(long, conflicts_with_all = ["paths", "format"])]
    markdown: bool,
}

/// What coverage asks of a rule.
struct Facts {
    id: String,
    tactic: String,
    severity: Severity,
    status: Status,
    attack: Vec<String>,
    section: Vec<u8>,
    /// See [`categories`].
    categories: Vec<String>,
}

/// What coverage asks of a saved query.
struct Asked {
    id: String,
    section: Vec<u8>,
}

impl From<&Query> for Asked {
    fn from(query: &Query) -> Self {
        Self { id: query.id.clone(), section: query.section.clone() }
    }
}

impl From<&Detection> for Facts {
    fn from(rule: &Detection) -> Self {
        Self {
            id: rule.id.clone(),
            tactic: rule.tactic.clone(),
            severity: rule.severity,
            status: rule.status,
            attack: rule.attack.clone(),
            section: rule.section.clone(),
            categories: categories(rule),
        }
    }
}

/// One line of the result.
#[derive(Default)]
struct Line {
    /// What it counts by: tactic, technique, section, needs, reads, peer, peers, category, blind, partly-blind
    /// or weaker.
    by: &'static str,
    value: String,
    name: String,
    records: Option<u64>,
    rules: Vec<String>,
    queries: Vec<String>,
}

impl Coverage {
    pub fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let catalog = engine::catalog(context, &[])?;
        // A draft covers nothing yet.
        let running = catalog.detections.iter().filter(|rule| rule.status != Status::Draft);
        let rules: Vec<Facts> = running.map(Facts::from).collect();
        if let Some(file) = &self.navigator {
            return write_layer(file, &rules);
        }
        let (others, problems) = Peers::load(&catalog);
        engine::refuse(&problems)?;
        let compared = peers::Compared::new(&others, &rules);
        if self.peers {
            return compared.print(context);
        }
        let (saved, problems) = engine::queries(context)?;
        engine::refuse(&problems)?;
        let queries: Vec<Asked> = saved.all.iter().map(Asked::from).collect();
        if self.markdown {
            let mut out = stdout();
            let page = page::page(&rules, &queries, &compared);
            out.write_all(page.as_bytes())
                .and_then(|()| out.flush())
                .context("writing to standard output")?;
            return Ok(Exit::Done);
        }
        let mut lines = pack(&rules, &queries);
        lines.extend(beside(&compared));
        let mut compiled = engine::compile(&catalog, &[], Severity::Informational)?;
        compiled.wake_lookups();
        lines.extend(compiled.mute().map(|(rule, reason)| Line {
            by: "blind",
            value: rule.to_owned(),
            name: reason,
            records: None,
            rules: vec![rule.to_owned()],
            queries: Vec::new(),
        }));
        if !self.paths.is_empty() {
            lines.extend(self.seen_in(compiled, &lines, &rules, context)?);
        }
        print(&lines, context)
    }

    /// What the archives say of the rules.
    fn seen_in(
        &self,
        mut compiled: Engine,
        known: &[Line],
        rules: &[Facts],
        context: &Context,
    ) -> anyhow::Result<Vec<Line>> {
        let inputs = Inputs::resolve_anywhere(&self.paths, &Environment::read())?;
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let options = Options { inputs, range: Range::default(), threads };
        let bar = Bar::new(options.inputs.bytes(), context.terminal.progress);
        let outcome = engine::account(&options, &bar);
        bar.clear();
        let mut outcome = outcome?;
        for lack in &mut outcome.lacks {
            (lack.blind, lack.weaker) = compiled.without(&lack.columns);
        }
        let mut lines = seen(rules, &outcome.counts);
        let known = known.iter().chain(&lines).filter(|line| line.by == "blind");
        let blind: BTreeSet<String> = known.map(|line| line.value.clone()).collect();
        lines.extend(lacking(&outcome, &blind));
        Ok(lines)
    }
}

fn print(lines: &[Line], context: &Context) -> anyhow::Result<Exit> {
    let columns = vec![
        Column::text("by"),
        Column::text("value"),
        Column::text("name"),
        Column::number("records"),
        Column::number("rules"),
        Column::number("queries"),
        Column::prose("ids"),
    ];
    let fields = ["by", "value", "name", "records", "rules", "ids", "queries", "query_ids"];
    let table = Table::new(columns, context.terminal.stdout);
    let mut printer = Printer::new(stdout(), context.format()?, table, fields.map(str::to_owned).to_vec());
    for line in lines {
        let (rules, queries) = (line.rules.len(), line.queries.len());
        let item: Object = [
            ("by", json!(line.by)),
            ("value", json!(line.value)),
            ("name", json!(line.name)),
            ("records", json!(line.records)),
            ("rules", json!(rules)),
            ("ids", json!(line.rules)),
            ("queries", json!(queries)),
            ("query_ids", json!(line.queries)),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        let row = || {
            let queries = if line.by == "section" { queries.to_string() } else { String::new() };
            vec![
                Cell::new(line.by),
                Cell::new(&line.value),
                Cell::new(&line.name),
                Cell::new(line.records.map(super::summary::number).unwrap_or_default()),
                Cell::new(rules.to_string()),
                Cell::new(queries),
                Cell::new(few(&line.rules)),
            ]
        };
        printer.item(&item, row).context("writing coverage to standard output")?;
    }
    printer.finish().context("writing coverage to standard output")?;
    Ok(Exit::Done)
}

/// The first ids of a list that would fill the screen; the other formats have all of them.
fn few(ids: &[String]) -> String {
    const SHOWN: usize = 12;
    match ids.get(..SHOWN) {
        Some(first) if ids.len() > SHOWN + 1 => format!("{} and {} more", first.join(" "), ids.len() - SHOWN),
        _ => ids.join(" "),
    }
}

fn write_layer(file: &Path, rules: &[Facts]) -> anyhow::Result<Exit> {
    let mut text = serde_json::to_string_pretty(&navigator::layer(rules)).context("making the layer")?;
    text.push('\n');
    if file == Path::new("-") {
        let mut out = stdout();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("writing to standard output")?;
    } else {
        std::fs::write(file, text).with_context(|| format!("writing the layer to {}", file.display()))?;
        let file = file.display();
        terminal::say(&format!(
            "{file} written; open it at https://mitre-attack.github.io/attack-navigator/"
        ));
    }
    Ok(Exit::Done)
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

/// What other products' rules the pack does the work of, product by product and all together.
fn beside(compared: &peers::Compared<'_>) -> Vec<Line> {
    let mut lines = Vec::new();
    for peer in compared.peers.names() {
        let count = compared.count(peer);
        let beyond = match count.out_of_reach {
            0 => String::new(),
            n => format!(", {n} out of reach"),
        };
        let ids: BTreeSet<&String> =
            compared.of(peer).flat_map(|rule| &rule.detections).filter(|id| compared.holds(id)).collect();
        lines.push(Line {
            by: "peer",
            value: peer.to_owned(),
            name: format!("{} of {} rules covered{beyond}", count.covered, count.reachable()),
            rules: ids.into_iter().cloned().collect(),
            ..Line::default()
        });
    }
    let (held, all) = compared.detections();
    lines.push(Line {
        by: "peers",
        value: "all".into(),
        name: format!("{} of {all} detections that another product has", held.len()),
        rules: held.into_iter().map(str::to_owned).collect(),
        ..Line::default()
    });
    lines
}

/// Coverage of the pack itself.
fn pack(rules: &[Facts], queries: &[Asked]) -> Vec<Line> {
    let by = |by: &'static str, values: &dyn Fn(&Facts) -> Vec<String>| {
        let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for rule in rules {
            for value in values(rule).into_iter().collect::<BTreeSet<_>>() {
                groups.entry(value).or_default().push(rule.id.clone());
            }
        }
        let line = move |(value, rules)| Line { by, value, rules, ..Line::default() };
        groups.into_iter().map(line).collect::<Vec<_>>()
    };
    let mut lines = by("tactic", &|rule| vec![rule.tactic.clone()]);
    lines.extend(by("technique", &|rule| rule.attack.clone()));
    // A section without a rule is what one looks for.
    for number in (1..).take(SECTIONS.len()) {
        let of = rules.iter().filter(|rule| rule.section.contains(&number));
        let asked = queries.iter().filter(|query| query.section.contains(&number));
        lines.push(Line {
            by: "section",
            value: number.to_string(),
            name: section(number).to_owned(),
            records: None,
            rules: of.map(|rule| rule.id.clone()).collect(),
            queries: asked.map(|query| query.id.clone()).collect(),
        });
    }
    let alone = |rule: &Facts| if rule.categories.len() == 1 { rule.categories.clone() } else { Vec::new() };
    for (kind, name, of) in [
        ("needs", "blind without it", &alone as &dyn Fn(&Facts) -> Vec<String>),
        ("reads", "it or another feeds them", &|rule| match rule.categories.len() {
            0 => vec!["any of the control plane".into()],
            1 => Vec::new(),
            _ => rule.categories.clone(),
        }),
    ] {
        lines.extend(by(kind, of).into_iter().map(|line| Line { name: name.into(), ..line }));
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
            ..Line::default()
        });
    }
    for rule in unfed(rules, counts) {
        lines.push(Line {
            by: "blind",
            value: rule.id.clone(),
            name: format!("needs {}", needs(rule)),
            records: Some(0),
            rules: vec![rule.id.clone()],
            ..Line::default()
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
                    ..Line::default()
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

    pub(super) fn facts(id: &str, attack: &[&str]) -> Facts {
        Facts {
            id: id.into(),
            tactic: "impact".into(),
            severity: Severity::High,
            status: Status::Stable,
            attack: attack.iter().map(|technique| (*technique).to_owned()).collect(),
            section: vec![6],
            categories: Vec::new(),
        }
    }

    fn rules() -> Vec<Facts> {
        let rule = |id: &str, categories: Vec<String>| Facts { categories, ..facts(id, &["T1485"]) };
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
        let asked = Asked { id: "audit-coverage".into(), section: vec![1, 6] };
        let lines = pack(&rules(), &[asked]);
        let count = |by: &str, value: &str| {
            lines.iter().find(|l| l.by == by && l.value == value).map(|l| l.rules.len())
        };
        assert_eq!(count("tactic", "impact"), Some(3));
        assert_eq!(count("technique", "T1485"), Some(3));
        assert_eq!((count("section", "6"), count("section", "1")), (Some(3), Some(0)));
        assert_eq!(count("needs", "kube-audit"), Some(1));
        assert_eq!((count("reads", "kube-audit-admin"), count("needs", "kube-audit-admin")), (Some(1), None));
        assert_eq!(count("reads", "any of the control plane"), Some(1));
        let queries = |value: &str| {
            lines.iter().find(|l| l.by == "section" && l.value == value).map(|l| l.queries.as_slice())
        };
        let asked = ["audit-coverage".to_owned()];
        assert_eq!((queries("6"), queries("2")), (Some(&asked[..]), Some(&[][..])));
    }
}
