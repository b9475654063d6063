//! Rules that are planned when the first row comes that may concern them.
//!
//! Planning is nearly all of start-up, and most rules never see a row they could keep. A rule sleeps if
//! its text is known to plan: it is that of the pack inside this program. Before a batch is filtered, what is new in it (a verb with a resource that no batch had before) opens
//! gates; the rules behind them are planned and their filters are there for this batch and all later
//! ones, whichever thread has them. So which rules sleep changes no alert.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use datafusion::execution::session_state::SessionState;

use super::filters::FilterSet;
use super::gate::{self, Gate, gate_columns};
use super::plan::{Planned, Planner, plan_all};
use crate::event::{Batch, Table};
use crate::rules::Detection;

/// A rule that was planned after the engine began: planned, or why that failed.
pub type Woken = (Detection, Result<Planned, String>);

/// Kinds of rows that are remembered; beyond that they are looked at anew in every batch.
const KINDS: usize = 65_536;

/// Threads that find gates: as many as the smallest machine has cores.
const THREADS: usize = 2;

/// A rule that sleeps.
#[derive(Debug)]
pub struct Sleeper {
    pub rule: Detection,
    /// `None`: any row may concern it. Found when the first row comes: many commands see none.
    gates: OnceLock<Option<Vec<Gate>>>,
}

impl Sleeper {
    pub fn new(rule: Detection) -> Self {
        Self { rule, gates: OnceLock::new() }
    }

    fn gates(&self) -> Option<&Vec<Gate>> {
        self.gates.get_or_init(|| gate::gates(&self.rule.sql)).as_ref()
    }

    /// Finds the gates of these, on several threads: it is most of what comes before the first row.
    fn find_gates(sleepers: &[Sleeper]) {
        let portions = sleepers.chunks(sleepers.len().div_ceil(THREADS).max(1));
        std::thread::scope(|scope| {
            for portion in portions.filter(|portion| portion.iter().any(|one| one.gates.get().is_none())) {
                scope.spawn(|| portion.iter().for_each(|sleeper| _ = sleeper.gates()));
            }
        });
    }
}

/// Rules that sleep, and what it takes to plan them.
#[derive(Debug, Default)]
pub struct Dormant {
    asleep: AtomicUsize,
    /// [`gate::kind`]s that opened what they open, by table.
    seen: [RwLock<HashSet<Box<[u8]>>>; 2],
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
                self.wake_those(&|_| true, filters);
                continue;
            };
            // Kinds that were not seen, each with a row of it.
            let mut fresh: HashMap<Box<[u8]>, usize> = HashMap::new();
            let mut kind = Vec::new();
            {
                let seen = self.seen[table as usize].read().unwrap_or_else(PoisonError::into_inner);
                for row in 0..rows.num_rows() {
                    gate::kind(&columns, row, &mut kind);
                    if !seen.contains(kind.as_slice()) && !fresh.contains_key(kind.as_slice()) {
                        fresh.insert(kind.as_slice().into(), row);
                    }
                }
            }
            if fresh.is_empty() {
                continue;
            }
            let kinds: Vec<Vec<&str>> = fresh.values().map(|row| gate::values(&columns, *row)).collect();
            let opened = |sleeper: &Sleeper| {
                let opens = |gate: &Gate| gate.table == table && kinds.iter().any(|kind| gate.opens(kind));
                sleeper.gates().is_none_or(|gates| gates.iter().any(opens))
            };
            let mut inner = locked(&self.inner);
            Sleeper::find_gates(&inner.sleepers);
            self.plan(&mut inner, &opened, filters);
            // Only now: who finds these kinds seen finds the filters of the rules they concern.
            let mut seen = self.seen[table as usize].write().unwrap_or_else(PoisonError::into_inner);
            if seen.len() < KINDS {
                seen.extend(fresh.into_keys());
            }
        }
    }

    /// Shows the rules that sleep, with the session that would plan them.
    pub fn each(&self, look: &mut dyn FnMut(&Detection, &SessionState)) {
        let inner = locked(&self.inner);
        let Some(planner) = inner.planners.first() else { return };
        inner.sleepers.iter().for_each(|sleeper| look(&sleeper.rule, planner.state()));
    }

    /// Plans those that sleep and are meant.
    pub fn wake_those(&self, meant: &dyn Fn(&Detection) -> bool, filters: &RwLock<Arc<FilterSet>>) {
        self.plan(&mut locked(&self.inner), &|sleeper| meant(&sleeper.rule), filters);
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
            let planned =
                planned.map_err(|problems| problems.first().map(ToString::to_string).unwrap_or_default());
            let added = planned.and_then(|planned| match inner.planners.first() {
                Some(planner) => set
                    .add_rule(&rule, &planned, planner.state())
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
