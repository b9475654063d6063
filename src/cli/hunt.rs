//! `aksentry hunt NAME|FILE|-e SQL PATH...`: one query over archived logs, saved or typed.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::{Value, json};

use super::args::Selection;
use super::ask::{Answer, Asking, Bounds, Desk, Question, parse_parameter};
use super::config::Configured;
use super::output::{Cell, Column, Format, Printer, RowFile, RowSink, Shown, Table, stdout};
use super::terminal::{Style, Tint, safe, say};
use super::{Context, Exit, rules};
use crate::alert::Object;
use crate::pipeline::replay::Options;
use crate::rules::{Parameter, Query};
use crate::source::files::FileStatus;

#[derive(Debug, Args)]
pub(super) struct Hunt {
    /// A saved query or a file of SQL (not with -e), then what to read: files, folders, patterns or
    /// az://CONTAINER/PREFIX, told by content; none = the archive of the configuration
    #[arg(value_name = "NAME|FILE|PATH")]
    words: Vec<String>,
    /// The query itself, over the tables audit and control_plane
    #[arg(short = 'e', long = "execute", value_name = "SQL")]
    sql: Option<String>,
    /// A parameter, in SQL $NAME; may be given several times
    #[arg(short = 'p', long = "param", value_name = "NAME=VALUE", value_parser = parse_parameter)]
    params: Vec<(String, String)>,
    /// List the saved queries
    #[arg(long, conflicts_with_all = ["sql", "params", "show", "output"])]
    list: bool,
    /// Show a saved query instead of running it: what it is about, its parameters, its SQL
    #[arg(long, conflicts_with_all = ["sql", "params", "output"])]
    show: bool,
    /// Write the rows to this file, whole or not at all; .parquet, .csv, .json or .ndjson decides the form
    #[arg(short = 'o', long, value_name = "FILE")]
    output: Option<PathBuf>,
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

impl Hunt {
    pub fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let format = context.format()?;
        if self.list {
            return list(context, format);
        }
        let limits = self.bounds.limits(0)?;
        let mut desk = Desk::load(context)?;
        let mut words = self.words.into_iter();
        let (name, question) = match self.sql {
            Some(sql) => (None, Question::typed(sql)),
            None => {
                let Some(name) = words.next() else {
                    bail!(
                        "no query; name a saved one (`aksentry hunt --list`) or a file, or write SQL with -e"
                    );
                };
                if self.show {
                    return show(&name, &desk, context, format);
                }
                let question = desk.question(&name)?;
                (Some(name), question)
            }
        };
        let mut paths: Vec<String> = words.collect();
        let config = match paths.is_empty() {
            true => self.configured.file(),
            false => self.configured.named().map(Path::to_path_buf),
        };
        match &config {
            Some(file) if paths.is_empty() => {
                paths.push(Configured::archive_of(file, context.terminal.quiet)?);
            }
            None if paths.is_empty() => {
                let after = name.map_or("-e SQL".to_string(), |name| name);
                bail!(
                    "nothing to read; name files, folders or patterns behind {after}, or with --config the configuration whose [archive] is meant"
                );
            }
            _ => {}
        }
        desk.enrich(config.as_deref(), context)?;
        let options = self.selection.options(&paths, context.now)?;
        warn(&options, context);
        let mut shown;
        let mut file;
        let sink: &mut dyn RowSink = match &self.output {
            Some(path) => {
                file = RowFile::create(path)?;
                &mut file
            }
            None => {
                shown = Shown::new(
                    format,
                    style(context, format, self.wide),
                    context.terminal.stdout_is_terminal,
                );
                &mut shown
            }
        };
        let begun = Instant::now();
        let mut asking = Asking::open(&desk, options, limits, context)?;
        let answer = asking.ask(&question, &self.params, sink, context);
        let incomplete = asking.tell(context.terminal.quiet);
        let (line, exit) = match answer? {
            Answer::Stopped => ("stopped; the rows are not all".to_string(), Exit::Stopped),
            Answer::Rows(count) => (rows(count, Some(begun), self.output.as_deref()), Exit::Done),
        };
        if !context.terminal.quiet {
            say(&incomplete.map_or(line.clone(), |reason| format!("{line}; {reason}")));
        }
        Ok(exit)
    }
}

/// How a table is laid out.
pub(super) fn style(context: &Context, format: Format, wide: bool) -> Style {
    let style = if format == Format::Table { context.terminal.stdout } else { Style::default() };
    Style { width: style.width.filter(|_| !wide), ..style }
}

/// The last line: how many rows, where they are, how long it took since `begun`.
pub(super) fn rows(count: u64, begun: Option<Instant>, file: Option<&Path>) -> String {
    let s = if count == 1 { "" } else { "s" };
    let place = file.map(|path| format!(" in {}", path.display())).unwrap_or_default();
    let time = begun.map(|begun| begun.elapsed()).map_or(String::new(), |elapsed| match elapsed.as_secs() {
        0 => format!(" ({} ms)", elapsed.as_millis()),
        _ => format!(" ({:.1} s)", elapsed.as_secs_f64()),
    });
    safe(&format!("{count} row{s}{place}{time}"))
}

/// What is odd about the inputs before they are read.
pub(super) fn warn(options: &Options, context: &Context) {
    if context.terminal.quiet {
        return;
    }
    let inputs = &options.inputs;
    let skipped = inputs.skipped.iter().filter(|file| file.status != FileStatus::Ok);
    let skipped = skipped.map(|file| format!("{}: {}", file.path.display(), file.status));
    for warning in inputs.warnings.iter().cloned().chain(skipped) {
        say(&safe(&warning));
    }
    if inputs.files.is_empty() && inputs.skipped.is_empty() {
        let range = &options.range;
        say(match range.since.is_some() || range.until.is_some() || range.cluster.is_some() {
            true => "no file was found that holds rows in range; see --since, --until and --cluster",
            false => "no files were found; is this the right folder?",
        });
    }
}

fn list(context: &Context, format: Format) -> anyhow::Result<Exit> {
    let desk = Desk::load(context)?;
    print_list(&desk, format, context).context("writing to standard output")?;
    Ok(Exit::Done)
}

/// All saved queries.
pub(super) fn print_list(desk: &Desk, format: Format, context: &Context) -> std::io::Result<()> {
    let columns = vec![Column::text("query"), Column::prose("title"), Column::prose("parameters")];
    let fields = ["id", "title", "description", "section", "params", "see_also", "path"];
    let table = Table::new(columns, style(context, format, false));
    let mut printer = Printer::new(stdout(), format, table, fields.map(str::to_owned).to_vec());
    for query in &desk.queries.all {
        let row = || {
            let names = query.params.iter().map(|p| match p.required {
                true => p.name.clone(),
                false => format!("[{}]", p.name),
            });
            let names: Vec<String> = names.collect();
            vec![Cell::new(&query.id), Cell::new(&query.title), Cell::new(names.join(" "))]
        };
        printer.item(&facts(query), row)?;
    }
    printer.finish()
}

fn facts(query: &Query) -> Object {
    let params = query.params.iter().map(|p| {
        json!({
            "name": p.name, "type": p.kind.name(), "description": p.description,
            "required": p.required, "default": p.default.as_ref().map(|texts| texts.join(",")),
        })
    });
    let pairs: [(&str, Value); 7] = [
        ("id", json!(query.id)),
        ("title", json!(query.title)),
        ("description", json!(query.description)),
        ("section", json!(query.section)),
        ("params", Value::Array(params.collect())),
        ("see_also", json!(query.see_also)),
        ("path", json!(query.path.to_string_lossy())),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn show(name: &str, desk: &Desk, context: &Context, format: Format) -> anyhow::Result<Exit> {
    // Says what is wrong with the name or the file.
    desk.question(name)?;
    let Some(query) = desk.queries.get(name) else {
        bail!("{name} is no saved query; `aksentry hunt --list` shows them");
    };
    let mut out = stdout();
    if format == Format::Table {
        out.write_all(page(query, context.terminal.stdout).as_bytes())
            .context("writing to standard output")?;
        out.flush().context("writing to standard output")?;
        return Ok(Exit::Done);
    }
    let mut item = facts(query);
    item.insert("references".into(), json!(query.references));
    item.insert("sql".into(), json!(query.sql.trim()));
    let fields = item.keys().cloned().collect();
    let mut printer = Printer::new(out, format, Table::new(Vec::new(), Style::default()), fields);
    printer.item(&item, Vec::new).context("writing to standard output")?;
    printer.finish().context("writing to standard output")?;
    Ok(Exit::Done)
}

/// The query as a page to read.
pub(super) fn page(query: &Query, style: Style) -> String {
    let mut text = format!("{}\n{}\n", style.paint(Tint::Bold, &query.id), safe(&query.title));
    let clean = |text: &str| text.lines().map(safe).collect::<Vec<_>>().join("\n");
    text += &format!("\n{}\n", clean(query.description.trim()));
    let sections = query.section.iter().map(|n| format!("{n} {}", rules::section(*n)));
    for (label, value) in [
        ("section", sections.collect::<Vec<_>>().join(", ")),
        ("see also", query.see_also.join(", ")),
        ("references", query.references.join(", ")),
        ("file", query.path.display().to_string()),
    ] {
        if !value.is_empty() {
            text += &format!("\n{}{}", style.paint(Tint::Dim, &format!("{label:<12}")), safe(&value));
        }
    }
    text += "\n";
    if !query.params.is_empty() {
        text += &format!("\n{}\n", style.paint(Tint::Bold, "Parameters"));
        for parameter in &query.params {
            let Parameter { description, .. } = parameter;
            text += &format!("  -p {}: {}\n", safe(&parameter.usage()), safe(description));
        }
    }
    text + &format!("\n{}\n", clean(query.sql.trim()))
}
