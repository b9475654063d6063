//! The row filters of all scans, evaluated together.
//!
//! Filters are split at their ANDs. What asks one column of few values goes into the [`Index`], which
//! names the rows a scan must still look at; the rest is evaluated on those rows only, conditions that
//! read a JSON body last. A condition that several scans share is evaluated once a row; of others those
//! [`Parts`] are shared that cost most.

use std::collections::{BTreeMap, HashMap};

use arrow::array::UInt32Array;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, ExprSchemable};

use super::condition::{Compiled, column_names, is_costly, part_of, reads_a_body, unqualified};
use super::index::{Index, Of, Tests, groups};
use super::matcher::{Matches, ScanId};
use super::parts::{Parts, Worked};
use super::plan::Planned;
use super::rows::{self, Rows};
use super::table::PlannedScan;
use super::thin::Thinner;
use crate::event::{Batch, Table};
use crate::rules::Detection;

/// The filters of the scans of rules that are planned.
#[derive(Debug, Clone, Default)]
pub struct FilterSet {
    tables: [Filters; 2],
    scans: usize,
}

/// The filters of one table's scans.
#[derive(Debug, Clone, Default)]
struct Filters {
    /// What is asked of columns of few values.
    tests: Vec<Tests>,
    /// All other conditions, each once.
    conditions: Vec<Condition>,
    parts: Parts,
    /// Text of one of these → its index.
    known: HashMap<String, usize>,
    scans: Vec<Scan>,
}

#[derive(Debug, Clone)]
struct Condition {
    whole: Compiled,
    /// The same over facts, where there are any.
    known: Option<Compiled>,
}

#[derive(Debug, Clone)]
struct Scan {
    id: ScanId,
    /// The conditions that are left to ask, in order.
    conditions: Vec<usize>,
    projection: Vec<usize>,
    schema: SchemaRef,
    thinner: Option<Thinner>,
}

impl FilterSet {
    /// Compiles the row filters of a rule's scans, which get the next ids in order. Where one of them fails
    /// none of them is added.
    pub fn add_rule(&mut self, rule: &Detection, planned: &Planned, state: &SessionState) -> Result<()> {
        let before = [0, 1].map(|table: usize| self.tables[table].scans.len());
        // Those that are prepared are thinned then.
        let thinner = |scan: &PlannedScan| match scan.preparation {
            Some(_) => None,
            None => Thinner::of_kept(rule, planned, scan),
        };
        for (scan, id) in planned.scans.iter().zip(self.scans..) {
            if let Err(error) = self.tables[scan.table as usize].add(id, scan, thinner(scan), state) {
                self.tables.iter_mut().zip(before).for_each(|(table, scans)| table.truncate(scans));
                return Err(error);
            }
        }
        self.scans += planned.scans.len();
        Ok(())
    }

    /// What threads need beside the filters, one each.
    pub fn indexes(&self) -> [Index; 2] {
        self.tables.each_ref().map(|filters| Index::new(filters.scans.len(), filters.tests.len()))
    }

    /// Evaluates all filters on the rows of a batch.
    pub fn evaluate(&self, batch: &Batch, indexes: &mut [Index; 2], matches: &mut Matches) {
        for table in Table::ALL {
            let (rows, ids) = table.rows(batch);
            if rows.num_rows() > 0 {
                self.tables[table as usize].evaluate(rows, ids, &mut indexes[table as usize], matches);
            }
        }
    }
}

impl Filters {
    fn add(
        &mut self,
        id: ScanId,
        scan: &PlannedScan,
        thinner: Option<Thinner>,
        state: &SessionState,
    ) -> Result<()> {
        let (table, number) = (scan.table.schema(), self.scans.len());
        let (mut cheap, mut expensive) = (Vec::new(), Vec::new());
        for filter in &scan.filters {
            for conjunct in split_conjunction(filter) {
                let condition = unqualified(conjunct.clone())?;
                let mut told = false;
                for group in groups(scan.table) {
                    let Some(part) = part_of(&condition, group).filter(|_| !told) else { continue };
                    let read = column_names(&part);
                    // What asks one of them alone was asked already.
                    if group.len() > 1 && read.len() == 1 {
                        continue;
                    }
                    told = part == condition;
                    let compile = || Compiled::new(part.clone(), &table, state);
                    let at = self.tests(group, &read, &table)?;
                    self.tests[at].add(part.to_string(), told, number, compile)?;
                }
                if told {
                    continue;
                }
                let text = condition.to_string();
                let kind = if reads_a_body(&condition)? { &mut expensive } else { &mut cheap };
                kind.push(match self.known.get(&text) {
                    Some(at) => *at,
                    None => {
                        let condition = self.compile(condition, scan.table, state)?;
                        self.conditions.push(condition);
                        self.known.insert(text, self.conditions.len() - 1);
                        self.conditions.len() - 1
                    }
                });
            }
        }
        let conditions = [cheap, expensive].concat();
        let schema = rows::schema(&scan.columns);
        self.scans.push(Scan { id, conditions, projection: scan.projection.clone(), schema, thinner });
        Ok(())
    }

    fn compile(&mut self, condition: Expr, table: Table, state: &SessionState) -> Result<Condition> {
        let columns = table.schema();
        let facts = self.take_facts(condition.clone(), table, state)?;
        let mut compile = |condition: Expr| {
            let condition = self.parts.take_calls(condition, &columns, state)?;
            Compiled::new(condition, &self.parts.schema(&columns), state)
        };
        let known = facts.transformed.then(|| compile(facts.data)).transpose()?;
        Ok(Condition { whole: compile(condition)?, known })
    }

    /// The condition with a column in place of each part that asks columns of few values for more than a
    /// comparison.
    fn take_facts(
        &mut self,
        condition: Expr,
        table: Table,
        state: &SessionState,
    ) -> Result<Transformed<Expr>> {
        let columns = table.schema();
        let known = DFSchema::try_from(columns.as_ref().clone())?;
        condition.transform_down(|node| {
            let read = column_names(&node);
            let has = |group: &&[&str]| read.iter().all(|name| group.contains(&name.as_str()));
            let Some(group) = groups(table).find(has).filter(|_| !read.is_empty()) else {
                return Ok(Transformed::no(node));
            };
            if node.is_volatile() || !is_costly(&node)? || node.get_type(&known)? != DataType::Boolean {
                return Ok(Transformed::no(node));
            }
            let text = node.to_string();
            let at = self.tests(group, &read, &columns)?;
            let fact = self.tests[at].fact(&text, || Compiled::new(node, &columns, state))?;
            let column = self.parts.fact(text, at, fact);
            Ok(Transformed::new(column, true, TreeNodeRecursion::Jump))
        })
    }

    /// The place of the tests of a group, of which these columns are read.
    fn tests(&mut self, group: &'static [&'static str], read: &[String], table: &Schema) -> Result<usize> {
        let [column] = group else {
            let alone = groups_alone(group, read);
            let places =
                alone.map(|column| self.place(column, || Ok(Of::Column(table.index_of(column[0])?))));
            let places = places.collect::<Result<Vec<_>>>()?;
            let at = self.place(group, || Ok(Of::Places(Vec::new())))?;
            if let Of::Places(known) = &mut self.tests[at].of {
                known.extend(places);
                known.sort_unstable();
                known.dedup();
            }
            return Ok(at);
        };
        self.place(group, || Ok(Of::Column(table.index_of(column)?)))
    }

    fn place(&mut self, group: &'static [&'static str], of: impl FnOnce() -> Result<Of>) -> Result<usize> {
        if let Some(at) = self.tests.iter().position(|tests| tests.group == group) {
            return Ok(at);
        }
        self.tests.push(Tests::new(group, of()?));
        Ok(self.tests.len() - 1)
    }

    fn truncate(&mut self, scans: usize) {
        self.scans.truncate(scans);
        self.tests.iter_mut().for_each(|tests| tests.truncate(scans));
    }

    fn evaluate(&self, rows: &RecordBatch, ids: &[u64], index: &mut Index, matches: &mut Matches) {
        let mut failed = BTreeMap::new();
        index.look_at(&self.tests, rows, &mut failed);
        let mut asked = Asked {
            conditions: &self.conditions,
            rows,
            known: HashMap::new(),
            parts: self.parts.on(rows, index),
        };
        for (number, (scan, chosen)) in self.scans.iter().zip(index.last()).enumerate() {
            if let Some(reason) = failed.remove(&number) {
                matches.failed.push((scan.id, reason));
                continue;
            }
            match scan.keep(chosen, ids, &mut asked) {
                Ok(Some(kept)) => matches.kept.push((scan.id, kept)),
                Ok(None) => {}
                Err(error) => matches.failed.push((scan.id, error.strip_backtrace())),
            }
        }
    }
}

/// The columns of a group that are read, each as a group of its own.
fn groups_alone(
    group: &'static [&'static str],
    read: &[String],
) -> impl Iterator<Item = &'static [&'static str]> {
    group.iter().filter(|column| read.iter().any(|name| name == *column)).map(std::slice::from_ref)
}

impl Scan {
    /// What the scan keeps of the rows it must look at.
    fn keep(&self, chosen: &[u32], ids: &[u64], asked: &mut Asked) -> Result<Option<Rows>> {
        if chosen.is_empty() {
            return Ok(None);
        }
        let mut narrowed;
        let mut chosen = chosen;
        for condition in &self.conditions {
            narrowed = asked.narrow(*condition, chosen)?;
            chosen = &narrowed;
            if chosen.is_empty() {
                return Ok(None);
            }
        }
        if let Some(thinner) = &self.thinner {
            narrowed = thinner.choose(asked.rows, ids, chosen, &self.projection)?;
            chosen = &narrowed;
        }
        Ok(Some(Rows::keep(asked.rows, ids, chosen, &self.projection, &self.schema)?))
    }
}

/// What is known of the conditions on the rows of a batch.
struct Asked<'a> {
    conditions: &'a [Condition],
    rows: &'a RecordBatch,
    /// By condition, for each row whether it is true; `None` where it was not asked.
    known: HashMap<usize, Vec<Option<bool>>>,
    parts: Worked<'a>,
}

impl Asked<'_> {
    /// The rows of those chosen for which the condition is true.
    fn narrow(&mut self, condition: usize, chosen: &[u32]) -> Result<Vec<u32>> {
        let all = self.rows.num_rows();
        let known = self.known.entry(condition).or_insert_with(|| vec![None; all]);
        let unknown: Vec<u32> = chosen.iter().copied().filter(|&row| known[row as usize].is_none()).collect();
        if !unknown.is_empty() {
            let condition = &self.conditions[condition];
            let these = UInt32Array::from(unknown.clone());
            let mut truth = |compiled: &Compiled| {
                let columns = compiled.columns.iter().map(|at| self.parts.column(*at, &these));
                compiled.truth_of(columns.collect::<Result<_>>()?, these.len())
            };
            // A fact that could not be told may not matter where it stands: then the whole condition says.
            let told = condition.known.as_ref().and_then(|known| truth(known).ok());
            let truth = told.map_or_else(|| truth(&condition.whole), Ok)?;
            for (row, is_true) in unknown.iter().zip(&truth) {
                known[*row as usize] = Some(is_true);
            }
        }
        Ok(chosen.iter().copied().filter(|&row| known[row as usize] == Some(true)).collect())
    }
}

#[cfg(test)]
#[path = "filters_tests.rs"]
mod tests;
