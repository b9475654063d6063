//! The engine: all rules of a run and their state.
//!
//! [`Engine::compile`] plans every rule or says what is wrong with each. Per batch, [`Matcher::evaluate`]
//! runs on any thread; [`Engine::absorb`] then takes the outcome, one batch after another.
//! [`Engine::advance`] evaluates windows up to a watermark, [`Engine::finish`] everything that is left.
//! A rule that fails is counted and reported; the others go on.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use chrono::TimeDelta;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::execution_plan::reset_plan_states;

use super::baseline::Baseline;
use super::buffer::Buffer;
use super::collector::{Collector, Emission, Moment};
use super::firing::{Firing, event_of};
use super::matcher::{Matcher, Matches};
use super::plan::{Planned, Planner};
use super::rows::Rows;
use super::session::WindowEnd;
use super::spill::DAY;
use super::thin::Thinner;
use super::window::Window;
use crate::alert::{Alert, Severity, Status};
use crate::event::{Batch, cluster_name};
use crate::rules::{Catalog, Detection, Diagnostic, Kind};

/// What to run and how.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Ids of the rules to run; empty = all.
    pub only: Vec<String>,
    /// Rules below this severity are left out.
    pub min_severity: Severity,
    pub emission: Emission,
    /// Whether alerts are marked as replayed.
    pub replayed: bool,
    /// How late a row may come and still be counted; windows hold their rows this much longer.
    pub lateness: TimeDelta,
    /// Bytes of rows that windows and baselines hold in memory; more go to temporary files.
    pub memory: usize,
    /// Whether `draft` rules run too (their cases are tested like any other's).
    pub drafts: bool,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            only: Vec::new(),
            min_severity: Severity::Informational,
            emission: Emission::Complete,
            replayed: true,
            lateness: TimeDelta::minutes(10),
            memory: 64 << 20,
            drafts: false,
        }
    }
}

/// How often a rule failed, and the last reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    pub times: u64,
    pub reason: String,
}

#[derive(Debug)]
enum State {
    Stateless,
    Window(Window),
    Baseline(Baseline),
}

#[derive(Debug)]
struct Rule {
    detection: Detection,
    planned: Planned,
    state: State,
}

/// Rules with their state.
#[derive(Debug)]
pub struct Engine {
    rules: Vec<Rule>,
    /// Scan → rule and which of the rule's scans.
    scans: Vec<(usize, usize)>,
    matcher: Arc<Matcher>,
    runner: Runner,
    collector: Collector,
    failures: BTreeMap<String, Failure>,
    /// When each cluster's audit log begins.
    begun: HashMap<String, i64>,
    latest: i64,
    window_end: WindowEnd,
    config: EngineConfig,
}

/// Executes plans.
#[derive(Debug)]
struct Runner {
    runtime: tokio::runtime::Runtime,
    context: Arc<TaskContext>,
}

impl Runner {
    /// Runs a rule's plan over rows put into its slots, one part a scan.
    fn run(&self, planned: &Planned, parts: &[Rows]) -> Result<RecordBatch> {
        for (scan, rows) in planned.scans.iter().zip(parts) {
            scan.slot.put(Some(rows.data()?));
        }
        let plan = reset_plan_states(planned.plan.clone())?;
        let batches =
            self.runtime.block_on(datafusion::physical_plan::collect(plan, self.context.clone()))?;
        for scan in &planned.scans {
            scan.slot.put(None);
        }
        Ok(concat_batches(&planned.output, &batches)?)
    }
}

fn micros(span: TimeDelta) -> i64 {
    span.num_microseconds().unwrap_or(i64::MAX)
}

/// A window is looked at sixty times in its length unless its rule says otherwise, at most every second.
fn default_step(window: TimeDelta) -> TimeDelta {
    TimeDelta::seconds((window.num_seconds() / 60).max(1))
}

/// Rules a thread must have to plan before it is worth starting.
const RULES_PER_THREAD: usize = 8;

/// Plans every detection, in order; the second half of them on a thread of its own, because start-up
/// is nearly all planning and the commands are run hundreds of times a day.
fn plan_all(
    planner: &Planner,
    catalog: &Catalog,
    window_end: &WindowEnd,
) -> Vec<Result<Planned, Vec<Diagnostic>>> {
    let plan = |planner: &Planner, rules: &[Detection]| -> Vec<_> {
        rules.iter().map(|rule| planner.plan(rule)).collect()
    };
    let rules = &catalog.detections;
    if rules.len() < 2 * RULES_PER_THREAD {
        return plan(planner, rules);
    }
    let (first, second) = rules.split_at(rules.len() / 2);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let other = Planner::new(catalog, window_end.clone()).ok()?;
            Some(plan(&other, second))
        });
        let mut planned = plan(planner, first);
        // A second session that cannot be had, or fails, costs time and nothing else.
        let rest = other.join().ok().flatten();
        planned.extend(rest.unwrap_or_else(|| plan(planner, second)));
        planned
    })
}

impl Engine {
    /// Plans the rules of a catalog; every problem of every rule is reported.
    pub fn compile(catalog: &Catalog, config: &EngineConfig) -> Result<Engine, Vec<Diagnostic>> {
        let window_end = WindowEnd::new(AtomicI64::new(0));
        let broken = |message: String| vec![Diagnostic::error("", (1, 1), message)];
        let planner = Planner::new(catalog, window_end.clone()).map_err(broken)?;
        let state = planner.state();
        let (mut rules, mut scans, mut matcher) = (Vec::new(), Vec::new(), Matcher::default());
        let mut problems = Vec::new();
        for (detection, planned) in catalog.detections.iter().zip(plan_all(&planner, catalog, &window_end)) {
            let wanted = config.only.is_empty() || config.only.contains(&detection.id);
            let runs = config.drafts || detection.status != Status::Draft;
            let planned = match planned {
                Ok(planned) => planned,
                Err(found) => {
                    problems.extend(found);
                    continue;
                }
            };
            if !wanted || !runs || detection.severity < config.min_severity {
                continue;
            }
            for (part, scan) in planned.scans.iter().enumerate() {
                let thin = detection.thin.map(micros);
                if let Err(error) = matcher.add(scans.len(), scan, thin, state) {
                    let message = error.strip_backtrace();
                    problems.push(Diagnostic::error(&detection.path, (1, 1), message));
                }
                scans.push((rules.len(), part));
            }
            let state = State::new(detection, &planned, config);
            rules.push(Rule { detection: detection.clone(), planned, state });
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.map_err(|e| broken(format!("cannot start a runtime for rules: {e}")))?;
        Ok(Engine {
            rules,
            scans,
            matcher: Arc::new(matcher),
            runner: Runner { runtime, context: state.task_ctx() },
            collector: Collector::new(config.emission, config.replayed),
            failures: BTreeMap::new(),
            begun: HashMap::new(),
            latest: i64::MIN,
            window_end,
            config: config.clone(),
        })
    }

    /// The row filters, to be shared by threads.
    pub fn matcher(&self) -> Arc<Matcher> {
        self.matcher.clone()
    }

    /// The rules that run, with their kind as planned.
    pub fn rules(&self) -> impl Iterator<Item = (&Detection, Kind)> {
        self.rules.iter().map(|rule| (&rule.detection, rule.planned.kind))
    }

    /// Latest event time seen, microseconds since the epoch; `i64::MIN` before the first.
    pub fn latest(&self) -> i64 {
        self.latest
    }

    /// Takes what one batch gave; returns alerts that are to leave at once.
    pub fn absorb(&mut self, matches: Matches) -> Vec<Alert> {
        let mut alerts = Vec::new();
        for (cluster, first) in matches.clusters {
            let begun = self.begun.entry(cluster).or_insert(first);
            *begun = first.min(*begun);
        }
        self.latest = self.latest.max(matches.latest.unwrap_or(i64::MIN));
        for (scan, reason) in matches.failed {
            self.fail(self.scans[scan].0, reason);
        }
        for (scan, rows) in matches.kept {
            let (index, part) = self.scans[scan];
            let rule = &mut self.rules[index];
            let outcome = match &mut rule.state {
                State::Stateless => {
                    single_rows(index, rule, &rows, &self.runner, &mut self.collector, &mut alerts)
                }
                State::Window(window) => window.push(part, rows).map_err(DataFusionError::from),
                State::Baseline(baseline) => baseline.push(rows).map_err(DataFusionError::from),
            };
            if let Err(error) = outcome {
                self.fail(index, error.strip_backtrace());
            }
        }
        self.keep_to_budget();
        alerts
    }

    /// Puts the rows of the fullest rule aside while there are more in memory than allowed.
    fn keep_to_budget(&mut self) {
        loop {
            let held: usize = self.rules.iter().map(|rule| rule.state.bytes()).sum();
            let fullest = (0..self.rules.len()).max_by_key(|&index| self.rules[index].state.bytes());
            let Some(index) = fullest.filter(|_| held > self.config.memory) else { return };
            let outcome = self.rules[index].state.buffers().iter_mut().try_for_each(Buffer::spill);
            if let Err(error) = outcome {
                // A full disk must not lose rows: they stay in memory and the failure is told.
                self.fail(index, error.to_string());
                return;
            }
        }
    }

    /// Evaluates what is complete now that no row up to `watermark` (microseconds) is missing.
    pub fn advance(&mut self, watermark: i64) -> Vec<Alert> {
        let mut alerts = Vec::new();
        for index in 0..self.rules.len() {
            if let Err(error) = self.advance_rule(index, watermark, &mut alerts) {
                self.fail(index, error.strip_backtrace());
            }
        }
        self.collector.forget(watermark);
        alerts
    }

    /// Evaluates all that is left and gives every alert still held, in order of `first_seen`.
    pub fn finish(&mut self) -> Vec<Alert> {
        let mut alerts = self.advance_spilled();
        alerts.extend(self.advance(i64::MAX));
        let rules = &self.rules;
        alerts.extend(self.collector.finish(|index| &rules[index].detection));
        alerts
    }

    /// Forgets everything seen, as if just compiled.
    pub fn reset(&mut self) {
        for rule in &mut self.rules {
            rule.state = State::new(&rule.detection, &rule.planned, &self.config);
        }
        self.collector = Collector::new(self.config.emission, self.config.replayed);
        self.failures.clear();
        self.begun.clear();
        self.latest = i64::MIN;
    }

    /// Takes back rows that were put aside, a day at a time, and evaluates each day.
    fn advance_spilled(&mut self) -> Vec<Alert> {
        let mut alerts = Vec::new();
        for index in 0..self.rules.len() {
            let buffers = self.rules[index].state.buffers();
            let days: BTreeSet<i64> = buffers.iter().flat_map(|b| b.spilled_days()).collect();
            for day in days {
                let buffers = self.rules[index].state.buffers();
                let loaded = buffers.iter_mut().try_for_each(|buffer| buffer.load(day));
                let outcome = loaded.map_err(DataFusionError::from);
                let outcome =
                    outcome.and_then(|()| self.advance_rule(index, (day + 1) * DAY - 1, &mut alerts));
                if let Err(error) = outcome {
                    self.fail(index, error.strip_backtrace());
                }
            }
        }
        alerts
    }

    fn advance_rule(&mut self, index: usize, watermark: i64, alerts: &mut Vec<Alert>) -> Result<()> {
        match &self.rules[index].state {
            State::Stateless => Ok(()),
            State::Window(_) => self.advance_window(index, watermark, alerts),
            State::Baseline(_) => self.advance_baseline(index, watermark, alerts),
        }
    }

    /// When alerts leave the engine from now on; takes effect with [`Engine::reset`].
    pub fn set_emission(&mut self, emission: Emission) {
        self.config.emission = emission;
    }

    /// Rules that failed, by id.
    pub fn failures(&self) -> &BTreeMap<String, Failure> {
        &self.failures
    }

    /// What a reader of the alerts should know of rules that could not speak.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for rule in &self.rules {
            let State::Baseline(baseline) = &rule.state else { continue };
            for (cluster, rows) in &baseline.muted {
                let short = cluster_name(cluster);
                let cluster = if short.is_empty() { "(no cluster)" } else { short };
                notes.push(format!(
                    "{}: silent on {rows} first sightings while {cluster} is being learnt ({} days of log are needed)",
                    rule.detection.id,
                    rule.detection.learn.num_days(),
                ));
            }
        }
        notes
    }

    fn fail(&mut self, rule: usize, reason: String) {
        let failure = self.failures.entry(self.rules[rule].detection.id.clone()).or_default();
        failure.times += 1;
        failure.reason = reason.lines().next().unwrap_or_default().to_string();
    }

    fn advance_window(&mut self, index: usize, watermark: i64, alerts: &mut Vec<Alert>) -> Result<()> {
        let Rule { detection, planned, state } = &mut self.rules[index];
        let State::Window(window) = state else { return Ok(()) };
        let mut outcome = Ok(());
        for step in window.due(watermark, self.latest) {
            let Some(parts) = window.rows_at(step)? else { continue };
            self.window_end.store(step, Ordering::Relaxed);
            let output = match self.runner.run(planned, &parts) {
                Ok(output) => output,
                // One window's failure is told and costs the others nothing.
                Err(error) => {
                    outcome = Err(error);
                    continue;
                }
            };
            for row in 0..output.num_rows() {
                let mut firing = Firing::read(detection, &output, row);
                firing.events = firing.events_of(&parts);
                let moment = Moment::WindowEnd(step);
                alerts.extend(self.collector.add(index, detection, firing, moment));
            }
        }
        window.forget(watermark)?;
        outcome
    }

    fn advance_baseline(&mut self, index: usize, watermark: i64, alerts: &mut Vec<Alert>) -> Result<()> {
        let Rule { detection, planned, state } = &mut self.rules[index];
        let State::Baseline(baseline) = state else { return Ok(()) };
        let Some(rows) = baseline.due(watermark)? else { return Ok(()) };
        let output = self.runner.run(planned, std::slice::from_ref(&rows))?;
        for row in 0..output.num_rows() {
            let Some(time) = rows.time(row) else { continue };
            let mut firing = Firing::read(detection, &output, row);
            let cluster = rows.cluster(row).unwrap_or_default();
            let begun = self.begun.get(cluster).copied().unwrap_or(time);
            let key = serde_json::to_string(&firing.key).unwrap_or_default();
            if !baseline.is_new(&key, cluster, time, begun) {
                continue;
            }
            firing.events = vec![event_of(&rows, row)];
            alerts.extend(self.collector.add(index, detection, firing, moment_of(&rows, row)));
        }
        baseline.forget(watermark);
        Ok(())
    }
}

impl State {
    /// Where its rows are held.
    fn buffers(&mut self) -> &mut [Buffer] {
        match self {
            State::Stateless => &mut [],
            State::Window(window) => &mut window.buffers,
            State::Baseline(baseline) => std::slice::from_mut(&mut baseline.buffer),
        }
    }

    /// Bytes of rows in memory.
    fn bytes(&self) -> usize {
        match self {
            State::Stateless => 0,
            State::Window(window) => window.buffers.iter().map(Buffer::bytes).sum(),
            State::Baseline(baseline) => baseline.buffer.bytes(),
        }
    }

    fn new(rule: &Detection, planned: &Planned, config: &EngineConfig) -> State {
        let buffer = |scan: &super::table::PlannedScan| {
            let thinner = rule.thin.map(|interval| Thinner::new(micros(interval), scan.slot.schema()));
            Buffer::new(scan.slot.schema(), thinner)
        };
        let mut buffers: Vec<Buffer> = planned.scans.iter().map(buffer).collect();
        match (rule.baseline, rule.window) {
            (Some(span), _) if buffers.len() == 1 => {
                State::Baseline(Baseline::new(buffers.remove(0), micros(span), micros(rule.learn)))
            }
            (_, Some(window)) => {
                let step = micros(rule.step.unwrap_or_else(|| default_step(window)));
                let lateness = micros(config.lateness);
                State::Window(Window::new(buffers, micros(window), step, lateness, planned.uses_window_end))
            }
            _ => State::Stateless,
        }
    }
}

fn moment_of(rows: &Rows, row: usize) -> Moment<'_> {
    let time = rows.time(row).unwrap_or(0);
    let (cluster, audit_id, stage) = (rows.cluster(row), rows.audit_id(row), rows.stage(row));
    Moment::Row { time, cluster, audit_id, stage, row: rows.id(row) }
}

/// Runs a stateless rule's projection over its surviving rows: one firing a row.
fn single_rows(
    index: usize,
    rule: &Rule,
    rows: &Rows,
    runner: &Runner,
    collector: &mut Collector,
    alerts: &mut Vec<Alert>,
) -> Result<()> {
    let output = runner.run(&rule.planned, std::slice::from_ref(rows))?;
    if output.num_rows() != rows.len() {
        let message = format!("{} rows in, {} rows out", rows.len(), output.num_rows());
        return Err(DataFusionError::Internal(message));
    }
    for row in 0..output.num_rows() {
        let mut firing = Firing::read(&rule.detection, &output, row);
        firing.cluster = firing.cluster.or_else(|| rows.cluster(row).map(String::from));
        firing.events = vec![event_of(rows, row)];
        alerts.extend(collector.add(index, &rule.detection, firing, moment_of(rows, row)));
    }
    Ok(())
}

/// Everything at once, for tests and small inputs.
impl Engine {
    /// [`Matcher::evaluate`] and [`Engine::absorb`] in one.
    pub fn process(&mut self, batch: &Batch) -> Vec<Alert> {
        let matches = self.matcher.evaluate(batch);
        self.absorb(matches)
    }
}
