//! Windowed rules: rows in order of event time, looked at in steps.
//!
//! A window is `(t - window, t]` with `t` a multiple of the step since the epoch. It is evaluated when
//! the watermark has passed `t` and rows came in the step that ends there; a rule that asks for
//! `window_end()` is evaluated at every step until its rows have left. A late row marks the windows it
//! falls in again.

use std::collections::BTreeSet;

use arrow::error::ArrowError;

use super::buffer::Buffer;
use super::rows::Rows;

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
}

impl Window {
    pub fn new(buffers: Vec<Buffer>, window: i64, step: i64, lateness: i64, every_step: bool) -> Self {
        let (steps, pending) = (BTreeSet::new(), BTreeSet::new());
        Self { buffers, window, step, lateness, every_step, steps, pending, done: None }
    }

    /// Adds kept rows of one scan. Rows without a time belong to no window and are dropped.
    pub fn push(&mut self, scan: usize, rows: Rows) -> Result<(), ArrowError> {
        let rows = rows.timed()?;
        for row in 0..rows.len() {
            let Some(time) = rows.time(row) else { continue };
            let step = step_of(time, self.step);
            self.steps.insert(step);
            self.pending.insert(step);
            if self.done.is_some_and(|done| step <= done) {
                let touched = self.steps.range(step..time.saturating_add(self.window));
                self.pending.extend(touched);
            }
        }
        if let Some(buffer) = self.buffers.get_mut(scan) {
            buffer.push(rows)?;
        }
        Ok(())
    }

    /// The steps to evaluate now that nothing up to `watermark` is missing, in order. `latest` is the
    /// latest event time seen: silence is only concluded from what others have said since.
    pub fn due(&mut self, watermark: i64, latest: i64) -> Vec<i64> {
        let mut due: BTreeSet<i64> = match watermark {
            i64::MAX => std::mem::take(&mut self.pending),
            _ => {
                let later = self.pending.split_off(&watermark.saturating_add(1));
                std::mem::replace(&mut self.pending, later)
            }
        };
        if self.every_step {
            let until = watermark.min(latest);
            let mut step = self.done.map_or(i64::MIN, |done| done + self.step);
            for &first in &self.steps {
                step = step.max(first);
                let last = first.saturating_add(self.window).min(until);
                while step <= last {
                    due.insert(step);
                    step += self.step;
                }
            }
            due.retain(|step| *step <= until);
        }
        if let Some(&last) = due.last() {
            self.done = self.done.max(Some(last));
        }
        due.into_iter().collect()
    }

    /// The rows of the window that ends at `step`, one part a scan; `None` where it is not to be looked at:
    /// it is empty, or thinning took the rows for which it was marked.
    pub fn rows_at(&mut self, step: i64) -> Result<Option<Vec<Rows>>, ArrowError> {
        let since = if self.every_step { self.window } else { self.step.min(self.window) };
        let (mut parts, mut marked) = (Vec::with_capacity(self.buffers.len()), false);
        for buffer in &mut self.buffers {
            let rows = buffer.sorted()?;
            let to = rows.after(step);
            marked |= rows.after(step - since) < to;
            parts.push(rows.slice(rows.after(step - self.window), to));
        }
        Ok(marked.then_some(parts))
    }

    /// Lets go of rows that no window from `watermark` on, late rows included, can hold.
    pub fn forget(&mut self, watermark: i64) -> Result<(), ArrowError> {
        let horizon = watermark.saturating_sub(self.window).saturating_sub(self.lateness);
        self.steps = self.steps.split_off(&horizon);
        self.buffers.iter_mut().try_for_each(|buffer| buffer.forget(horizon))
    }
}
