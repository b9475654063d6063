//! Rules that read bodies, and whether an event shows what they do without one.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use datafusion::error::Result;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::split_conjunction;

use super::Engine;
use super::condition::{Compiled, unqualified};
use super::table::PlannedScan;
use crate::event::{Batch, Table};
use crate::rules::{Detection, Kind};

/// Columns that an event may be without: the level, its size or a cut decide.
const BODIES: [&str; 4] = ["request_object", "response_object", "object", "annotations"];

/// The rules of an engine whose alerts depend on a body.
pub struct BodyRule<'a> {
    pub detection: &'a Detection,
    /// The bodies it reads.
    pub columns: Vec<&'static str>,
    scans: Vec<Scan>,
}

struct Scan {
    columns: Vec<&'static str>,
    /// What the row filter asks for beside the bodies.
    others: Vec<Compiled>,
}

impl Engine {
    /// Rules that let rows through by what stands in a body, or that look at several rows and at their
    /// bodies. One that only shows a body is none of them: it fires all the same.
    pub fn body_rules(&self) -> Vec<BodyRule<'_>> {
        let state = SessionStateBuilder::new().build();
        let mut found = Vec::new();
        for rule in &self.rules {
            let several = matches!(rule.planned.kind, Kind::Window | Kind::Sequence);
            let audit = rule.planned.scans.iter().filter(|scan| scan.table == Table::Audit);
            // What cannot be compiled here is not known to read a body.
            let scans = audit.filter_map(|scan| Scan::new(scan, several, &state).ok());
            let scans: Vec<Scan> = scans.filter(|scan| !scan.columns.is_empty()).collect();
            let read = |name: &&str| scans.iter().any(|scan| scan.columns.contains(name));
            let columns: Vec<&'static str> = BODIES.into_iter().filter(read).collect();
            if !columns.is_empty() {
                found.push(BodyRule { detection: &rule.detection, columns, scans });
            }
        }
        found
    }
}

impl BodyRule<'_> {
    /// Whether an event of the batch passes all that the rule asks of it beside its bodies, and has
    /// none of the bodies that the rule reads, or lost them in part.
    pub fn is_shown_without(&self, batch: &Batch) -> bool {
        // What cannot be evaluated is not known to be missing.
        batch.audit.num_rows() > 0 && self.scans.iter().any(|scan| scan.lacks(&batch.audit).unwrap_or(true))
    }
}

impl Scan {
    fn new(scan: &PlannedScan, several: bool, state: &SessionState) -> Result<Self> {
        let mut others = Vec::new();
        for conjunct in scan.filters.iter().flat_map(split_conjunction) {
            if names(conjunct).next().is_none() {
                let condition = unqualified(conjunct.clone())?;
                others.push(Compiled::new(condition, &scan.table.schema(), state)?);
            }
        }
        Ok(Self { columns: columns(scan, several), others })
    }

    fn lacks(&self, rows: &RecordBatch) -> Result<bool> {
        let mut wanted = BooleanBuffer::new_set(rows.num_rows());
        for condition in &self.others {
            wanted = &wanted & &condition.truth(rows, None)?;
        }
        let is = |name: &str, row: usize| {
            let column = rows.column_by_name(name).and_then(|column| column.as_boolean_opt());
            column.is_some_and(|column| column.value(row))
        };
        let absent = |name: &&str, row: usize| rows.column_by_name(name).is_none_or(|c| c.is_null(row));
        let lacks = wanted.set_indices().any(|row| {
            is("truncated", row)
                || is("body_skipped", row)
                || self.columns.iter().all(|name| absent(name, row))
        });
        Ok(lacks)
    }
}

fn names(filter: &Expr) -> impl Iterator<Item = &'static str> {
    let read: Vec<String> = filter.column_refs().into_iter().map(|column| column.name.clone()).collect();
    BODIES.into_iter().filter(move |name| read.iter().any(|read| read == name))
}

/// The bodies a scan's filter reads, with `several` those it hands on, too.
fn columns(scan: &PlannedScan, several: bool) -> Vec<&'static str> {
    let mut columns: Vec<&'static str> = scan.filters.iter().flat_map(names).collect();
    if several {
        columns.extend(BODIES.into_iter().filter(|name| scan.columns.column_with_name(name).is_some()));
    }
    columns.sort_unstable();
    columns.dedup();
    columns
}
