//! `aksentry shell PATH...`: one query after another over the same inputs.
//!
//! At a terminal with history, completion and editing over several lines; otherwise standard input is a
//! script that ends at its first error. What was decoded is kept within `--cache`, so that only the
//! first query reads the files.

mod commands;
mod complete;
mod history;
mod lines;

use std::io::{self, BufRead, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor};

use super::args::{Selection, parse_size};
use super::ask::{Answer, Asking, Bounds, Desk, Question};
use super::config::Configured;
use super::output::{Format, RowFile, RowSink, Shown};
use super::terminal::say;
use super::{Context, Exit, hunt};
use crate::hunt::Given;
use complete::Words;
use lines::{Entry, Lines};

#[derive(Debug, Args)]
pub(super) struct ShellArgs {
    /// Files, folders, patterns or az://CONTAINER/PREFIX, told by content; none = the archive of the
    /// configuration
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// Memory for decoded rows that are kept from one query to the next; 0 = decode anew each time
    #[arg(long, value_name = "SIZE", default_value = "1GB", value_parser = parse_size)]
    cache: usize,
    /// Show everything in a table, however wide it becomes
    #[arg(long)]
    wide: bool,
    #[command(flatten)]
    bounds: Bounds,
    #[command(flatten)]
    configured: Configured,
    #[command(flatten)]
    selection: Selection,
}

/// What comes after an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Leave,
    Stopped,
}

/// The state of a shell.
struct Shell<'a> {
    context: &'a Context,
    desk: Desk,
    asking: Asking,
    format: Format,
    wide: bool,
    expanded: bool,
    timing: bool,
    /// Where the rows of the next query go.
    output: Option<PathBuf>,
}

impl ShellArgs {
    pub fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let format = context.format()?;
        let limits = self.bounds.limits(self.cache)?;
        let mut desk = Desk::load(context)?;
        let mut paths = self.paths;
        let config = match paths.is_empty() {
            true => self.configured.file(),
            false => self.configured.named().map(Path::to_path_buf),
        };
        if let Some(file) = config.as_deref().filter(|_| paths.is_empty()) {
            paths.push(Configured::archive_of(file, context.terminal.quiet)?);
        }
        desk.enrich(config.as_deref(), context)?;
        let options = self.selection.options(&paths, context.now)?;
        if paths.is_empty() {
            say(
                "nothing to read, so the tables are empty; name files, folders or patterns behind shell, or with --config the configuration whose [archive] is meant",
            );
        } else {
            hunt::warn(&options, context);
        }
        let files = options.inputs.files.len();
        let asking = Asking::open(&desk, options, limits, context)?;
        let (wide, expanded, timing) = (self.wide, false, true);
        let shell = Shell { context, desk, asking, format, wide, expanded, timing, output: None };
        if !io::stdin().is_terminal() {
            return shell.script();
        }
        if !context.terminal.quiet {
            let s = if files == 1 { "" } else { "s" };
            say(&format!(
                "{files} file{s}; \\help shows the commands, \\d the tables, \\l the saved queries"
            ));
        }
        shell.converse()
    }
}

impl Shell<'_> {
    /// Statements from standard input; the first error ends it.
    fn script(mut self) -> anyhow::Result<Exit> {
        let mut lines = Lines::default();
        for line in io::stdin().lock().lines() {
            let line = line.context("reading statements from standard input")?;
            for entry in lines.push(&line) {
                if let Some(exit) = self.scripted(entry)? {
                    return Ok(exit);
                }
            }
        }
        match lines.finish() {
            Some(entry) => Ok(self.scripted(entry)?.unwrap_or(Exit::Done)),
            None => Ok(Exit::Done),
        }
    }

    fn scripted(&mut self, entry: Entry) -> anyhow::Result<Option<Exit>> {
        let flow = match entry {
            Entry::Command(command) => self.command(&command)?,
            // Blank lines before it make its positions those of the script.
            Entry::Sql { text, line } => {
                let sql = format!("{}{text}", "\n".repeat(line.saturating_sub(1)));
                let question = Question { shown: "script".into(), ..Question::typed(sql) };
                self.ask(&question, &Given::new())?
            }
        };
        Ok(match flow {
            Flow::On => None,
            Flow::Leave => Some(Exit::Done),
            Flow::Stopped => Some(Exit::Stopped),
        })
    }

    /// At a terminal, until Ctrl-D.
    fn converse(mut self) -> anyhow::Result<Exit> {
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .history_ignore_space(true)
            .auto_add_history(false)
            .build();
        let mut editor: Editor<Words, FileHistory> =
            Editor::with_config(config).context("opening the terminal")?;
        editor.set_helper(Some(Words::new(self.asking.session.functions(), &self.desk.queries)));
        let history = history::file();
        if let Some(file) = &history {
            // The first time there is none.
            let _ = editor.load_history(file);
        }
        loop {
            let text = match editor.readline("aksentry> ") {
                Ok(text) => text,
                Err(ReadlineError::Interrupted) => continue,
                Err(ReadlineError::Eof) => break,
                Err(error) => return Err(error).context("reading from the terminal"),
            };
            if text.trim().is_empty() {
                continue;
            }
            let _ = editor.add_history_entry(text.trim_end());
            if let Some(file) = &history
                && let Err(error) = editor.append_history(file)
            {
                say(&format!("aksentry: the history is not kept in {}: {error}", file.display()));
            }
            if matches!(text.trim().trim_end_matches(';'), "exit" | "quit")
                || self.entered(&text) == Flow::Leave
            {
                break;
            }
        }
        Ok(Exit::Done)
    }

    /// Runs what was entered at once; an error is told and the shell goes on.
    fn entered(&mut self, text: &str) -> Flow {
        let mut lines = Lines::default();
        let mut entries: Vec<Entry> = text.split('\n').flat_map(|line| lines.push(line)).collect();
        entries.extend(lines.finish());
        for entry in entries {
            let flow = match entry {
                Entry::Command(command) => self.command(&command),
                Entry::Sql { text, .. } => self.ask(&Question::typed(text), &Given::new()),
            };
            match flow {
                Ok(Flow::On) => {}
                Ok(flow) => return flow,
                Err(error) => {
                    say(&format!("aksentry: {error:#}"));
                    return Flow::On;
                }
            }
        }
        Flow::On
    }

    /// Asks and tells how it went.
    fn ask(&mut self, question: &Question, given: &Given) -> anyhow::Result<Flow> {
        let begun = Instant::now();
        let output = self.output.take();
        let (mut shown, mut file);
        let sink: &mut dyn RowSink = match &output {
            Some(path) => {
                file = RowFile::create(path)?;
                &mut file
            }
            None => {
                let style = hunt::style(self.context, self.format, self.wide);
                let terminal = self.context.terminal.stdout_is_terminal;
                shown = Shown::new(self.format, style, terminal).expanded(self.expanded);
                &mut shown
            }
        };
        let answer = self.asking.ask(question, given, sink, self.context);
        let quiet = self.context.terminal.quiet;
        let incomplete = self.asking.tell(quiet);
        let (line, flow) = match answer? {
            Answer::Stopped => ("stopped; the rows are not all".to_string(), Flow::Stopped),
            Answer::Rows(count) => {
                let begun = self.timing.then_some(begun);
                (hunt::rows(count, begun, output.as_deref()), Flow::On)
            }
        };
        if !quiet {
            say(&incomplete.map_or(line.clone(), |reason| format!("{line}; {reason}")));
        }
        Ok(flow)
    }
}
