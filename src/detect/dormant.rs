//! Rules that are planned when the first row comes that may concern them.
//!
//! Planning is nearly all of start-up, and most rules never see a row they could keep. A rule sleeps if
//! its text is known to plan (it is that of the pack inside this program) and its [`Gate`]s can shut.
//! Before a batch is filtered, what is new in it (a verb with a resource that no batch had before) opens
//! gates; the rules behind them are planned and their filters are there for this batch and all later
//! ones, whichever thread has them. So which rules sleep changes no alert.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::gate::{Gate, gate_columns, values};
use super::matcher::FilterSet;
use super::plan::{Planned, Planner, plan_all};
use super::state::micros;
use crate::event::{Batch, Table};
use crate::rules::Detection;

/// A rule that was planned after the engine began: planned, or why that failed.
pub type Woken = (Detection, Result<Planned, String>);

/// Kinds of rows that are remembered; beyond that they are looked at anew in every batch.
const KINDS: usize = 65_536;

/// A rule that sleeps.
#[derive(Debug)]
pub struct Sleeper {
    pub rule: Detection,
    pub gates: Vec<Gate>,
}

/// Rules that sleep, and what it takes to plan them.
#[derive(Debug, Default)]
pub struct Dormant {
    asleep: AtomicUsize,
    /// Values of [`gate_columns`] that opened what they open, by table, joined with a zero byte.
    seen: [RwLock<HashSet<Box<str>>>; 2],
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    planners: Vec<Planner>,
    sleepers: Vec<Sleeper>,
    woken: Vec<Woken>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Dormant {
    /// Rules to be planned by these planners, beside each other.
    pub fn new(sleepers: Vec<Sleeper>, planners: Vec<Planner>) -> Self {
        let asleep = AtomicUsize::new(sleepers.len());
        let inner = Mutex::new(Inner { planners, sleepers, woken: Vec::new() });
        Self { asleep, seen: Default::default(), inner }
    }

    pub fn asleep(&self) -> usize {
        self.asleep.load(Ordering::Acquire)
    }

    /// The rules woken since this was asked last.
    pub fn woken(&self) -> Vec<Woken> {
        std::mem::take(&mut locked(&self.inner).woken)
    }

    /// Plans the rules that a batch may concern.
    pub fn wake(&self, batch: &Batch, filters: &RwLock<Arc<FilterSet>>) {
        for table in Table::ALL {
            let (rows, _) = table.rows(batch);
            if rows.num_rows() == 0 || self.asleep() == 0 {
                continue;
            }
            let Some(columns) = gate_columns(table, rows) else {
                self.wake_all(filters);
                continue;
            };
            let mut fresh: HashSet<Box<str>> = HashSet::new();
            let mut kind = String::new();
            {
                let seen = self.seen[table as usize].read().unwrap_or_else(PoisonError::into_inner);
                for row in 0..rows.num_rows() {
                    kind.clear();
                    for value in values(&columns, row) {
                        kind.push_str(value);
                        kind.push('\0');
                    }
                    if !seen.contains(kind.as_str()) && !fresh.contains(kind.as_str()) {
                        fresh.insert(kind.as_str().into());
                    }
                }
            }
            if fresh.is_empty() {
                continue;
            }
            let opened = |sleeper: &Sleeper| {
                fresh.iter().any(|kind| {
                    let values: Vec<&str> = kind.split('\0').collect();
                    sleeper.gates.iter().any(|gate| gate.table == table && gate.opens(&values))
                })
            };
            let mut inner = locked(&self.inner);
            self.plan(&mut inner, &opened, filters);
            // Only now: who finds these kinds seen finds the filters of the rules they concern.
            let mut seen = self.seen[table as usize].write().unwrap_or_else(PoisonError::into_inner);
            if seen.len() < KINDS {
                seen.extend(fresh);
            }
        }
    }

    /// Plans all that sleep.
    pub fn wake_all(&self, filters: &RwLock<Arc<FilterSet>>) {
        self.plan(&mut locked(&self.inner), &|_| true, filters);
    }

    fn plan(&self, inner: &mut Inner, opened: &dyn Fn(&Sleeper) -> bool, filters: &RwLock<Arc<FilterSet>>) {
        let (up, down): (Vec<Sleeper>, Vec<Sleeper>) =
            std::mem::take(&mut inner.sleepers).into_iter().partition(|sleeper| opened(sleeper));
        inner.sleepers = down;
        if up.is_empty() {
            return;
        }
        let rules: Vec<&Detection> = up.iter().map(|sleeper| &sleeper.rule).collect();
        let planned = plan_all(&inner.planners, &rules);
        let mut set = FilterSet::clone(&filters.read().unwrap_or_else(PoisonError::into_inner));
        for (Sleeper { rule, .. }, planned) in up.into_iter().zip(planned) {
            let planned = planned.map_err(|problems| {
                problems.first().map(ToString::to_string).unwrap_or_default()
            });
            let added = planned.and_then(|planned| match inner.planners.first() {
                Some(planner) => set
                    .add_rule(&planned.scans, rule.thin.map(micros), planner.state())
                    .map(|()| planned)
                    .map_err(|error| error.strip_backtrace()),
                None => Err("no planner".into()),
            });
            inner.woken.push((rule, added));
        }
        *filters.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(set);
        self.asleep.store(inner.sleepers.len(), Ordering::Release);
    }
}
