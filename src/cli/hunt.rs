//! `aksentry hunt -e SQL PATH...`: one SQL query over archived logs.

use clap::Args;

use super::args::Selection;
use super::output::{Format, Rows, stdout};
use super::{Context, Exit, engine, terminal};
use crate::source::files::FileStatus;

#[derive(Debug, Args)]
pub(super) struct Hunt {
    /// The query, over the tables audit and control_plane
    #[arg(short = 'e', long = "execute", value_name = "SQL")]
    sql: String,
    /// Files, folders or patterns; gzip, zstd and plain are told by content
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    #[command(flatten)]
    selection: Selection,
}

impl Hunt {
    pub fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let format = context.format()?;
        let options = self.selection.options(&self.paths, context.now)?;
        let (catalog, problems) = engine::load(context)?;
        // A detection that is wrong is no concern of a query; a list may be.
        for problem in problems.iter().filter(|p| p.path.extension().is_none_or(|e| e != "sql")) {
            terminal::say(&problem.to_string());
        }
        if !context.terminal.quiet {
            let skipped = options.inputs.skipped.iter().filter(|file| file.status != FileStatus::Ok);
            let skipped = skipped.map(|file| format!("{}: {}", file.path.display(), file.status));
            for warning in options.inputs.warnings.iter().cloned().chain(skipped) {
                terminal::say(&terminal::safe(&warning));
            }
        }
        let style = if format == Format::Table { context.terminal.stdout } else { Default::default() };
        let mut rows = Rows::new(stdout(), format, style);
        let damaged = engine::hunt(&self.sql, &catalog, options, &mut |batch| rows.write(batch))?;
        let count = rows.finish()?;
        // Said even to those who want no summary: the answer lacks these rows.
        for file in &damaged {
            terminal::say(&terminal::safe(&format!("warning: {file}; its rows are missing here")));
        }
        if !context.terminal.quiet {
            terminal::say(&format!("{count} row{}", if count == 1 { "" } else { "s" }));
        }
        Ok(Exit::Done)
    }
}
