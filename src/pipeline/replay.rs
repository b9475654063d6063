//! Archives to alerts, in event time.
//!
//! Files are read one after another, each over its whole range of time, so windows are evaluated when
//! everything was read: the same rules, the same alerts and the same ids as live.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::lacks::{self, Lack};
use super::stages::{self, Progress, Range};
use crate::alert::{Alert, Severity};
use crate::detect::{Engine, Failure, Scope};
use crate::event::Counts;
use crate::source::files::{FileReport, Inputs};

/// What to replay.
#[derive(Debug, Clone)]
pub struct Options {
    pub inputs: Inputs,
    pub range: Range,
    /// Threads that decode and filter.
    pub threads: usize,
}

/// How many rejected records are named one by one.
const REJECTS_NAMED: usize = 10;

/// The account of a run.
#[derive(Debug, Default)]
pub struct Outcome {
    pub counts: Counts,
    pub files: Vec<FileReport>,
    /// Bytes of all files on disk.
    pub bytes: u64,
    pub alerts_by_rule: BTreeMap<String, u64>,
    pub alerts_by_severity: BTreeMap<Severity, u64>,
    /// The first rejected records, each with its file and what was wrong with it.
    pub rejected: Vec<String>,
    /// Rules that failed on some batch or window.
    pub rule_failures: BTreeMap<String, Failure>,
    /// What the input had no place for, and the rules of this run that suffer from it.
    pub lacks: Vec<Lack>,
    /// What a reader should know of rules that could not speak.
    pub notes: Vec<String>,
    pub elapsed: Duration,
    pub peak_rss_bytes: u64,
}

/// Replays the inputs through the engine. Alerts come in order of `first_seen`; an error of `emit`
/// ends the run.
pub fn run(
    mut engine: Engine,
    options: &Options,
    progress: &dyn Progress,
    emit: &mut dyn FnMut(Alert) -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    let begun = Instant::now();
    let mut outcome =
        Outcome { files: options.inputs.reports(), bytes: options.inputs.bytes(), ..Outcome::default() };
    let matcher = engine.matcher();
    stages::run(
        &options.inputs,
        options.threads,
        progress,
        &|batch| matcher.evaluate(batch),
        &options.range,
        &mut |piece| {
            if let Some(report) = outcome.files.get_mut(piece.file) {
                report.records += piece.counts.records;
                if let Some(status) = piece.problem {
                    report.status = status;
                }
            }
            let room = REJECTS_NAMED.saturating_sub(outcome.rejected.len());
            for reject in piece.rejects.into_iter().take(room) {
                let path = options.inputs.files.get(piece.file).map(|f| f.path.display().to_string());
                let (path, reason) = (path.unwrap_or_default(), reject.reason.as_str());
                outcome.rejected.push(format!("{path}: {reason}: {}", reject.detail));
            }
            outcome.counts.add(&piece.counts);
            if let Some(matches) = piece.outcome {
                engine.absorb(matches, Scope::All);
            }
            Ok(())
        },
    )?;
    engine.finish(options.threads, &mut |alert| {
        *outcome.alerts_by_rule.entry(alert.rule.clone()).or_default() += 1;
        *outcome.alerts_by_severity.entry(alert.severity).or_default() += 1;
        emit(alert)
    })?;
    outcome.rule_failures = engine.failures().clone();
    engine.wake_lookups();
    outcome.notes = engine.notes();
    outcome.lacks = lacks::of(&outcome.counts, &outcome.files, options.range.cluster.as_deref());
    for lack in &mut outcome.lacks {
        (lack.blind, lack.weaker) = engine.without(&lack.columns);
    }
    if let Some(cluster) = options.range.cluster.as_deref().filter(|_| outcome.counts.unnamed > 0) {
        let events = outcome.counts.unnamed;
        let note = format!("{events} events name no cluster and were taken to be of {cluster}");
        outcome.notes.insert(0, note);
    }
    outcome.elapsed = begun.elapsed();
    outcome.peak_rss_bytes = peak_rss_bytes();
    Ok(outcome)
}

/// The most memory this process ever held, as the kernel counts it; 0 where it does not say.
pub fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
