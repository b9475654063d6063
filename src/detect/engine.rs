//! The engine: all rules of a run and their state.
//!
//! [`Engine::compile`] plans every rule or says what is wrong with each. Per batch, [`Matcher::evaluate`]
//! runs on any thread; [`Engine::absorb`] then takes the outcome, one batch after another.
//! [`Engine::advance`] evaluates windows up to a watermark, [`Engine::finish`] everything that is left.
//! A rule that fails is counted and reported; the others go on.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use chrono::TimeDelta;
use datafusion::error::DataFusionError;

use super::buffer::Buffer;
use super::collector::{Collector, Emission};
use super::dormant::{Dormant, Sleeper};
use super::filters::FilterSet;
use super::gate;
use super::matcher::{Matcher, Matches};
use super::plan::{Planned, Planner, plan_all};
use super::runner::Runner;
use super::session::WindowEnd;
use super::state::{State, fingerprint};
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
    /// Bytes of rows that windows and baselines hold in memory, and as many again of alerts that wait for
    /// the end; more go to temporary files.
    pub memory: usize,
    /// Whether `draft` rules run too (their cases are tested like any other's).
    pub drafts: bool,
    /// Whether rules of the pack inside this program are planned only when a row comes that may concern
    /// them, or somebody asks.
    pub lazy: bool,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            only: Vec::new(),
            min_severity: Severity::Informational,
            emission: Emission::Complete,
            replayed: true,
            lateness: TimeDelta::minutes(10),
            memory: 32 << 20,
            drafts: false,
            lazy: false,
        }
    }
}

/// How often a rule failed, and the last reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    pub times: u64,
    pub reason: String,
}

impl Failure {
    pub(super) fn note(failures: &mut BTreeMap<String, Failure>, rule: &str, reason: String) {
        let failure = failures.entry(rule.to_string()).or_default();
        failure.times += 1;
        failure.reason = reason.lines().next().unwrap_or_default().to_string();
    }
}

/// Which rules a batch's rows are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All rules.
    All,
    /// Rules over single rows. Windows and baselines get theirs elsewhere, from [`Engine::encode`].
    SingleRows,
}

#[derive(Debug)]
pub(super) struct Rule {
    pub detection: Detection,
    pub planned: Planned,
    pub state: State,
    /// What its rows and state outside the process are known by.
    pub fingerprint: u64,
    /// Seconds spent on it since the engine was made, its row filter not included.
    pub seconds: f64,
}

/// What a rule holds and costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage<'a> {
    pub rule: &'a str,
    /// Rows held for windows or a baseline, those put aside on disk too.
    pub rows: usize,
    /// Bytes of rows in memory.
    pub bytes: usize,
    /// Rows dropped because they came after the rows of their time had been let go.
    pub too_late: u64,
    /// Time spent on the rule, its row filter not included.
    pub seconds: f64,
}

/// Rules with their state.
#[derive(Debug)]
pub struct Engine {
    pub(super) rules: Vec<Rule>,
    /// Scan → rule and which of the rule's scans.
    pub(super) scans: Vec<(usize, usize)>,
    pub(super) matcher: Arc<Matcher>,
    pub(super) runner: Runner,
    /// For other threads, one each.
    pub(super) helpers: Vec<Runner>,
    pub(super) collector: Collector,
    pub(super) failures: BTreeMap<String, Failure>,
    /// When each cluster's audit log begins.
    pub(super) begun: HashMap<String, i64>,
    pub(super) latest: i64,
    pub(super) window_end: WindowEnd,
    pub(super) config: EngineConfig,
}

/// Clusters named in one note.
pub(super) const CLUSTERS_NAMED: usize = 5;

/// Planners, each on a thread of its own: as many as the smallest machine has cores.
const PLANNERS: usize = 2;

/// Adds a planned rule and its scans, in the order of their ids.
fn enter(
    rules: &mut Vec<Rule>,
    scans: &mut Vec<(usize, usize)>,
    detection: Detection,
    planned: Planned,
    config: &EngineConfig,
) {
    scans.extend((0..planned.scans.len()).map(|part| (rules.len(), part)));
    let state = State::new(&detection, &planned, config);
    let fingerprint = fingerprint(&detection, &planned);
    rules.push(Rule { detection, planned, state, fingerprint, seconds: 0.0 });
}

impl EngineConfig {
    /// Whether a rule is to run.
    fn wants(&self, rule: &Detection) -> bool {
        (self.only.is_empty() || self.only.contains(&rule.id))
            && (self.drafts || rule.status != Status::Draft)
            && rule.severity >= self.min_severity
    }
}

impl Engine {
    /// Plans the rules of a catalog; every problem of every rule is reported.
    pub fn compile(catalog: &Catalog, config: &EngineConfig) -> Result<Engine, Vec<Diagnostic>> {
        let window_end = WindowEnd::new(AtomicI64::new(0));
        let broken = |message: String| vec![Diagnostic::error("", (1, 1), message)];
        let planners = (0..PLANNERS).map(|_| Planner::new(catalog, window_end.clone()));
        let planners: Vec<Planner> = planners.collect::<Result<_, _>>().map_err(broken)?;
        let mut runners = planners.iter().map(|planner| Runner::new(planner.state().task_ctx()));
        let no_runtime = |e| broken(format!("cannot start a runtime for rules: {e}"));
        let runner = runners.next().unwrap_or_else(|| Runner::new(Arc::default())).map_err(no_runtime)?;
        let helpers = runners.collect::<Result<_, _>>().map_err(no_runtime)?;
        let (mut now, mut sleepers) = (Vec::new(), Vec::new());
        let compiled = catalog.compiled_rules();
        for rule in &catalog.detections {
            // What is in this program was planned by its tests.
            let known = compiled.contains(rule.id.as_str());
            let wanted = config.wants(rule);
            match known && config.lazy && wanted {
                true => sleepers.push(Sleeper::new(rule.clone())),
                false if wanted || !known => now.push(rule),
                false => {}
            }
        }
        let (mut rules, mut scans, mut filters) = (Vec::new(), Vec::new(), FilterSet::default());
        let mut problems = Vec::new();
        for (rule, planned) in now.iter().zip(plan_all(&planners, &now)) {
            let planned = match planned {
                Ok(planned) => planned,
                Err(found) => {
                    problems.extend(found);
                    continue;
                }
            };
            if !config.wants(rule) {
                continue;
            }
            let state = planners.first().map(Planner::state);
            let added = state.map(|state| filters.add_rule(rule, &planned, state));
            match added {
                Some(Err(error)) => {
                    let message = error.strip_backtrace();
                    problems.push(Diagnostic::error(&rule.path, (1, 1), message));
                }
                _ => enter(&mut rules, &mut scans, (*rule).clone(), planned, config),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Engine {
            rules,
            scans,
            matcher: Arc::new(Matcher::new(filters, Dormant::new(sleepers, planners))),
            runner,
            helpers,
            collector: Collector::new(config.emission, config.replayed, config.memory),
            failures: BTreeMap::new(),
            begun: HashMap::new(),
            latest: i64::MIN,
            window_end,
            config: config.clone(),
        })
    }

    /// Takes over the rules that were planned meanwhile.
    pub(super) fn take_woken(&mut self) {
        for (rule, planned) in self.matcher.woken() {
            match planned {
                Ok(planned) => enter(&mut self.rules, &mut self.scans, rule, planned, &self.config),
                Err(reason) => {
                    self.failures.insert(rule.id, Failure { times: 1, reason });
                }
            }
        }
    }

    /// Plans the rules that no row has concerned yet and that are meant: whoever asks about rules needs them.
    pub fn wake_those(&mut self, meant: &dyn Fn(&Detection) -> bool) {
        self.matcher.wake_those(meant);
        self.take_woken();
    }

    /// The kind of every rule; only those are planned whose text does not show it.
    pub fn kinds(&mut self) -> BTreeMap<String, Kind> {
        self.wake_those(&|rule| rule.window.is_some() && !gate::reads_one_table(&rule.sql));
        let mut kinds: BTreeMap<_, _> =
            self.rules.iter().map(|rule| (rule.detection.id.clone(), rule.planned.kind)).collect();
        self.matcher.each_asleep(&mut |rule, _| {
            kinds.insert(rule.id.clone(), rule.kind());
        });
        kinds
    }

    /// How many rules there are, planned or not.
    pub fn running(&self) -> usize {
        self.rules.len() + self.matcher.asleep()
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
    pub fn absorb(&mut self, matches: Matches, scope: Scope) -> Vec<Alert> {
        self.take_woken();
        let mut alerts = Vec::new();
        for (cluster, first) in matches.clusters {
            self.note_begun(cluster, first);
        }
        self.latest = self.latest.max(matches.latest.unwrap_or(i64::MIN));
        for (scan, reason) in matches.failed {
            self.fail(self.scans[scan].0, reason);
        }
        for (scan, rows) in matches.kept {
            let (index, part) = self.scans[scan];
            let outcome = match (&self.rules[index].state, scope) {
                (State::Stateless, _) => self.single_rows(index, &rows, &mut alerts),
                (_, Scope::All) => self.rules[index].state.push(part, rows).map_err(DataFusionError::from),
                (_, Scope::SingleRows) => Ok(()),
            };
            if let Err(error) = outcome {
                self.fail(index, error.strip_backtrace());
            }
        }
        self.keep_to_budget();
        alerts
    }

    /// Notes when a cluster's audit log begins.
    pub(super) fn note_begun(&mut self, cluster: String, first: i64) {
        let begun = self.begun.entry(cluster).or_insert(first);
        *begun = first.min(*begun);
    }

    /// Puts the rows of the fullest rule aside while there are more in memory than allowed.
    pub(super) fn keep_to_budget(&mut self) {
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

    /// Forgets everything seen, as if just compiled.
    pub fn reset(&mut self) {
        for rule in &mut self.rules {
            rule.state = State::new(&rule.detection, &rule.planned, &self.config);
        }
        self.collector = Collector::new(self.config.emission, self.config.replayed, self.config.memory);
        self.failures.clear();
        self.begun.clear();
        self.latest = i64::MIN;
    }

    /// When alerts leave the engine from now on; takes effect with [`Engine::reset`].
    pub fn set_emission(&mut self, emission: Emission) {
        self.config.emission = emission;
    }

    /// Rules that failed, by id.
    pub fn failures(&self) -> &BTreeMap<String, Failure> {
        &self.failures
    }

    /// What each rule holds and costs.
    pub fn usage(&self) -> impl Iterator<Item = Usage<'_>> {
        self.rules.iter().map(|rule| {
            let (rows, bytes, too_late) = (rule.state.rows(), rule.state.bytes(), rule.state.too_late());
            Usage { rule: &rule.detection.id, rows, bytes, too_late, seconds: rule.seconds }
        })
    }

    /// Ids of the windowed rules whose windows are looked at before late rows have come, because a late
    /// row can only add to their alerts.
    pub fn eager(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().filter(|rule| rule.planned.monotone).map(|rule| rule.detection.id.as_str())
    }

    /// What a reader of the alerts should know of rules that could not speak.
    pub fn notes(&self) -> Vec<String> {
        let mut silent = Vec::new();
        for rule in &self.rules {
            let State::Baseline(baseline) = &rule.state else { continue };
            if baseline.muted.is_empty() {
                continue;
            }
            let names = baseline.muted.keys().map(|cluster| match cluster_name(cluster) {
                "" => "(no cluster)",
                short => short,
            });
            let names: BTreeSet<&str> = names.collect();
            let more = names.len().saturating_sub(CLUSTERS_NAMED);
            let mut learnt = names.into_iter().take(CLUSTERS_NAMED).collect::<Vec<_>>().join(", ");
            if more > 0 {
                learnt.push_str(&format!(" and {more} more"));
            }
            silent.push(format!(
                "{}: silent on {} first sightings of {learnt} ({} days of log are needed to learn)",
                rule.detection.id,
                baseline.muted.values().sum::<u64>(),
                rule.detection.learn.num_days(),
            ));
        }
        silent.sort_unstable();
        let mut notes = self.lacking_notes();
        notes.sort_unstable();
        notes.extend(silent);
        notes
    }

    pub(super) fn fail(&mut self, rule: usize, reason: String) {
        Failure::note(&mut self.failures, &self.rules[rule].detection.id, reason);
    }
}

/// Everything at once, for tests and small inputs.
impl Engine {
    /// [`Matcher::evaluate`] and [`Engine::absorb`] in one.
    pub fn process(&mut self, batch: &Batch) -> Vec<Alert> {
        let matches = self.matcher.evaluate(batch);
        self.absorb(matches, Scope::All)
    }

    /// [`Engine::finish`], with its alerts in memory.
    pub fn finish_all(&mut self) -> std::io::Result<Vec<Alert>> {
        let mut alerts = Vec::new();
        self.finish(1, &mut |alert| {
            alerts.push(alert);
            Ok::<(), std::io::Error>(())
        })?;
        Ok(alerts)
    }
}
