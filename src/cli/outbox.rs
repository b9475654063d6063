//! `aksentry outbox list|retry|drop`: alerts that are not delivered yet.
//!
//! The running service is asked; where none runs, the outbox is opened as the last one left it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::{ArgGroup, Args, Subcommand};
use serde_json::json;

use super::output::{Cell, Column, Printer, Table, stdout};
use super::state::StateFolder;
use super::terminal::{Tint, say};
use super::{Context, Exit};
use crate::alert::Object;
use crate::event::value::rfc3339;
use crate::outbox::control::{self, ControlError, Request};
use crate::outbox::dead_letters::{DEFAULT_CAP, DeadLetters};
use crate::outbox::{DEAD_LETTERS, Listed, Outbox, OutboxError, Waiting, Which};
use crate::telemetry::Metrics;

#[derive(Debug, Args)]
#[command(disable_help_subcommand = true)]
pub(super) struct Waits {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// All alerts that are not delivered yet, by sink
    List {
        #[command(flatten)]
        state: StateFolder,
        /// Only those of this sink
        #[arg(long, value_name = "NAME")]
        sink: Option<String>,
    },
    /// Have alerts tried now
    Retry(Retry),
    /// Give alerts up: they go to dead letters
    Drop(Drop),
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).multiple(true).args(["ids", "all", "sink"])))]
struct Retry {
    #[command(flatten)]
    state: StateFolder,
    /// Only for this sink
    #[arg(long, value_name = "NAME")]
    sink: Option<String>,
    /// Every alert
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// Ids of alerts
    #[arg(value_name = "ID")]
    ids: Vec<String>,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).args(["ids", "all"])))]
struct Drop {
    #[command(flatten)]
    state: StateFolder,
    /// Only for this sink
    #[arg(long, value_name = "NAME")]
    sink: Option<String>,
    /// Every alert of the sink
    #[arg(long, requires = "sink")]
    all: bool,
    /// Yes, every alert
    #[arg(long)]
    yes: bool,
    /// Ids of alerts
    #[arg(value_name = "ID")]
    ids: Vec<String>,
}

impl Waits {
    pub fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self.command {
            Command::List { state, sink } => list(&state.find()?, sink, context),
            Command::Retry(command) => command.run(context),
            Command::Drop(command) => command.run(context),
        }
    }
}

/// Whom a request was put to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Service,
    Us,
}

/// Has a request done; how many alerts it was about.
fn perform(
    state: &Path,
    request: &Request,
    context: &Context,
    each: &mut dyn FnMut(Listed) -> io::Result<()>,
) -> anyhow::Result<(u64, By)> {
    let silent = match control::ask(state, request, each) {
        Ok(count) => return Ok((count, By::Service)),
        Err(error @ ControlError::NotRunning { .. }) => error,
        Err(error) => return Err(fault(error)),
    };
    let metrics = Arc::new(Metrics::new());
    let dead = DeadLetters::open(&state.join(DEAD_LETTERS), DEFAULT_CAP, Arc::clone(&metrics))?;
    let outbox = match Outbox::open_left(state, dead, metrics) {
        Err(error @ OutboxError::InUse { .. }) => return Err(error).context(silent.to_string()),
        other => other?,
    };
    let now = context.now.timestamp_micros();
    Ok((control::perform(&outbox, request, now, each).map_err(fault)?, By::Us))
}

/// Keeps a closed pipe what it is.
fn fault(error: ControlError) -> anyhow::Error {
    match error {
        ControlError::Shown(cause) => anyhow::Error::from(cause).context("writing to standard output"),
        other => other.into(),
    }
}

fn list(state: &Path, sink: Option<String>, context: &Context) -> anyhow::Result<Exit> {
    let format = context.format()?;
    let columns = vec![
        Column::text("sink"),
        Column::text("state"),
        Column::number("attempts"),
        Column::text("since"),
        Column::text("next try"),
        Column::text("severity"),
        Column::text("rule"),
        Column::text("id"),
        Column::prose("last error"),
    ];
    let fields = ["sink", "state", "attempts", "since", "next_try", "severity", "rule", "id", "last_error"];
    let table = Table::new(columns, context.terminal.stdout);
    let mut printer = Printer::new(stdout(), format, table, fields.map(str::to_owned).to_vec());
    let mut each = |alert: Listed| printer.item(&item(&alert), || cells(&alert));
    let request = Request::List { sink };
    let (count, _) = perform(state, &request, context, &mut each)?;
    printer.finish().context("writing to standard output")?;
    if count == 0 && !context.terminal.quiet {
        say("no alert waits for delivery");
    }
    Ok(Exit::Done)
}

fn item(alert: &Listed) -> Object {
    let pairs = [
        ("sink", json!(alert.sink)),
        ("state", json!(alert.state)),
        ("attempts", json!(alert.attempts)),
        ("since", json!(rfc3339(alert.since))),
        ("next_try", json!(alert.next_try.and_then(rfc3339))),
        ("severity", json!(alert.severity)),
        ("rule", json!(alert.rule)),
        ("id", json!(alert.id)),
        ("last_error", json!(alert.last_error)),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn cells(alert: &Listed) -> Vec<Cell> {
    let time = |time: Option<i64>| super::state::seconds(time.and_then(rfc3339).as_deref().unwrap_or(""));
    let state = match alert.state {
        Waiting::Waiting => Cell::new(alert.state.as_str()),
        Waiting::Retrying => Cell::tinted(alert.state.as_str(), Tint::Medium),
        Waiting::Orphaned => Cell::tinted(alert.state.as_str(), Tint::High),
    };
    vec![
        Cell::new(&alert.sink),
        state,
        Cell::new(alert.attempts.to_string()),
        Cell::tinted(time(Some(alert.since)), Tint::Dim),
        Cell::new(time(alert.next_try)),
        Cell::tinted(alert.severity.as_str(), alert.severity),
        Cell::new(&alert.rule),
        Cell::new(&alert.id),
        Cell::new(alert.last_error.as_deref().unwrap_or("")),
    ]
}

fn which(ids: Vec<String>) -> Which {
    if ids.is_empty() { Which::All } else { Which::Ids(ids) }
}

impl Retry {
    fn run(self, context: &Context) -> anyhow::Result<Exit> {
        // `--all` says what a sink alone says too; it is there to be said where there is no sink.
        let _ = self.all;
        let named = !self.ids.is_empty();
        let request = Request::Retry { sink: self.sink, which: which(self.ids) };
        let (count, by) = perform(&self.state.find()?, &request, context, &mut |_| Ok(()))?;
        if count == 0 && named {
            say("none of these alerts waits for a sink that is configured");
            return Ok(Exit::Failed);
        }
        match by {
            By::Service => say(&format!("{count} deliveries are tried now")),
            By::Us => {
                say(&format!("no service runs here; its next start tries all {count} deliveries at once"))
            }
        }
        Ok(Exit::Done)
    }
}

impl Drop {
    fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let state = self.state.find()?;
        if self.all && !self.yes {
            let request = Request::List { sink: self.sink.clone() };
            let (count, _) = perform(&state, &request, context, &mut |_| Ok(()))?;
            let sink = self.sink.unwrap_or_default();
            bail!("this gives up all {count} alerts that wait for {sink}; add --yes if that is meant");
        }
        let named = !self.ids.is_empty();
        let request = Request::Drop { sink: self.sink, which: which(self.ids) };
        let (count, _) = perform(&state, &request, context, &mut |_| Ok(()))?;
        if count == 0 && named {
            say("none of these alerts waits for delivery");
            return Ok(Exit::Failed);
        }
        say(&format!("{count} deliveries were given up; see aksentry dead-letters list"));
        Ok(Exit::Done)
    }
}
