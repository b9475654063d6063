//! `aksentry check`: every problem of every detection and list, in one run.

use std::io::Write;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use super::output::{Cell, Column, Format, Printer, Table, stdout};
use super::{Context, Exit, engine, terminal};
use crate::alert::Object;
use crate::rules::{Diagnostic, Level};

#[derive(Debug, Args)]
pub(super) struct Check {}

impl Check {
    pub fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (catalog, mut problems) = engine::load(context)?;
        if let Err(found) = engine::plan(&catalog) {
            problems.extend(found);
        }
        for rule in &catalog.detections {
            problems.extend(catalog.cases(rule).1);
        }
        problems.sort_by(|a, b| {
            (&a.path, a.line, a.column, &a.message).cmp(&(&b.path, b.line, b.column, &b.message))
        });
        problems.dedup();
        print(&problems, context).context("writing problems to standard output")?;

        let errors = problems.iter().filter(|p| p.level == Level::Error).count();
        let warnings = problems.len() - errors;
        if !context.terminal.quiet {
            let (rules, lists) = (catalog.detections.len(), catalog.lists.len());
            terminal::say(&format!(
                "{rules} detections and {lists} lists loaded: {errors} errors, {warnings} warnings"
            ));
        }
        Ok(if errors > 0 { Exit::Failed } else { Exit::Done })
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
