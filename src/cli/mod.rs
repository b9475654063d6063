//! The commands: arguments in, exit code out.
//!
//! Standard output carries data only, everything else goes to standard error. Exit code 0: done; 1: the
//! command found what it looks for as failure; 2: wrong usage, configuration or a fault while running.
//! A closed pipe is success. One file per command; [`engine`] is the only one that calls the engine.

mod archive;
mod args;
mod ask;
mod backtest;
mod check;
mod config;
mod coverage;
mod dead_letters;
mod demo;
mod engine;
mod hub;
mod hunt;
mod import;
mod outbox;
mod output;
mod probe;
mod progress;
mod promote;
mod replay;
mod report;
mod rules;
mod run;
mod send;
mod service;
mod shell;
mod state;
mod stats;
mod summary;
mod terminal;
mod test;
mod top;
mod trust;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::{Args, Parser, Subcommand};

use output::Format;
use terminal::Terminal;

/// Audit-log analytics for Azure Kubernetes Service.
#[derive(Debug, Parser)]
#[command(name = "aksentry", version, about, max_term_width = 100, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags every command takes.
#[derive(Debug, Args)]
struct Global {
    /// Folder of detections [default: ./detections, else the pack in this program]
    #[arg(long, global = true, value_name = "DIR")]
    detections: Option<PathBuf>,
    /// Folder of queries [default: ./queries, else the pack in this program]
    #[arg(long, global = true, value_name = "DIR")]
    queries: Option<PathBuf>,
    /// Folder of lists [default: ./lists, else the pack in this program]
    #[arg(long, global = true, value_name = "DIR")]
    lists: Option<PathBuf>,
    /// Database of addresses in MaxMind's format, for country(), asn() and the like; may be given several
    /// times [default: those of the configuration, where a command has one]
    #[arg(long, global = true, value_name = "FILE")]
    geoip: Vec<PathBuf>,
    /// Form of the data on standard output [default: table on a terminal, else ndjson]
    #[arg(long, global = true, value_enum)]
    format: Option<Format>,
    /// No progress, no summary
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the whole service at work on this machine, with the samples
    Demo(demo::Demo),
    /// Run the service: messages from a hub in, alerts to the configured sinks
    Run(run::Run),
    /// Run the detections over archived logs and print their alerts
    Replay(replay::Replay),
    /// Run a saved query or SQL over archived logs
    Hunt(hunt::Hunt),
    /// Ask one query after another over archived logs
    Shell(shell::ShellArgs),
    /// Check detections, queries and lists, and report every problem as path:line:col: message
    Check(check::Check),
    /// Run the cases of the detections
    Test(test::Test),
    /// What the pack of detections holds
    Rules(rules::Rules),
    /// Turn rules of others into detections: Sigma
    Import(import::Import),
    /// Watch a running service in the terminal
    Top(top::Top),
    /// What the archive holds and lacks; small files merged, old days deleted
    Archive(archive::Archive),
    /// Alerts that are not delivered yet
    Outbox(outbox::Waits),
    /// What could not be decoded or delivered, with the reason
    DeadLetters(dead_letters::PutAside),
    /// A hub in memory that clients of Event Hubs can use, for development and tests only
    Hub(hub::Hub),
}

/// What a command gets beside its own arguments.
struct Context {
    global: Global,
    terminal: Terminal,
    now: DateTime<Utc>,
}

/// How a command ended, if not with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    Done,
    /// It found what it looks for as failure.
    Failed,
    /// Somebody pressed Ctrl-C.
    Stopped,
}

/// Runs the command line of this process.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub fn main() -> ExitCode {
    let now = Utc::now();
    trust::system_and_own();
    // Of the two providers in the tree of dependencies none is the default; another one is already
    // there only if somebody else installed it first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help on a closed pipe is as good as printed.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let context = Context { terminal: Terminal::detect(cli.global.quiet), global: cli.global, now };
    let result = match cli.command {
        Command::Demo(command) => command.run(&context),
        Command::Run(command) => command.run(&context),
        Command::Replay(command) => command.run(&context),
        Command::Hunt(command) => command.run(&context),
        Command::Shell(command) => command.run(&context),
        Command::Check(command) => command.run(&context),
        Command::Test(command) => command.run(&context),
        Command::Rules(command) => command.run(&context),
        Command::Import(command) => command.run(&context),
        Command::Top(command) => command.run(&context),
        Command::Archive(command) => command.run(&context),
        Command::Outbox(command) => command.run(&context),
        Command::DeadLetters(command) => command.run(&context),
        Command::Hub(command) => command.run(&context),
    };
    match result {
        Ok(Exit::Done) => ExitCode::SUCCESS,
        Ok(Exit::Failed) => ExitCode::from(1),
        // As a shell says of a command that an interrupt ended.
        Ok(Exit::Stopped) => ExitCode::from(130),
        Err(error) if closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::say(&format!("aksentry: {error:#}"));
            ExitCode::from(2)
        }
    }
}

/// The wall clock for what runs long.
#[expect(clippy::disallowed_methods, reason = "with main, the one place that reads the clock")]
fn clock() -> crate::event::Clock {
    std::sync::Arc::new(|| Utc::now().timestamp_micros())
}

/// The wall clock, for a shell that stays open for days.
#[expect(clippy::disallowed_methods, reason = "with main, the one place that reads the clock")]
fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Whether somebody stopped reading our output, as `head` does.
fn closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_closed_pipe_is_found_under_context() {
        let error = |kind| anyhow::Error::from(io::Error::from(kind)).context("writing alerts");
        assert!(closed_pipe(&error(io::ErrorKind::BrokenPipe)));
        assert!(!closed_pipe(&error(io::ErrorKind::StorageFull)));
    }
}
