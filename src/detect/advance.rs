//! What rules conclude: plans run over single rows, windows and baselines, as event time goes on.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use chrono::TimeDelta;
use datafusion::error::{DataFusionError, Result};

use super::buffer::Buffer;
use super::collector::{Collector, Emission, Moment};
use super::engine::{Engine, Failure, Rule};
use super::firing::{Firing, event_of, key_of};
use super::plan::Planned;
use super::rows::Rows;
use super::runner::Runner;
use super::session::WindowEnd;
use super::state::{State, micros};
use crate::alert::Alert;
use crate::rules::Detection;

/// How far event time has come, microseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// Every source has shown events up to here. Windows to which late rows can only add are looked at.
    pub seen: i64,
    /// No row up to here is still expected. All other windows are looked at.
    pub complete: i64,
    /// Rows are let go of as if event time had come this far; not beyond `complete`.
    pub kept: i64,
}

impl Watermarks {
    /// Behind everything: nothing more will come.
    pub const END: Self = Self { seen: i64::MAX, complete: i64::MAX, kept: i64::MAX };

    /// Nothing is missing up to here, and nothing was seen beyond.
    pub fn at(time: i64) -> Self {
        Self { seen: time, complete: time, kept: time }
    }

    /// Where rows may come that much later than others.
    pub fn behind(seen: i64, lateness: TimeDelta) -> Self {
        let complete = seen.saturating_sub(micros(lateness));
        Self { seen, complete, kept: complete }
    }

    /// Everything up to `seen` is known and nothing is on its way: all windows are looked at, and rows are
    /// kept as if some could still be late.
    pub fn settled(seen: i64, lateness: TimeDelta) -> Self {
        Self { seen: i64::MAX, complete: i64::MAX, kept: seen.saturating_sub(micros(lateness)) }
    }

    fn before(self, time: i64) -> Self {
        Self { seen: self.seen.min(time), complete: self.complete.min(time), kept: self.kept.min(time) }
    }
}

/// Rows that come back from disk for one rule are this part of what all rules may hold.
const SLICES: usize = 8;

/// Slices of rows that are many for one rule.
const HEAVY: usize = 6;

/// What the rules have in common while event time goes on.
struct Course<'a> {
    watermarks: Watermarks,
    latest: i64,
    begun: &'a HashMap<String, i64>,
    window_end: &'a WindowEnd,
    /// Bytes of rows that are taken back from disk at once.
    slice: usize,
    outcome: Mutex<Outcome<'a>>,
}

/// Where rules leave what they conclude.
struct Outcome<'a> {
    collector: &'a mut Collector,
    failures: &'a mut BTreeMap<String, Failure>,
    alerts: Vec<Alert>,
}

impl Engine {
    /// Evaluates what can be concluded now that event time has come this far.
    pub fn advance(&mut self, watermarks: Watermarks) -> Vec<Alert> {
        self.advance_on(1, watermarks)
    }

    /// Evaluates all that is left and gives every alert still held, in order of `first_seen`. What fails
    /// is `emit`, or reading alerts that were put aside. Rules are independent: several threads take one
    /// after another, and give the same.
    pub fn finish<E: From<std::io::Error>>(
        &mut self,
        threads: usize,
        emit: &mut dyn FnMut(Alert) -> Result<(), E>,
    ) -> Result<(), E> {
        // Alerts that leave at once leave in the order of rules.
        let threads = if self.config.emission == Emission::Complete { threads } else { 1 };
        self.advance_on(threads, Watermarks::END).into_iter().try_for_each(&mut *emit)?;
        let rules = &self.rules;
        self.collector.finish(&|index| &rules[index].detection, emit)
    }

    fn advance_on(&mut self, threads: usize, watermarks: Watermarks) -> Vec<Alert> {
        self.take_woken();
        let Engine { collector, failures, latest, begun, window_end, runner, helpers, .. } = self;
        let outcome = Mutex::new(Outcome { collector, failures, alerts: Vec::new() });
        let slice = self.config.memory / SLICES;
        let course = Course { watermarks, latest: *latest, begun, window_end, slice, outcome };
        // All rules ask for the same `window_end()`, so those that do stay on one thread. So do those with many
        // rows: a long window holds most of them at once, and two such rules would be twice as much memory.
        let alone = |rule: &Rule| rule.planned.uses_window_end || rule.state.whole() > slice * HEAVY;
        let (own, any): (Vec<_>, Vec<_>) =
            (self.rules.iter_mut().enumerate()).partition(|(_, rule)| threads < 2 || alone(rule));
        let any = Mutex::new(any.into_iter());
        let take_rules = |runner: &Runner| {
            let next = || any.lock().unwrap_or_else(PoisonError::into_inner).next();
            while let Some((index, rule)) = next() {
                course.rule(index, rule, runner);
            }
        };
        std::thread::scope(|scope| {
            for helper in helpers.iter().take(threads.saturating_sub(1)) {
                scope.spawn(|| take_rules(helper));
            }
            own.into_iter().for_each(|(index, rule)| course.rule(index, rule, runner));
            take_rules(runner);
        });
        let Outcome { collector, alerts, .. } =
            course.outcome.into_inner().unwrap_or_else(PoisonError::into_inner);
        collector.emitted.forget(watermarks.kept);
        alerts
    }
}

impl<'a> Course<'a> {
    fn outcome(&self) -> MutexGuard<'_, Outcome<'a>> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rows that were put aside come back slice by slice, and each is evaluated before the next.
    fn rule(&self, index: usize, rule: &mut Rule, runner: &Runner) {
        let started = Instant::now();
        let until = until(&rule.planned, self.watermarks);
        let due = match &rule.state {
            State::Stateless => return,
            State::Window(window) => window.is_due(until),
            State::Baseline(_) => true,
        };
        let ends = if due { self.slices(rule, until) } else { Vec::new() };
        for end in ends.into_iter().map(Some).chain([None]) {
            let watermarks = end.map_or(self.watermarks, |end| self.watermarks.before(end));
            let mut buffers = rule.state.buffers().iter_mut();
            let loaded = match due {
                true => buffers.try_for_each(|buffer| buffer.load(end.unwrap_or(until))),
                false => Ok(()),
            };
            let outcome = loaded.map_err(DataFusionError::from);
            let outcome = outcome.and_then(|()| match &rule.state {
                State::Stateless => Ok(()),
                State::Window(_) => self.window(index, rule, watermarks, runner),
                State::Baseline(_) => self.baseline(index, rule, watermarks, runner),
            });
            if let Err(error) = outcome {
                Failure::note(self.outcome().failures, &rule.detection.id, error.strip_backtrace());
            }
        }
        for unprepared in rule.state.take_unprepared() {
            let mut outcome = self.outcome();
            Failure::note(outcome.failures, &rule.detection.id, unprepared.reason);
        }
        self.outcome().collector.evaluated(index);
        rule.seconds += started.elapsed().as_secs_f64();
    }

    /// Times up to which rows that were put aside are taken back, one after another.
    fn slices(&self, rule: &mut Rule, until: i64) -> Vec<i64> {
        let buffers = rule.state.buffers();
        let several = buffers.iter().any(|buffer| buffer.slices(self.slice).len() > 1);
        // What was not put aside is of the same times: it waits for its slice too. A full disk must not lose
        // rows: they stay in memory and the failure is told.
        if several && let Err(error) = buffers.iter_mut().try_for_each(Buffer::spill) {
            Failure::note(self.outcome().failures, &rule.detection.id, error.to_string());
        }
        let ends: BTreeSet<i64> =
            rule.state.buffers().iter().flat_map(|buffer| buffer.slices(self.slice)).collect();
        ends.into_iter().filter(|end| *end < until).collect()
    }

    fn window(&self, index: usize, rule: &mut Rule, watermarks: Watermarks, runner: &Runner) -> Result<()> {
        let Rule { detection, planned, state, .. } = rule;
        let State::Window(window) = state else { return Ok(()) };
        let mut outcome = Ok(());
        let due = window.due(until(planned, watermarks), self.latest);
        let mut watch = runner.watch(planned, window, &due)?;
        for step in due {
            if planned.uses_window_end {
                self.window_end.store(step, Ordering::Relaxed);
            }
            let (output, parts) = match runner.look(planned, window, &mut watch, step) {
                Ok(Some(found)) => found,
                Ok(None) => continue,
                // One window's failure is told and costs the others nothing.
                Err(error) => {
                    outcome = Err(error);
                    continue;
                }
            };
            for row in 0..output.num_rows() {
                let mut firing = Firing::read(detection, &output, row);
                firing.events = firing.events_of(&parts);
                self.outcome().add(index, detection, firing, Moment::WindowEnd(step));
            }
            if let Err(error) = self.outcome().collector.keep_to_budget(index, step) {
                outcome = Err(error.into());
            }
        }
        window.forget(watermarks.kept)?;
        outcome
    }

    fn baseline(&self, index: usize, rule: &mut Rule, watermarks: Watermarks, runner: &Runner) -> Result<()> {
        let Rule { detection, planned, state, .. } = rule;
        let State::Baseline(baseline) = state else { return Ok(()) };
        let Some(rows) = baseline.due(watermarks.complete)? else { return Ok(()) };
        let output = runner.run(planned, std::slice::from_ref(&rows))?;
        for row in 0..output.num_rows() {
            let Some(time) = rows.time(row) else { continue };
            let cluster = rows.cluster(row).unwrap_or_default();
            let begun = self.begun.get(cluster).copied().unwrap_or(time);
            let key = serde_json::to_string(&key_of(detection, &output, row)).unwrap_or_default();
            if !baseline.is_new(&key, cluster, time, begun) {
                continue;
            }
            let mut firing = Firing::read(detection, &output, row);
            firing.events = vec![event_of(&rows, row)];
            self.outcome().add(index, detection, firing, moment_of(&rows, row));
        }
        baseline.forget(watermarks.kept);
        Ok(self.outcome().collector.keep_to_budget(index, i64::MAX)?)
    }
}

impl Outcome<'_> {
    fn add(&mut self, index: usize, detection: &Detection, firing: Firing, moment: Moment) {
        self.alerts.extend(self.collector.add(index, detection, firing, moment));
    }
}

impl Engine {
    /// Runs a stateless rule's projection over its surviving rows: one firing a row.
    pub(super) fn single_rows(&mut self, index: usize, rows: &Rows, alerts: &mut Vec<Alert>) -> Result<()> {
        let begun = Instant::now();
        let Rule { detection, planned, seconds, .. } = &mut self.rules[index];
        let output = self.runner.run(planned, std::slice::from_ref(rows))?;
        if output.num_rows() != rows.len() {
            let message = format!("{} rows in, {} rows out", rows.len(), output.num_rows());
            return Err(DataFusionError::Internal(message));
        }
        for row in 0..output.num_rows() {
            let mut firing = Firing::read(detection, &output, row);
            firing.cluster = firing.cluster.or_else(|| rows.cluster(row).map(String::from));
            firing.events = vec![event_of(rows, row)];
            alerts.extend(self.collector.add(index, detection, firing, moment_of(rows, row)));
        }
        *seconds += begun.elapsed().as_secs_f64();
        Ok(self.collector.keep_to_budget(index, i64::MAX)?)
    }
}

/// How far a rule's windows are looked at.
fn until(planned: &Planned, watermarks: Watermarks) -> i64 {
    match planned.monotone {
        true => watermarks.seen.max(watermarks.complete),
        false => watermarks.complete,
    }
}

fn moment_of(rows: &Rows, row: usize) -> Moment<'_> {
    let time = rows.time(row).unwrap_or(0);
    let (cluster, audit_id, stage) = (rows.cluster(row), rows.audit_id(row), rows.stage(row));
    Moment::Row { time, cluster, audit_id, stage, row: rows.id(row) }
}
