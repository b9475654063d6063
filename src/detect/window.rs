//! Windowed rules: rows in order of event time, looked at in steps.
//!
//! A window is `(t - window, t]` with `t` a multiple of the step since the epoch. It is evaluated when
//! the watermark has passed `t` and rows came in the step that ends there; a rule that asks for
//! `window_end()` is evaluated at every step until its rows have left. A late row marks the windows it
//! falls in again. A row that comes when rows of its time were let go already is dropped and counted:
//! a window that lacks some of its rows says nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use arrow::error::ArrowError;

use super::buffer::Buffer;
use super::codec::{Reader, SavedError, Writer};
use super::rows::Rows;

/// Rows are let go in portions of this part of a window, because that puts them in order.
const PORTION: i64 = 16;

/// Smallest multiple of `step` that is not before `time`.
fn step_of(time: i64, step: i64) -> i64 {
    let floor = time.div_euclid(step) * step;
    if floor == time { floor } else { floor.saturating_add(step) }
}

/// State of one windowed rule; times in microseconds.
#[derive(Debug)]
pub struct Window {
    pub buffers: Vec<Buffer>,
    window: i64,
    step: i64,
    /// Rows this late are still expected, so this much more is held on to.
    lateness: i64,
    /// Whether steps without new rows are evaluated too.
    every_step: bool,
    /// Steps with rows, as far back as rows are held.
    steps: BTreeSet<i64>,
    /// Steps to evaluate.
    pending: BTreeSet<i64>,
    /// Steps up to here were evaluated.
    done: Option<i64>,
    /// Rows up to here were let go.
    forgotten: i64,
    /// Rows that came when their time was forgotten already.
    pub too_late: u64,
}

impl Window {
    pub fn new(buffers: Vec<Buffer>, window: i64, step: i64, lateness: i64, every_step: bool) -> Self {
        Self {
            buffers,
            window,
            step,
            lateness,
            every_step,
            steps: BTreeSet::new(),
            pending: BTreeSet::new(),
            done: None,
            forgotten: i64::MIN,
            too_late: 0,
        }
    }

    /// Adds kept rows of one scan. Rows without a time belong to no window and are dropped.
    pub fn push(&mut self, scan: usize, rows: Rows) -> Result<(), ArrowError> {
        let rows = self.in_time(rows.timed()?)?;
        // Steps that were evaluated already → the latest new row in each.
        let mut late: BTreeMap<i64, i64> = BTreeMap::new();
        for row in 0..rows.len() {
            let Some(time) = rows.time(row) else { continue };
            let step = step_of(time, self.step);
            self.steps.insert(step);
            self.pending.insert(step);
            if self.done.is_some_and(|done| step <= done) {
                let latest = late.entry(step).or_insert(time);
                *latest = time.max(*latest);
            }
        }
        for (step, time) in late {
            let after = time.saturating_add(self.window);
            match (self.every_step, self.done) {
                (true, Some(done)) => self.pending.extend(self.aligned(step, done.min(after - 1))),
                _ => self.pending.extend(self.steps.range(step..after)),
            }
        }
        match self.buffers.get_mut(scan) {
            Some(buffer) => buffer.push(rows),
            None => Ok(()),
        }
    }

    /// The rows that a window can hold whose other rows are still there.
    fn in_time(&mut self, rows: Rows) -> Result<Rows, ArrowError> {
        let forgotten = self.forgotten;
        let in_time = |row: &u32| rows.time(*row as usize).is_some_and(|time| time > forgotten);
        let kept: Vec<u32> = (0..rows.len() as u32).filter(in_time).collect();
        if kept.len() == rows.len() {
            return Ok(rows);
        }
        self.too_late += (rows.len() - kept.len()) as u64;
        rows.take(&kept)
    }

    /// Steps from `first`, which is one, to `last`.
    fn aligned(&self, first: i64, last: i64) -> impl Iterator<Item = i64> + use<> {
        let step = self.step.max(1);
        std::iter::successors(Some(first), move |at| at.checked_add(step)).take_while(move |at| *at <= last)
    }

    /// Whether [`Window::due`] may give steps.
    pub fn is_due(&self, watermark: i64) -> bool {
        self.every_step || self.pending.first().is_some_and(|step| *step <= watermark)
    }

    /// The steps to evaluate now that nothing up to `watermark` is missing, in order. `latest` is the
    /// latest event time seen: silence is only concluded from what others have said since.
    pub fn due(&mut self, watermark: i64, latest: i64) -> Vec<i64> {
        let until = if self.every_step { watermark.min(latest) } else { watermark };
        let later = match until {
            i64::MAX => BTreeSet::new(),
            _ => self.pending.split_off(&(until + 1)),
        };
        let mut due = std::mem::replace(&mut self.pending, later);
        if self.every_step {
            let mut next = self.done.map_or(i64::MIN, |done| done.saturating_add(self.step));
            for &first in &self.steps {
                let last = first.saturating_add(self.window).min(until);
                for step in self.aligned(next.max(first), last) {
                    due.insert(step);
                    next = step.saturating_add(self.step);
                }
            }
        }
        if let Some(&last) = due.last() {
            self.done = self.done.max(Some(last));
        }
        // A window whose first rows are gone was evaluated when they were there.
        due.into_iter().filter(|step| step.saturating_sub(self.window) >= self.forgotten).collect()
    }

    /// The places in each scan's sorted rows of the window that ends at `step`; `None` where it is not to be
    /// looked at: it is empty, or the rows for which it was marked were thinned out or became nothing.
    pub fn places_at(&mut self, step: i64) -> Result<Option<Vec<Range<usize>>>, ArrowError> {
        let since = if self.every_step { self.window } else { self.step.min(self.window) };
        let (mut parts, mut marked) = (Vec::with_capacity(self.buffers.len()), false);
        for buffer in &mut self.buffers {
            let rows = buffer.sorted()?;
            let to = rows.after(step);
            marked |= rows.after(step - since) < to;
            parts.push(rows.after(step - self.window)..to);
        }
        Ok(marked.then_some(parts))
    }

    /// Lets go of rows that no window from `watermark` on, late rows included, can hold.
    pub fn forget(&mut self, watermark: i64) -> Result<(), ArrowError> {
        let horizon = watermark.saturating_sub(self.window).saturating_sub(self.lateness);
        if watermark < i64::MAX {
            if horizon < self.forgotten.saturating_add(self.window / PORTION) {
                return Ok(());
            }
            self.forgotten = horizon;
        }
        self.steps = self.steps.split_off(&horizon);
        self.buffers.iter_mut().try_for_each(|buffer| buffer.forget(horizon))
    }

    /// Writes everything it knows.
    pub fn save(&mut self, to: &mut Writer) -> Result<(), ArrowError> {
        to.i64(self.done.unwrap_or(i64::MIN));
        to.i64(self.forgotten);
        for steps in [&self.steps, &self.pending] {
            to.count(steps.len());
            steps.iter().for_each(|step| to.i64(*step));
        }
        self.buffers.iter_mut().try_for_each(|buffer| buffer.save(to))
    }

    /// Takes over what [`Window::save`] wrote.
    pub fn load(&mut self, from: &mut Reader) -> Result<(), SavedError> {
        self.done = Some(from.time()?).filter(|done| *done > i64::MIN);
        self.forgotten = from.time()?;
        for steps in [&mut self.steps, &mut self.pending] {
            for _ in 0..from.count(8)? {
                steps.insert(from.time()?);
            }
        }
        self.buffers.iter_mut().try_for_each(|buffer| buffer.load_saved(from))
    }
}
