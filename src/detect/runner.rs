//! Plans run over the rows of a window or of a batch.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::execution_plan::reset_plan_states;

use super::crowd::Watch;
use super::plan::Planned;
use super::rows::Rows;
use super::window::Window;

/// Executes plans.
#[derive(Debug)]
pub struct Runner {
    runtime: tokio::runtime::Runtime,
    context: Arc<TaskContext>,
}

impl Runner {
    /// For plans made in that context.
    pub fn new(context: Arc<TaskContext>) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        Ok(Self { runtime, context })
    }

    /// Runs a rule's plan over rows put into its slots, one part a scan.
    pub fn run(&self, planned: &Planned, parts: &[Rows]) -> Result<RecordBatch> {
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

    /// What follows the windows at these steps, which are in order.
    pub fn watch<'p>(
        &self,
        planned: &'p Planned,
        window: &mut Window,
        steps: &[i64],
    ) -> Result<Option<Watch<'p>>> {
        Ok(match (&planned.crowd, window.buffers.as_mut_slice()) {
            // What cannot be told of single rows the plan says.
            (Some(crowd), [buffer]) if !steps.is_empty() => crowd.watch(buffer.sorted()?).ok(),
            _ => None,
        })
    }

    /// What a rule says of the window that ends at `step`, and the window's rows, one part a scan; `None`
    /// where it is not to be looked at, or nothing can come of it that did not come before.
    pub fn look(
        &self,
        planned: &Planned,
        window: &mut Window,
        watch: &mut Option<Watch>,
        step: i64,
    ) -> Result<Option<(RecordBatch, Vec<Rows>)>> {
        let Some(places) = window.places_at(step)? else { return Ok(None) };
        if planned.needs_all && places.iter().any(Range::is_empty) {
            return Ok(None);
        }
        let rows = watch.as_mut().zip(places.first()).map(|(watch, place)| watch.rows(place.clone()));
        if rows.as_ref().is_some_and(Vec::is_empty) {
            return Ok(None);
        }
        let mut parts = Vec::with_capacity(places.len());
        for (buffer, place) in window.buffers.iter_mut().zip(places) {
            parts.push(buffer.sorted()?.slice(place.start, place.end));
        }
        let output = match (rows, window.buffers.first_mut()) {
            (Some(rows), Some(buffer)) if parts.first().is_some_and(|part| rows.len() < part.len()) => {
                self.run(planned, &[buffer.sorted()?.take(&rows)?])?
            }
            _ => self.run(planned, &parts)?,
        };
        // At another time it may say something of the same rows.
        if let Some(watch) = watch.as_mut().filter(|_| output.num_rows() == 0 && !planned.uses_window_end) {
            watch.gave_nothing();
        }
        Ok(Some((output, parts)))
    }
}

#[cfg(test)]
#[path = "runner_tests.rs"]
mod tests;
