//! `aksentry check`: every problem of the configuration and of every detection, query and list, in one
//! run, and whether what the configuration names answers.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};

use super::output::{Format, Printer, Table, stdout};
use super::probe::{self, Found};
use super::{Context, Exit, config, engine, terminal};
use crate::alert::Object;
use crate::config::Config;
use crate::detect::doubts;
use crate::event::figures::plural;
use crate::pipeline::cases::without_a_bodiless_case;
use crate::rules::{Catalog, Diagnostic, Level, Peers, Queries};

#[derive(Debug, Args)]
pub(super) struct Check {
    /// Check this configuration, too
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Try the hub, the stores and every sink of the configuration
    #[arg(long, requires = "config")]
    online: bool,
}

impl Check {
    pub fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (mut catalog, mut problems) = engine::load(context)?;
        let config = self.config.as_deref().map(config::load);
        if let Some(Ok(config)) = &config {
            problems.extend(catalog.open_geoip(engine::geoip(context, config)));
        }
        problems.extend(catalog.geoip.verify());
        let (queries, found) = engine::queries(context)?;
        problems.extend(found);
        problems.extend(crate::hunt::check(&queries, &catalog));
        problems.extend(Peers::load(&catalog).1);
        let mut cases = BTreeMap::new();
        for rule in &catalog.detections {
            let (found, wrong) = catalog.cases(rule);
            problems.extend(wrong);
            cases.insert(rule.id.clone(), found);
        }
        let mute = match engine::planned(&catalog) {
            Ok(engine) => {
                problems.extend(without_a_bodiless_case(&engine, &cases));
                engine.mute().map(|(rule, reason)| (rule.to_owned(), reason)).collect()
            }
            Err(found) => {
                problems.extend(found);
                Vec::new()
            }
        };
        problems.extend(doubts(&catalog, &queries, &problems));
        let config = match config {
            Some(Ok(config)) => {
                problems.extend(config.warnings.iter().cloned().chain(config.check_rules(&catalog)));
                Some(config)
            }
            Some(Err(found)) => {
                problems.extend(found);
                None
            }
            None => None,
        };
        problems.sort_by(|a, b| {
            (&a.path, a.line, a.column, &a.message).cmp(&(&b.path, b.line, b.column, &b.message))
        });
        problems.dedup();
        let mut report = Report::new(context)?;
        for problem in &problems {
            report.problem(problem).context("writing problems to standard output")?;
        }

        let errors = problems.iter().filter(|p| p.level == Level::Error).count();
        let warnings = problems.len() - errors;
        if !context.terminal.quiet {
            let (rules, lists) = (catalog.detections.len(), catalog.lists.len());
            let queries = queries.all.len();
            let file = self.config.map(|path| format!("{}, ", path.display())).unwrap_or_default();
            terminal::say(&format!(
                "{file}{}, {} and {} loaded: {}, {}",
                plural(rules, "detection"),
                if queries == 1 { "1 query".to_owned() } else { format!("{queries} queries") },
                plural(lists, "list"),
                plural(errors, "error"),
                plural(warnings, "warning")
            ));
        }
        if !context.terminal.quiet {
            catalog.geoip.described().for_each(|database| terminal::say(&terminal::safe(&database)));
            for (rule, reason) in &mute {
                terminal::say(&format!("{rule} cannot fire: {reason}"));
            }
        }
        let silent = match config {
            Some(config) if self.online => online(&config, &mut report)?,
            None if self.online => {
                terminal::say("nothing was tried; correct the configuration first");
                0
            }
            _ => 0,
        };
        report.printer.finish()?;
        Ok(if errors + silent > 0 { Exit::Failed } else { Exit::Done })
    }
}

/// What is allowed and does nothing. A file that is wrong is to be corrected first.
fn doubts(catalog: &Catalog, queries: &Queries, problems: &[Diagnostic]) -> Vec<Diagnostic> {
    let wrong = |path: &Path| problems.iter().any(|p| p.level == Level::Error && p.path == path);
    let rules = catalog.detections.iter().filter(|rule| !wrong(&rule.path)).flat_map(doubts::rule);
    let asked = queries.all.iter().filter(|query| !wrong(&query.path)).flat_map(doubts::query);
    let complete = problems.iter().all(|problem| problem.level != Level::Error);
    rules.chain(asked).chain(doubts::lists(catalog, queries, complete)).collect()
}

/// Tries what the configuration names; how much of it cannot be used.
fn online(config: &Config, report: &mut Report) -> anyhow::Result<usize> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.context("starting to try what the configuration names")?;
    let mut failures = 0;
    runtime.block_on(probe::run(
        probe::local(config).into_iter().chain(probe::remote(config)).collect(),
        |name, found| {
            failures += usize::from(found.is_err());
            report.probe(name, found)
        },
    ))?;
    Ok(failures)
}

/// What was found, on standard output. A problem a line is the form editors and people know, so it is
/// also that of a pipe; the other forms are for who asks for them.
struct Report {
    printer: Printer<Box<dyn Write>>,
    lines: bool,
}

impl Report {
    fn new(context: &Context) -> anyhow::Result<Self> {
        let lines = matches!(context.global.format, None | Some(Format::Table));
        let format = if lines { Format::None } else { context.format()? };
        let fields = ["path", "line", "column", "probe", "level", "message"].map(str::to_owned).to_vec();
        let table = Table::new(Vec::new(), Default::default());
        Ok(Self { printer: Printer::new(Box::new(stdout()), format, table, fields), lines })
    }

    fn problem(&mut self, problem: &Diagnostic) -> anyhow::Result<()> {
        let level = if problem.level == Level::Error { "error" } else { "warning" };
        let item = [
            ("path", json!(problem.path.to_string_lossy())),
            ("line", json!(problem.line)),
            ("column", json!(problem.column)),
            ("level", json!(level)),
            ("message", json!(problem.message)),
        ];
        self.print(&item, || terminal::safe(&problem.to_string()))
    }

    fn probe(&mut self, name: &str, found: &Found) -> anyhow::Result<()> {
        let (level, message) = match found {
            Ok(message) => ("ok", message),
            Err(message) => ("error", message),
        };
        let item = [("probe", json!(name)), ("level", json!(level)), ("message", json!(message))];
        self.print(&item, || format!("{level:<7} {name}: {}", terminal::safe(message)))
    }

    fn print(&mut self, item: &[(&str, Value)], line: impl FnOnce() -> String) -> anyhow::Result<()> {
        if self.lines {
            // Somebody waits for the next probe meanwhile.
            let mut out = std::io::stdout().lock();
            return Ok(writeln!(out, "{}", line())?);
        }
        let item: Object = item.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Ok(self.printer.item(&item, Vec::new)?)
    }
}
