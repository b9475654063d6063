//! Row filters of all rules over one batch, together.
//!
//! Filters are split at their ANDs. Cheap conjuncts that several rules share are evaluated once a
//! batch; those that read a JSON body run last and only on the rows that are left. Only surviving
//! rows are copied. A [`Matcher`] holds no state, so threads share it.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, TimestampMicrosecondArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::physical_plan::PhysicalExpr;

use super::dormant::{Dormant, Woken};
use super::functions;
use super::rows::{self, Rows};
use super::table::PlannedScan;
use super::thin::Thinner;
use crate::event::{Batch, Table};
use crate::rules::Detection;

/// Index of a scan over all rules.
pub type ScanId = usize;

/// What one batch gave the rules.
#[derive(Debug, Default)]
pub struct Matches {
    /// Rows that a scan's filter kept; scans without any are left out.
    pub kept: Vec<(ScanId, Rows)>,
    /// Scans whose filter failed on this batch, and why.
    pub failed: Vec<(ScanId, String)>,
    /// Earliest event time of each cluster's audit rows in the batch.
    pub clusters: Vec<(String, i64)>,
    /// Latest event time in the batch.
    pub latest: Option<i64>,
}

/// The filters of every scan.
#[derive(Debug)]
pub struct Matcher {
    /// Replaced as a whole when rules wake.
    filters: RwLock<Arc<FilterSet>>,
    dormant: Dormant,
}

/// The filters of the scans of rules that are planned.
#[derive(Debug, Clone, Default)]
pub struct FilterSet {
    tables: [Filters; 2],
    scans: usize,
}

#[derive(Debug, Clone, Default)]
struct Filters {
    /// Distinct cheap conjuncts over all rules.
    shared: Vec<Arc<dyn PhysicalExpr>>,
    scans: Vec<Scan>,
    /// Text of a shared conjunct → its index, while building.
    known: HashMap<String, usize>,
}

#[derive(Debug, Clone)]
struct Scan {
    id: ScanId,
    cheap: Vec<usize>,
    expensive: Vec<Arc<dyn PhysicalExpr>>,
    projection: Vec<usize>,
    schema: SchemaRef,
    thinner: Option<Thinner>,
}

impl FilterSet {
    /// Compiles the row filters of a rule's scans, which get the next ids in order; `thin` is in
    /// microseconds. Where one of them fails none of them is added.
    pub fn add_rule(&mut self, scans: &[PlannedScan], thin: Option<i64>, state: &SessionState) -> Result<()> {
        let before = [0, 1].map(|table: usize| self.tables[table].scans.len());
        for (scan, id) in scans.iter().zip(self.scans..) {
            if let Err(error) = self.add(id, scan, thin, state) {
                self.tables.iter_mut().zip(before).for_each(|(table, scans)| table.scans.truncate(scans));
                return Err(error);
            }
        }
        self.scans += scans.len();
        Ok(())
    }

    fn add(&mut self, id: ScanId, scan: &PlannedScan, thin: Option<i64>, state: &SessionState) -> Result<()> {
        let schema = DFSchema::try_from(scan.table.schema().as_ref().clone())?;
        let filters = &mut self.tables[scan.table as usize];
        let (mut cheap, mut expensive) = (Vec::new(), Vec::new());
        for filter in &scan.filters {
            for conjunct in split_conjunction(filter) {
                let bare = unqualified(conjunct.clone())?;
                let compile = || state.create_physical_expr(bare.clone(), &schema);
                if reads_a_body(&bare)? {
                    expensive.push(compile()?);
                    continue;
                }
                let text = bare.to_string();
                let index = match filters.known.get(&text) {
                    Some(index) => *index,
                    None => {
                        filters.shared.push(compile()?);
                        filters.known.insert(text, filters.shared.len() - 1);
                        filters.shared.len() - 1
                    }
                };
                cheap.push(index);
            }
        }
        let thinner = thin.map(|interval| Thinner::new(interval, scan.slot.schema()));
        let schema = rows::schema(scan.slot.schema());
        let projection = scan.projection.clone();
        filters.scans.push(Scan { id, cheap, expensive, projection, schema, thinner });
        Ok(())
    }
}

impl Matcher {
    /// Filters of planned rules, and rules that are planned when a row comes that may concern them.
    pub fn new(filters: FilterSet, dormant: Dormant) -> Self {
        Self { filters: RwLock::new(Arc::new(filters)), dormant }
    }

    /// The rules that were planned since this was asked last, in the order of their scans' ids.
    pub fn woken(&self) -> Vec<Woken> {
        self.dormant.woken()
    }

    /// How many rules were not planned yet.
    pub fn asleep(&self) -> usize {
        self.dormant.asleep()
    }

    /// Shows the rules that were not planned yet, with the session that would plan them.
    pub fn each_asleep(&self, look: &mut dyn FnMut(&Detection, &SessionState)) {
        self.dormant.each(look);
    }

    /// Plans the rules that were not planned yet and are meant.
    pub fn wake_those(&self, meant: &dyn Fn(&Detection) -> bool) {
        self.dormant.wake_those(meant, &self.filters);
    }

    /// Evaluates every rule's row filter on a batch.
    pub fn evaluate(&self, batch: &Batch) -> Matches {
        let mut matches = Matches::default();
        self.dormant.wake(batch, &self.filters);
        let filters = self.filters.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        for table in Table::ALL {
            let (rows, ids) = table.rows(batch);
            if rows.num_rows() == 0 {
                continue;
            }
            filters.tables[table as usize].evaluate(table, rows, ids, &mut matches);
            note_times(table, rows, &mut matches);
        }
        matches
    }
}

impl Filters {
    fn evaluate(&self, table: Table, rows: &RecordBatch, ids: &[u64], matches: &mut Matches) {
        let mut masks: Vec<Option<Result<BooleanBuffer, String>>> = vec![None; self.shared.len()];
        for scan in &self.scans {
            match scan.evaluate(table, rows, ids, &self.shared, &mut masks) {
                Ok(Some(kept)) => matches.kept.push((scan.id, kept)),
                Ok(None) => {}
                Err(error) => matches.failed.push((scan.id, error)),
            }
        }
    }
}

impl Scan {
    fn evaluate(
        &self,
        table: Table,
        rows: &RecordBatch,
        ids: &[u64],
        shared: &[Arc<dyn PhysicalExpr>],
        masks: &mut [Option<Result<BooleanBuffer, String>>],
    ) -> Result<Option<Rows>, String> {
        let mut mask: Option<BooleanBuffer> = None;
        for &index in &self.cheap {
            let one = masks[index]
                .get_or_insert_with(|| truth(&shared[index], rows).map_err(|e| e.strip_backtrace()));
            let one = one.as_ref().map_err(Clone::clone)?;
            let both = match mask {
                Some(mask) => &mask & one,
                None => one.clone(),
            };
            if both.count_set_bits() == 0 {
                return Ok(None);
            }
            mask = Some(both);
        }
        let mask = mask.unwrap_or_else(|| BooleanBuffer::new_set(rows.num_rows()));
        self.narrow(table, rows, ids, mask).map_err(|e| e.strip_backtrace())
    }

    /// Applies what is left of the filter to the rows of `mask` and keeps the survivors.
    fn narrow(
        &self,
        table: Table,
        rows: &RecordBatch,
        ids: &[u64],
        mask: BooleanBuffer,
    ) -> Result<Option<Rows>> {
        let keep = |rows: &RecordBatch, ids: &[u64], mask: BooleanBuffer| {
            Rows::keep(table, rows, ids, &BooleanArray::new(mask, None), &self.projection, &self.schema)
        };
        let kept = if self.expensive.is_empty() {
            keep(rows, ids, mask)?
        } else {
            let chosen: Vec<u64> = mask.set_indices().map(|row| ids[row]).collect();
            let fewer = filter_record_batch(rows, &BooleanArray::new(mask, None))?;
            let mut left = BooleanBuffer::new_set(fewer.num_rows());
            for expr in &self.expensive {
                left = &left & &truth(expr, &fewer)?;
                if left.count_set_bits() == 0 {
                    return Ok(None);
                }
            }
            keep(&fewer, &chosen, left)?
        };
        let kept = match &self.thinner {
            Some(thinner) => thinner.thin(&kept)?,
            None => kept,
        };
        Ok((!kept.is_empty()).then_some(kept))
    }
}

/// Rows for which the expression is true; null counts as false.
pub(super) fn truth(expr: &Arc<dyn PhysicalExpr>, rows: &RecordBatch) -> Result<BooleanBuffer> {
    let value = expr.evaluate(rows)?.into_array(rows.num_rows())?;
    let bools = value.as_boolean_opt().ok_or_else(|| {
        DataFusionError::Plan(format!("the row filter is {}, not a condition", value.data_type()))
    })?;
    Ok(match bools.nulls() {
        Some(nulls) => bools.values() & nulls.inner(),
        None => bools.values().clone(),
    })
}

/// The expression without table aliases: filters are evaluated on the bare table.
pub(super) fn unqualified(expr: Expr) -> Result<Expr> {
    expr.transform(|e| {
        Ok(match e {
            Expr::Column(column) => datafusion::common::tree_node::Transformed::yes(Expr::Column(
                Column::new_unqualified(column.name),
            )),
            other => datafusion::common::tree_node::Transformed::no(other),
        })
    })
    .map(|t| t.data)
}

fn reads_a_body(expr: &Expr) -> Result<bool> {
    let mut found = false;
    expr.apply(|e| {
        if let Expr::ScalarFunction(function) = e {
            found |= functions::is_expensive(function.name());
        }
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// Notes the latest time of the batch, and when each cluster's audit rows begin.
fn note_times(table: Table, rows: &RecordBatch, matches: &mut Matches) {
    let Some(times) = rows.column_by_name("time") else { return };
    let times: &TimestampMicrosecondArray = times.as_primitive::<TimestampMicrosecondType>();
    matches.latest = matches.latest.max(arrow::compute::max(times));
    let Some(clusters) = rows.column_by_name("cluster").and_then(|c| c.as_string_view_opt()) else { return };
    if table != Table::Audit {
        return;
    }
    for row in 0..rows.num_rows() {
        if times.is_null(row) {
            continue;
        }
        let (time, cluster) =
            (times.value(row), if clusters.is_null(row) { "" } else { clusters.value(row) });
        match matches.clusters.iter_mut().rev().find(|(name, _)| name == cluster) {
            Some((_, first)) => *first = time.min(*first),
            None => matches.clusters.push((cluster.to_string(), time)),
        }
    }
}
