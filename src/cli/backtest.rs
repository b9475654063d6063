//! `aksentry test --backtest`: one rule over archives, beside the version of it that is committed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::output::{Cell, Column, Format, Printer, Table, stdout};
use super::progress::Bar;
use super::{Context, Exit, engine, promote, summary, terminal};
use crate::alert::{Alert, Object};
use crate::event::cluster_name;
use crate::event::figures::{number, plural};
use crate::pipeline::replay::{Options, Outcome};
use crate::rules::{Catalog, Detection, Diagnostic, Parts, TACTICS, compiled, parse_detection};

/// Keys listed.
const KEYS: usize = 20;
/// Distinct keys told apart.
const MAX_KEYS: usize = 100_000;
/// Alerts shown as samples, of each kind.
const SAMPLES: usize = 3;
/// Alerts of the committed version kept to show those the new one lost.
const MAX_KEPT: usize = 10_000;

/// Backtests the rule of this id or in this file; of a question that is no rule yet, says what it lacks.
pub(super) fn run(context: &Context, rule: &str, options: &Options) -> anyhow::Result<Exit> {
    let format = context.format()?;
    let (catalog, _) = engine::load(context)?;
    let path = Path::new(rule);
    let (detection, on_disk) = if path.is_file() {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        if Parts::of(&text).kind != Some("detection") {
            return promote::run(context, path, &text, &catalog);
        }
        (parse(path, &text)?, true)
    } else {
        let catalog = engine::catalog(context, &[rule.to_owned()])?;
        (engine::detection(&catalog, rule)?.clone(), catalog.origin.is_some())
    };
    let earlier =
        if on_disk { committed(&detection) } else { Earlier::None("it is the one in this program".into()) };

    // A rule of the pack may name lists of the pack that the folder at hand does not have.
    let mut beside = catalog.clone();
    beside.lists = catalog.all_lists();
    let old = match &earlier {
        Earlier::Changed(old, what) => match backtest(context, old, &beside, options, None) {
            Ok(found) => Some(found),
            Err(error) => {
                terminal::say(&terminal::safe(&format!("{what} cannot be run beside it: {error:#}")));
                None
            }
        },
        _ => None,
    };
    let new = backtest(context, &detection, &catalog, options, old.as_ref())?;
    let unchanged = matches!(earlier, Earlier::Same(_)).then_some(&new);
    print(context, format, &new, old.as_ref().or(unchanged))?;

    if !context.terminal.quiet {
        let mut outcome = new.outcome;
        outcome.notes.splice(0..0, options.inputs.warnings.iter().cloned());
        summary::print(&outcome, context.terminal.stderr);
        let said = match &earlier {
            Earlier::Same(what) => format!("the rule is that of {what}"),
            Earlier::Changed(_, what) if old.is_some() => format!("compared with {what}"),
            Earlier::Changed(..) => "compared with nothing".into(),
            Earlier::None(why) => format!("compared with nothing: {why}"),
        };
        terminal::say(&terminal::safe(&said));
        return Ok(if outcome.rule_failures.is_empty() { Exit::Done } else { Exit::Failed });
    }
    Ok(if new.outcome.rule_failures.is_empty() { Exit::Done } else { Exit::Failed })
}

/// A rule from a file anywhere; its folder is its tactic only where it is one.
fn parse(path: &Path, text: &str) -> anyhow::Result<Detection> {
    let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let absolute = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let folder = absolute.parent().and_then(Path::file_name).map(|s| s.to_string_lossy().into_owned());
    let tactic = folder.filter(|name| TACTICS.contains(&name.as_str())).unwrap_or_else(|| "execution".into());
    parse_detection(path, &tactic, &stem, text).map_err(refused)
}

fn refused(problems: Vec<Diagnostic>) -> anyhow::Error {
    problems.iter().for_each(|problem| terminal::say(&problem.to_string()));
    anyhow::anyhow!("the rule cannot be used; fix what is said above")
}

/// What a rule is compared with.
enum Earlier {
    /// The same text is there.
    Same(String),
    Changed(Box<Detection>, String),
    /// There is nothing to compare with, and why.
    None(String),
}

/// The committed version of a rule's file; without one that of the pack inside this program.
fn committed(rule: &Detection) -> Earlier {
    let found = match from_git(&rule.path) {
        Some((text, what)) => {
            parse_detection(&rule.path, &rule.tactic, &rule.id, &text).map(|old| (old, what))
        }
        None => match compiled(&rule.id) {
            Some(old) => old.map(|old| (old, format!("{} in the pack of this program", rule.id))),
            None => {
                return Earlier::None(
                    "neither git nor the pack of this program has an earlier version".into(),
                );
            }
        },
    };
    match found {
        Ok((old, what)) if old.text == rule.text => Earlier::Same(what),
        Ok((old, what)) => Earlier::Changed(Box::new(old), what),
        Err(problems) => Earlier::None(format!(
            "the committed version is no rule: {}",
            problems.first().map(ToString::to_string).unwrap_or_default()
        )),
    }
}

/// A file as it is at `HEAD`, and the words for that.
fn from_git(path: &Path) -> Option<(String, String)> {
    let path = std::fs::canonicalize(path).ok()?;
    let (folder, name) = (path.parent()?, path.file_name()?.to_str()?);
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(folder).args(args).stdin(Stdio::null()).stderr(Stdio::null());
        let output = command.output().ok().filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok()
    };
    let text = git(&["cat-file", "blob", &format!("HEAD:./{name}")])?;
    let commit = git(&["rev-parse", "--short", "HEAD"]).unwrap_or_default();
    Some((text, format!("{name} at HEAD ({})", commit.trim())))
}

/// What a run of one rule gave.
struct Found {
    outcome: Outcome,
    alerts: u64,
    days: BTreeMap<String, u64>,
    keys: HashMap<String, u64>,
    /// Alerts with keys beyond [`MAX_KEYS`].
    beyond: u64,
    ids: BTreeSet<u128>,
    /// The first alerts, each of another key as far as there are some.
    samples: Vec<Alert>,
    /// The first alerts that the other version does not raise.
    only: Vec<Alert>,
    kept: Vec<Alert>,
}

fn backtest(
    context: &Context,
    rule: &Detection,
    catalog: &Catalog,
    options: &Options,
    old: Option<&Found>,
) -> anyhow::Result<Found> {
    let alone = Catalog { detections: vec![rule.clone()], ..catalog.clone() };
    let engine = engine::compile_drafts(&alone)?;
    let mut found = Found {
        outcome: Outcome::default(),
        alerts: 0,
        days: BTreeMap::new(),
        keys: HashMap::new(),
        beyond: 0,
        ids: BTreeSet::new(),
        samples: Vec::new(),
        only: Vec::new(),
        kept: Vec::new(),
    };
    let bar = Bar::new(options.inputs.bytes(), context.terminal.progress);
    let outcome = engine::replay(engine, options, &bar, &mut |alert| {
        found.add(alert, old);
        Ok(())
    });
    bar.clear();
    found.outcome = outcome?;
    Ok(found)
}

impl Found {
    fn add(&mut self, alert: Alert, old: Option<&Found>) {
        self.alerts += 1;
        let day = alert.first_seen.as_deref().and_then(|time| time.get(..10)).unwrap_or("(no time)");
        *self.days.entry(day.to_owned()).or_default() += 1;
        let key = key(&alert);
        let (seen, room) = (self.keys.contains_key(&key), self.keys.len() < MAX_KEYS);
        if seen || room {
            *self.keys.entry(key).or_default() += 1;
        } else {
            self.beyond += 1;
        }
        let id = id(&alert);
        self.ids.insert(id);
        if self.only.len() < SAMPLES && old.is_some_and(|old| !old.ids.contains(&id)) {
            self.only.push(alert.clone());
        }
        if self.kept.len() < MAX_KEPT {
            self.kept.push(alert.clone());
        }
        if !seen && self.samples.len() < SAMPLES {
            self.samples.push(alert);
        }
    }

    /// Up to [`SAMPLES`] alerts: of different keys first.
    fn sampled(&self) -> Vec<&Alert> {
        let more = self.kept.iter().filter(|alert| self.samples.iter().all(|sample| sample.id != alert.id));
        self.samples.iter().chain(more).take(SAMPLES).collect()
    }
}

/// Ids are 32 hex digits.
fn id(alert: &Alert) -> u128 {
    u128::from_str_radix(&alert.id, 16).unwrap_or_default()
}

/// Whose alert it is, the cluster by its name.
fn key(alert: &Alert) -> String {
    let mut key = Object::new();
    let cluster = alert.cluster.as_deref().map(cluster_name);
    key.extend(cluster.map(|name| ("cluster".to_owned(), Value::from(name))));
    key.extend(alert.key.iter().filter(|(name, _)| *name != "cluster").map(|(n, v)| (n.clone(), v.clone())));
    Value::Object(key).to_string()
}

/// One line of the result.
struct Line {
    by: &'static str,
    value: String,
    alerts: Option<u64>,
    committed: Option<u64>,
    alert: Option<Value>,
    says: String,
}

fn print(context: &Context, format: Format, new: &Found, old: Option<&Found>) -> anyhow::Result<()> {
    let columns = vec![
        Column::text("by"),
        Column::prose("value"),
        Column::number("alerts"),
        Column::number("committed"),
        Column::prose("summary"),
    ];
    let fields = ["by", "value", "alerts", "committed", "alert"].map(str::to_owned).to_vec();
    let style = if format == Format::Table { context.terminal.stdout } else { Default::default() };
    let mut printer = Printer::new(stdout(), format, Table::new(columns, style), fields);
    for line in lines(new, old) {
        let item: Object = [
            ("by", json!(line.by)),
            ("value", json!(line.value)),
            ("alerts", json!(line.alerts)),
            ("committed", json!(line.committed)),
            ("alert", json!(line.alert)),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        let count = |n: Option<u64>| Cell::new(n.map(number).unwrap_or_default());
        let row = || {
            let says = Cell::new(&line.says);
            vec![Cell::new(line.by), Cell::new(&line.value), count(line.alerts), count(line.committed), says]
        };
        printer.item(&item, row).context("writing the backtest to standard output")?;
    }
    printer.finish().context("writing the backtest to standard output")
}

/// A key with the alerts it has now and with the committed version.
type KeyCounts<'a> = (&'a String, u64, Option<u64>);

fn lines(new: &Found, old: Option<&Found>) -> Vec<Line> {
    let line = |by, value: &str, alerts, committed| Line {
        by,
        value: value.to_owned(),
        alerts: Some(alerts),
        committed,
        alert: None,
        says: String::new(),
    };
    let mut lines = vec![line("total", "", new.alerts, old.map(|old| old.alerts))];
    let days: BTreeSet<&String> = new.days.keys().chain(old.iter().flat_map(|old| old.days.keys())).collect();
    let of = |counts: &BTreeMap<String, u64>, day: &String| counts.get(day).copied().unwrap_or(0);
    lines.extend(
        days.into_iter().map(|day| line("day", day, of(&new.days, day), old.map(|old| of(&old.days, day)))),
    );
    let of = |counts: &HashMap<String, u64>, key: &String| counts.get(key).copied().unwrap_or(0);
    let keys: BTreeSet<&String> = new.keys.keys().chain(old.iter().flat_map(|old| old.keys.keys())).collect();
    let mut keys: Vec<KeyCounts<'_>> =
        keys.into_iter().map(|key| (key, of(&new.keys, key), old.map(|old| of(&old.keys, key)))).collect();
    keys.sort_by_key(|(_, n, old)| std::cmp::Reverse((*n).max(old.unwrap_or(0))));
    let (listed, rest) = keys.split_at(keys.len().min(KEYS));
    lines.extend(listed.iter().map(|(key, n, old)| line("key", key, *n, *old)));
    if !rest.is_empty() {
        let all = |pick: fn(&KeyCounts<'_>) -> u64| rest.iter().map(pick).sum::<u64>();
        let old = old.map(|old| all(|(.., n)| n.unwrap_or(0)) + old.beyond);
        lines.push(line(
            "key",
            &format!("({} more)", number(rest.len() as u64)),
            all(|(_, n, _)| *n) + new.beyond,
            old,
        ));
    }
    lines.extend(new.sampled().into_iter().map(|alert| sample("sample", alert)));
    if let Some(old) = old {
        changes(new, old, &mut lines);
    }
    lines
}

/// What the two versions raise that the other does not.
fn changes(new: &Found, old: &Found, lines: &mut Vec<Line>) {
    let mut line = |value: &str, alerts: usize, committed: usize| {
        let (alerts, committed) = (Some(alerts as u64), Some(committed as u64));
        lines.push(Line {
            by: "change",
            value: value.into(),
            alerts,
            committed,
            alert: None,
            says: String::new(),
        });
    };
    let same = new.ids.intersection(&old.ids).count();
    line("the same alerts", same, same);
    line("alerts of one version only", new.ids.len() - same, old.ids.len() - same);
    let same_keys = new.keys.keys().filter(|key| old.keys.contains_key(*key)).count();
    line("the same keys", same_keys, same_keys);
    line("keys of one version only", new.keys.len() - same_keys, old.keys.len() - same_keys);
    lines.extend(new.only.iter().map(|alert| sample("only new", alert)));
    let gone = old.kept.iter().filter(|alert| !new.ids.contains(&id(alert))).take(SAMPLES);
    lines.extend(gone.map(|alert| sample("only committed", alert)));
}

fn sample(by: &'static str, alert: &Alert) -> Line {
    let value = alert.first_seen.clone().unwrap_or_default();
    let ids = plural(alert.audit_ids.len(), "audit id");
    let says = format!("{} ({ids}, count {})", alert.summary, number(alert.count));
    let alert = serde_json::to_value(alert).ok();
    Line { by, value, alerts: None, committed: None, alert, says }
}

/// Refuses flags that mean something only with `--backtest`, or nothing with it.
pub(super) fn check_flags(
    backtest: bool,
    selection: &super::args::Selection,
    others: bool,
    paths: &[String],
) -> anyhow::Result<()> {
    let selects = selection.since.is_some()
        || selection.until.is_some()
        || selection.cluster.is_some()
        || selection.threads.is_some();
    match backtest {
        false if selects => {
            bail!("--since, --until, --cluster and --threads are for --backtest; cases are run whole")
        }
        true if others => bail!("--backtest writes no results of cases; leave --bless and --junit out"),
        true if paths.is_empty() => {
            bail!("--backtest needs archives to run over: aksentry test --backtest RULE PATH...")
        }
        _ => Ok(()),
    }
}
