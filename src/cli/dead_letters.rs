//! `aksentry dead-letters list|export`: what could not be decoded or delivered, with the reason.
//!
//! Reads the files of the state folder, whether or not a service runs. Exported bodies can be replayed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::Context as _;
use chrono::DateTime;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::output::{Cell, Column, Printer, Table, stdout};
use super::state::{StateFolder, seconds};
use super::terminal::{Tint, say};
use super::{Context, Exit};
use crate::alert::Object;
use crate::outbox::DEAD_LETTERS;
use crate::outbox::dead_letters::{Letters, Origin, Stored};
use crate::rules::parse_time;

#[derive(Debug, Args)]
#[command(disable_help_subcommand = true)]
pub(super) struct PutAside {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What was put aside, and how much of it by reason
    List(Selection),
    /// The records and alerts themselves, as JSON lines
    Export {
        #[command(flatten)]
        selection: Selection,
        /// Where to; - is standard output
        #[arg(long, value_name = "FILE", default_value = "-")]
        output: String,
        /// Nothing but the records, one a line, as aksentry replay reads them; alerts and binary noise are left out
        #[arg(long)]
        bodies: bool,
    },
}

#[derive(Debug, Args)]
struct Selection {
    #[command(flatten)]
    state: StateFolder,
    /// Only those with this reason, such as not_json or refused
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// Only those from this time on: RFC 3339, a date, or a span back from now such as 24h
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
}

impl PutAside {
    pub fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self.command {
            Command::List(selection) => list(&selection, context),
            Command::Export { selection, output, bodies } => export(&selection, &output, bodies, context),
        }
    }
}

impl Selection {
    /// Hands over each letter that is meant; damaged lines are counted on standard error.
    fn each(
        &self,
        context: &Context,
        mut each: impl FnMut(&Stored) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let since = self.since.as_ref().map(|text| {
            parse_time(text, context.now).map_err(|error| anyhow::anyhow!("--since {text}: {error}"))
        });
        let since = since.transpose()?;
        let folder = self.state.find()?.join(DEAD_LETTERS);
        let reading = || format!("reading the dead letters in {}", folder.display());
        let mut letters = Letters::read(&folder).with_context(reading)?;
        for letter in letters.by_ref() {
            let letter = letter.with_context(reading)?;
            if self.reason.as_ref().is_none_or(|reason| *reason == letter.reason) && from(&letter, since) {
                each(&letter)?;
            }
        }
        if letters.damaged() > 0 {
            say(&format!("{} lines were passed over: a crash has torn them", letters.damaged()));
        }
        Ok(())
    }
}

/// Whether a letter is of this time or later; one whose time is not known is taken.
fn from(letter: &Stored, since: Option<i64>) -> bool {
    let time = letter.time.as_deref().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
    since.zip(time).is_none_or(|(since, time)| time.timestamp_micros() >= since)
}

fn list(selection: &Selection, context: &Context) -> anyhow::Result<Exit> {
    let format = context.format()?;
    let columns = vec![
        Column::text("time"),
        Column::text("reason"),
        Column::text("source"),
        Column::prose("detail"),
        Column::number("size"),
    ];
    let fields = ["time", "reason", "source", "detail", "size"].map(str::to_owned).to_vec();
    let mut printer = Printer::new(stdout(), format, Table::new(columns, context.terminal.stdout), fields);
    let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
    selection.each(context, |letter| {
        *reasons.entry(letter.reason.clone()).or_default() += 1;
        let mut item = head(letter);
        item.insert("size".to_owned(), json!(letter.size()));
        printer.item(&item, || cells(letter)).context("writing to standard output")
    })?;
    printer.finish().context("writing to standard output")?;
    if !context.terminal.quiet {
        say(&summary(&reasons));
    }
    Ok(Exit::Done)
}

fn summary(reasons: &BTreeMap<String, u64>) -> String {
    let counts: Vec<String> = reasons.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    match reasons.values().sum::<u64>() {
        0 => "no dead letters".to_owned(),
        total => format!("{total} dead letters: {}", counts.join(", ")),
    }
}

fn head(letter: &Stored) -> Object {
    let pairs = [
        ("time", json!(letter.time)),
        ("reason", json!(letter.reason)),
        ("source", json!(letter.source)),
        ("detail", json!(letter.detail)),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn cells(letter: &Stored) -> Vec<Cell> {
    let source = match &letter.source {
        Origin::Message { partition, sequence } => format!("partition {partition}, sequence {sequence}"),
        Origin::Sink { sink, alert } => format!("sink {sink}, alert {alert}"),
    };
    vec![
        Cell::tinted(seconds(letter.time.as_deref().unwrap_or("")), Tint::Dim),
        Cell::new(&letter.reason),
        Cell::new(source),
        Cell::new(&letter.detail),
        Cell::new(letter.size().to_string()),
    ]
}

fn export(selection: &Selection, output: &str, bodies: bool, context: &Context) -> anyhow::Result<Exit> {
    let mut out: Box<dyn Write> = match output {
        "-" => Box::new(stdout()),
        path => {
            let path = Path::new(path);
            let file = File::create(path).with_context(|| format!("writing --output {}", path.display()))?;
            Box::new(BufWriter::new(file))
        }
    };
    let writing = || format!("writing dead letters to {output}");
    let (mut written, mut left_out) = (0u64, 0u64);
    selection.each(context, |letter| {
        if bodies && !replayable(letter) {
            left_out += 1;
            return Ok(());
        }
        written += 1;
        if bodies { body_line(letter, &mut out) } else { letter_line(letter, &mut out) }.with_context(writing)
    })?;
    out.flush().with_context(writing)?;
    if !context.terminal.quiet {
        say(&match left_out {
            0 => format!("{written} dead letters exported"),
            n => {
                format!("{written} dead letters exported; {n} left out: alerts, and bodies that are no text")
            }
        });
    }
    Ok(Exit::Done)
}

/// Whether a body may be a record: binary noise would make the whole file look binary.
fn replayable(letter: &Stored) -> bool {
    let text = |body: Vec<u8>| !body.contains(&0) && std::str::from_utf8(&body).is_ok();
    matches!(letter.source, Origin::Message { .. }) && letter.body().is_some_and(text)
}

/// The letter with its body as text; where it is none, as base64.
fn letter_line(letter: &Stored, out: &mut dyn Write) -> io::Result<()> {
    let mut item = head(letter);
    match String::from_utf8(letter.body().unwrap_or_default()) {
        Ok(text) => item.insert("body".to_owned(), Value::String(text)),
        Err(_) => item.insert("body_base64".to_owned(), json!(letter.body_base64())),
    };
    serde_json::to_writer(&mut *out, &item)?;
    out.write_all(b"\n")
}

/// The body in one line: JSON means the same with blanks for its line breaks.
fn body_line(letter: &Stored, out: &mut dyn Write) -> io::Result<()> {
    let mut body = letter.body().unwrap_or_default();
    for byte in &mut body {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    out.write_all(&body)?;
    out.write_all(b"\n")
}
