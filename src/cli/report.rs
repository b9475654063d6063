//! `replay --report`: the run's alerts gathered, the inputs read again, and the page written.

use std::path::Path;

use super::engine;
use super::progress::Bar;
use super::{Context, coverage};
use crate::alert::Status;
use crate::event::value::rfc3339;
use crate::pipeline::replay::{Options, Outcome};
use crate::report::{self, Alerts, Draft, Report};
use crate::rules::Catalog;

/// A report that is being made.
pub(super) struct Reporting {
    draft: Draft,
    pub alerts: Alerts,
}

impl Reporting {
    /// Finds out before any work whether there can be a report.
    pub fn begin(path: &Path, options: &Options) -> anyhow::Result<Self> {
        report::check_inputs(options)?;
        Ok(Self { draft: Draft::open(path)?, alerts: Alerts::default() })
    }

    /// Reads the inputs again and writes the page.
    pub fn finish(
        self,
        context: &Context,
        paths: &[String],
        options: &Options,
        outcome: &Outcome,
        catalog: &Catalog,
        rules: usize,
    ) -> anyhow::Result<()> {
        let subjects = self.alerts.subjects();
        let bar = Bar::new(options.inputs.bytes(), context.terminal.progress);
        let survey = report::survey(options, &subjects, &bar);
        bar.clear();
        let survey = survey?;
        let bar = Bar::new(options.inputs.bytes(), context.terminal.progress);
        let digests = report::digests(options, &bar);
        bar.clear();
        let running = catalog.detections.iter().filter(|rule| rule.status != Status::Draft);
        let blind = coverage::blind(running, &outcome.counts);
        let command = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).enumerate();
        let command = command.map(|(i, word)| if i == 0 { "aksentry".to_owned() } else { word });
        self.draft.finish(&Report {
            command: command.collect(),
            paths,
            made: rfc3339(context.now.timestamp_micros()).unwrap_or_default(),
            options,
            outcome,
            alerts: &self.alerts,
            subjects: &subjects,
            survey: &survey,
            digests: &digests,
            catalog,
            rules,
            blind: &blind,
            parameters: &engine::parameters,
        })
    }
}
