//! What a window must hold before a query can return anything for it.
//!
//! Most windowed rules ask for many of something (`HAVING count(DISTINCT name) >= 8`), for two things
//! together (`min(made) < max(token)`), or for a row that differs from those before it. What they ask of
//! single rows is known without running the plan: a count is never more than the rows of its group for
//! which it counts, and a maximum of nothing is null. Groups with fewer such rows are left out, and where
//! none is left the plan is not run at all. Running it costs half a millisecond whatever its rows; a
//! [`Watch`] follows a window from step to step and looks at each row twice.

use std::collections::HashMap;
use std::ops::Range;

use arrow::array::ArrayRef;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::SchemaRef;
use datafusion::common::hash_utils::create_hashes_with_hasher;
use datafusion::error::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use foldhash::fast::RandomState;

use super::condition::Compiled;
use super::needs::{self, Needs};
use super::rows::Rows;

/// What a group needs.
#[derive(Debug, Clone)]
pub struct Crowd {
    /// Columns of the scan that are equal in a group. Groups may be told apart by more than these.
    columns: Vec<usize>,
    needs: Vec<Need>,
}

#[derive(Debug, Clone)]
struct Need {
    /// Rows, at least.
    least: u32,
    /// Which rows; `None`: any.
    of: Option<Compiled>,
}

impl Crowd {
    /// What a query needs that reads one table once, with these columns; `None` where any row may do or that
    /// is not known.
    pub fn of(plan: &LogicalPlan, scan: &SchemaRef, state: &SessionState) -> Result<Option<Crowd>> {
        let Some(Needs { columns, needs }) = needs::of(plan, scan)? else { return Ok(None) };
        let compile = |of| Compiled::new(of, scan, state);
        let needs = needs
            .into_iter()
            .map(|(least, of)| Ok(Need { least, of: of.map(compile).transpose()? }))
            .collect::<Result<_>>()?;
        Ok(Some(Crowd { columns, needs }))
    }

    /// Ready to follow windows over these rows, which are in order.
    pub fn watch<'a>(&'a self, rows: &Rows) -> Result<Watch<'a>> {
        // Groups with equal hashes count as one, which leaves in too much and never too little.
        let mut hashes = vec![0; rows.len()];
        let columns: Vec<ArrayRef> = self.columns.iter().map(|&at| rows.batch().column(at).clone()).collect();
        if !columns.is_empty() {
            create_hashes_with_hasher(&columns, &RandomState::default(), &mut hashes)?;
        }
        let mut known: HashMap<u64, u32, RandomState> = HashMap::default();
        let groups: Vec<u32> = hashes
            .into_iter()
            .map(|hash| {
                let next = known.len() as u32;
                *known.entry(hash).or_insert(next)
            })
            .collect();
        let truth = |need: &Need| need.of.as_ref().map(|of| of.truth(rows.batch(), None)).transpose();
        let counted = self.needs.iter().map(truth).collect::<Result<Vec<_>>>()?;
        let counts = vec![0; known.len() * self.needs.len()];
        let unmet = vec![self.needs.len() as u32; known.len()];
        let window = 0..0;
        Ok(Watch { needs: &self.needs, groups, counted, counts, unmet, met: 0, changed: true, window })
    }
}

/// How far the groups of a window meet what they need.
pub struct Watch<'a> {
    needs: &'a [Need],
    /// The group of each row.
    groups: Vec<u32>,
    /// By need, the rows that count.
    counted: Vec<Option<BooleanBuffer>>,
    /// Of the window's rows, by group and need.
    counts: Vec<u32>,
    /// How many needs of a group are not met.
    unmet: Vec<u32>,
    /// How many groups have all they need.
    met: usize,
    /// Whether a row came into such a group or left it since the plan last gave nothing.
    changed: bool,
    window: Range<usize>,
}

impl Watch<'_> {
    /// Those of a window's rows that are in groups with all they need; none where there is no such group, or
    /// the plan gave nothing for the very same rows. Windows are asked about in order.
    pub fn rows(&mut self, window: Range<usize>) -> Vec<u32> {
        if window.start < self.window.start || window.end < self.window.end {
            self.window.clone().for_each(|row| self.count(row, false));
            self.window = window.start..window.start;
        }
        (self.window.end.max(window.start)..window.end).for_each(|row| self.count(row, true));
        (self.window.start..window.start.min(self.window.end)).for_each(|row| self.count(row, false));
        self.window = window.clone();
        if self.met == 0 || !self.changed {
            return Vec::new();
        }
        let met = |row: &u32| self.unmet[self.groups[*row as usize] as usize] == 0;
        (window.start as u32..window.end as u32).filter(met).collect()
    }

    /// Notes that the plan gave nothing for the rows of the last window.
    pub fn gave_nothing(&mut self) {
        self.changed = false;
    }

    /// Counts a row that came into the window, or one that left it.
    fn count(&mut self, row: usize, came: bool) {
        let group = self.groups[row] as usize;
        let before = self.unmet[group];
        for (at, (need, counted)) in self.needs.iter().zip(&self.counted).enumerate() {
            if counted.as_ref().is_some_and(|counted| !counted.value(row)) {
                continue;
            }
            let count = &mut self.counts[group * self.needs.len() + at];
            if came {
                *count += 1;
                self.unmet[group] -= u32::from(*count == need.least);
            } else {
                self.unmet[group] += u32::from(*count == need.least);
                *count -= 1;
            }
        }
        self.changed |= before == 0 || self.unmet[group] == 0;
        match (before, self.unmet[group]) {
            (0, 1..) => self.met -= 1,
            (1.., 0) => self.met += 1,
            _ => {}
        }
    }
}
