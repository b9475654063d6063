//! `aksentry replay`: archived logs in, alerts out, in event time.

use std::fs::File;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;

use super::args::Selection;
use super::output::{Alerts, Format, stdout};
use super::progress::Bar;
use super::report::Reporting;
use super::send::Sending;
use super::{Context, Exit, closed_pipe, engine, stats, summary};
use crate::alert::Severity;

#[derive(Debug, Args)]
pub(super) struct Replay {
    /// Files, folders or patterns; gzip, zstd and plain are told by content
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    #[command(flatten)]
    selection: Selection,
    /// Run only this rule; may be given several times
    #[arg(long = "rule", value_name = "ID")]
    rules: Vec<String>,
    /// Run only rules of this severity or above
    #[arg(long, value_name = "SEVERITY", default_value = "informational")]
    min_severity: Severity,
    /// Write the account of the run as one JSON object
    #[arg(long, value_name = "FILE")]
    stats: Option<PathBuf>,
    /// Write a page that can be sent: timeline, alerts, who else did what, what is missing (reads the
    /// input a second time)
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Exit with 1 if there was any alert
    #[arg(long)]
    fail_on_alert: bool,
    #[command(flatten)]
    sending: Sending,
}

impl Replay {
    pub fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let format = context.global.format.unwrap_or(context.default_format());
        let options = self.selection.options(&self.paths, context.now)?;
        let config = self.sending.config()?;
        let mut catalog = engine::catalog(context, &self.rules)?;
        if let Some(config) = &config {
            if self.rules.is_empty() {
                engine::refuse(&config.check_rules(&catalog))?;
            }
            config.detect.apply(&mut catalog);
            if let Some(id) = self.rules.iter().find(|id| catalog.detections.iter().all(|d| d.id != **id)) {
                bail!(
                    "--rule {id}: {} disables this rule; leave --config out, or enable it",
                    config.path.display()
                );
            }
        }
        let rules = engine::compile(&catalog, &self.rules, self.min_severity)?;
        // Found out now rather than after the work of an hour.
        let stats_file = self.stats.as_ref().map(|path| {
            let file = File::create(path).with_context(|| format!("writing --stats {}", path.display()));
            file.map(|file| (file, path))
        });
        let stats_file = stats_file.transpose()?;
        let mut reporting =
            self.report.as_deref().map(|path| Reporting::begin(path, &options)).transpose()?;
        let running = rules.running();
        let mut sender = self.sending.open(config.as_ref())?;

        let bar = Bar::new(options.inputs.bytes(), context.terminal.progress);
        let style = if format == Format::Table { context.terminal.stdout } else { Default::default() };
        let mut alerts = Alerts::new(stdout(), format, style);
        let mut unread = false;
        let outcome = engine::replay(rules, &options, &bar, &mut |alert| {
            bar.clear();
            if sender.is_none() && reporting.is_none() {
                return alerts.write(&alert);
            }
            // Who reads no further still wants all alerts sent, and the report.
            if !unread && let Err(error) = alerts.write(&alert) {
                if !closed_pipe(&error) {
                    return Err(error);
                }
                unread = true;
            }
            if let Some(reporting) = &mut reporting {
                reporting.alerts.add(&alert);
            }
            match &mut sender {
                Some(sender) => sender.put(alert),
                None => Ok(()),
            }
        });
        bar.clear();
        let mut outcome = outcome?;
        let count = alerts.count();
        match alerts.finish() {
            Err(error) if (sender.is_some() || reporting.is_some()) && closed_pipe(&error) => {}
            done => done?,
        }
        outcome.notes.splice(0..0, options.inputs.warnings.iter().cloned());

        if let Some((file, path)) = stats_file {
            stats::write(&outcome, file).with_context(|| format!("writing --stats {}", path.display()))?;
        }
        if !context.terminal.quiet {
            summary::print(&outcome, context.terminal.stderr);
        }
        // Neither must cost the other.
        let sent = sender.map(|sender| sender.finish(context)).transpose();
        if let Some(reporting) = reporting {
            reporting.finish(context, &self.paths, &options, &outcome, &catalog, running)?;
        }
        sent?;
        Ok(if self.fail_on_alert && count > 0 { Exit::Failed } else { Exit::Done })
    }
}
