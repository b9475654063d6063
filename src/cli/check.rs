//! `aksentry check`: every problem of the configuration and of every detection and list, in one run, and
//! whether what the configuration names answers.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use super::output::{Cell, Column, Format, Printer, Table, stdout};
use super::probe::{self, Found};
use super::{Context, Exit, config, engine, terminal};
use crate::alert::Object;
use crate::config::Config;
use crate::rules::{Diagnostic, Level};

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
        let (catalog, mut problems) = engine::load(context)?;
        if let Err(found) = engine::plan(&catalog) {
            problems.extend(found);
        }
        for rule in &catalog.detections {
            problems.extend(catalog.cases(rule).1);
        }
        let config = match self.config.as_deref().map(config::load) {
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
        print(&problems, context).context("writing problems to standard output")?;

        let errors = problems.iter().filter(|p| p.level == Level::Error).count();
        let warnings = problems.len() - errors;
        if !context.terminal.quiet {
            let (rules, lists) = (catalog.detections.len(), catalog.lists.len());
            let file = self.config.map(|path| format!("{}, ", path.display())).unwrap_or_default();
            terminal::say(&format!(
                "{file}{rules} detections and {lists} lists loaded: {errors} errors, {warnings} warnings"
            ));
        }
        let silent = match config {
            Some(config) if self.online => online(&config, context)?,
            None if self.online => {
                terminal::say("nothing was tried; correct the configuration first");
                0
            }
            _ => 0,
        };
        Ok(if errors + silent > 0 { Exit::Failed } else { Exit::Done })
    }
}

/// Tries what the configuration names; how much of it cannot be used.
fn online(config: &Config, context: &Context) -> anyhow::Result<usize> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.context("starting to try what the configuration names")?;
    let mut out = stdout();
    let lines = matches!(context.global.format, None | Some(Format::Table));
    let fields = ["probe", "ok", "message"].map(str::to_owned).to_vec();
    let format = if lines { Format::None } else { context.format()? };
    let mut failures = 0;
    let mut found: Vec<(String, Found)> = Vec::new();
    runtime.block_on(probe::run(probe::local(config), |name, result| {
        failures += usize::from(result.is_err());
        if lines {
            writeln!(out, "{}", line(name, result))?;
            out.flush()?;
        } else {
            found.push((name.to_owned(), result.clone()));
        }
        Ok(())
    }))?;
    let mut printer = Printer::new(out, format, Table::new(Vec::new(), Default::default()), fields);
    for (name, result) in &found {
        let (Ok(message) | Err(message)) = result;
        let item: Object =
            [("probe", json!(name)), ("ok", json!(result.is_ok())), ("message", json!(message))]
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect();
        printer.item(&item, Vec::new)?;
    }
    printer.finish()?;
    Ok(failures)
}

fn line(name: &str, found: &Found) -> String {
    match found {
        Ok(message) => format!("ok      {name}: {}", terminal::safe(message)),
        Err(message) => format!("failed  {name}: {}", terminal::safe(message)),
    }
}

/// A problem a line is the form editors and people know, so it is also that of a pipe; the other forms
/// are for who asks for them.
fn print(problems: &[Diagnostic], context: &Context) -> anyhow::Result<()> {
    let mut out = stdout();
    if matches!(context.global.format, None | Some(Format::Table)) {
        for problem in problems {
            writeln!(out, "{problem}")?;
        }
        return Ok(out.flush()?);
    }
    let fields = ["path", "line", "column", "level", "message"].map(str::to_owned).to_vec();
    let table = Table::new(vec![Column::text("problem")], Default::default());
    let mut printer = Printer::new(out, context.format()?, table, fields);
    for problem in problems {
        let level = if problem.level == Level::Error { "error" } else { "warning" };
        let item: Object = [
            ("path", json!(problem.path.to_string_lossy())),
            ("line", json!(problem.line)),
            ("column", json!(problem.column)),
            ("level", json!(level)),
            ("message", json!(problem.message)),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        printer.item(&item, || vec![Cell::new(problem.to_string())])?;
    }
    Ok(printer.finish()?)
}
