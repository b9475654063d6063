//! Rows of one scan in order of event time.
//!
//! Rows come in many small portions; they are held as runs that are merged when there are many, so that
//! a thousand small batches cost no more than their rows. Where a rule prepares its rows
//! ([`super::prepare`]) that is done before they become a run. What does not fit the engine's budget is
//! put aside on disk.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use super::codec::{Reader, SavedError, Writer};
use super::prepare::{Preparation, Unprepared};
use super::rows::{self, Rows};
use super::spill::Spill;
use super::table::PlannedScan;
use super::thin::Thinner;

/// How many runs of one level are kept before they are merged into one of the next.
const FAN_IN: usize = 32;

/// Bytes of rows that are prepared together: enough that running a plan does not count.
const RAW_BYTES: usize = 256 << 10;

/// Rows of one scan.
#[derive(Debug)]
pub struct Buffer {
    /// Of rows as they come.
    raw_schema: SchemaRef,
    /// Of rows in order.
    schema: SchemaRef,
    thinner: Option<Thinner>,
    preparation: Option<Arc<Preparation>>,
    /// Rows that are not prepared yet.
    raw: Vec<Rows>,
    raw_bytes: usize,
    unprepared: Unprepared,
    sorted: Rows,
    /// Runs that came since, each with its level of merging.
    fresh: Vec<(Rows, u32)>,
    /// Bytes of memory the rows hold.
    bytes: usize,
    /// Rows that did not fit the budget.
    spill: Option<Spill>,
}

impl Buffer {
    pub fn new(scan: &PlannedScan, thinner: Option<Thinner>) -> Self {
        let schema = rows::schema(scan.slot.schema());
        let sorted = Rows::from_batch(RecordBatch::new_empty(schema.clone()));
        Self {
            raw_schema: rows::schema(&scan.columns),
            schema,
            thinner,
            preparation: scan.preparation.clone(),
            raw: Vec::new(),
            raw_bytes: 0,
            unprepared: Unprepared::default(),
            sorted,
            fresh: Vec::new(),
            bytes: 0,
            spill: None,
        }
    }

    /// Adds kept rows.
    pub fn push(&mut self, rows: Rows) -> Result<(), ArrowError> {
        if self.preparation.is_none() {
            return self.add(rows);
        }
        self.raw_bytes += rows.bytes();
        self.raw.push(rows);
        if self.raw_bytes >= RAW_BYTES { self.prepare() } else { Ok(()) }
    }

    /// Prepares the rows that are not.
    fn prepare(&mut self) -> Result<(), ArrowError> {
        let Some(preparation) = self.preparation.as_ref().filter(|_| !self.raw.is_empty()) else {
            return Ok(());
        };
        self.raw_bytes = 0;
        let raw = Rows::sorted(&self.raw_schema, std::mem::take(&mut self.raw))?;
        let prepared = preparation.run(&raw, &mut self.unprepared)?;
        let prepared = self.thinned(prepared)?.compacted()?;
        if prepared.is_empty() { Ok(()) } else { self.add(prepared) }
    }

    /// Rows that could not be prepared, since this was asked last.
    pub fn take_unprepared(&mut self) -> Unprepared {
        std::mem::take(&mut self.unprepared)
    }

    /// Adds rows as the rule's plan reads them.
    fn add(&mut self, rows: Rows) -> Result<(), ArrowError> {
        self.bytes += rows.bytes();
        self.fresh.push((rows, 0));
        while let Some(&(_, level)) = self.fresh.last() {
            let same = self.fresh.iter().rev().take_while(|(_, l)| *l == level).count();
            if same < FAN_IN {
                break;
            }
            let parts: Vec<Rows> = self.fresh.drain(self.fresh.len() - same..).map(|(r, _)| r).collect();
            let before: usize = parts.iter().map(Rows::bytes).sum();
            let merged = self.merge(parts)?;
            self.bytes = (self.bytes + merged.bytes()).saturating_sub(before);
            self.fresh.push((merged, level + 1));
        }
        Ok(())
    }

    fn merge(&self, parts: Vec<Rows>) -> Result<Rows, ArrowError> {
        let all = match &self.preparation {
            Some(_) => Rows::merged(&self.schema, parts)?,
            None => Rows::sorted(&self.schema, parts)?,
        };
        self.thinned(all)?.compacted()
    }

    fn thinned(&self, rows: Rows) -> Result<Rows, ArrowError> {
        match &self.thinner {
            Some(thinner) => thinner.thin(&rows),
            None => Ok(rows),
        }
    }

    /// All rows in memory, in order of time and identity.
    pub fn sorted(&mut self) -> Result<&Rows, ArrowError> {
        self.prepare()?;
        if !self.fresh.is_empty() {
            let none = Rows::from_batch(RecordBatch::new_empty(self.schema.clone()));
            let mut parts = vec![std::mem::replace(&mut self.sorted, none)];
            parts.extend(self.fresh.drain(..).map(|(rows, _)| rows));
            let merged = self.merge(parts)?;
            self.set(merged);
        }
        Ok(&self.sorted)
    }

    fn set(&mut self, rows: Rows) {
        // Columns without rows still count some bytes; a buffer without rows must be at nothing, or
        // keeping to a budget would never end.
        self.bytes = if rows.is_empty() { 0 } else { rows.bytes() };
        self.sorted = rows;
    }

    /// Lets go of rows up to and including `time`; a copy is made once half of the rows are gone.
    pub fn forget(&mut self, time: i64) -> Result<(), ArrowError> {
        self.spill.as_mut().map_or(Ok(()), |spill| spill.forget(time))?;
        let rows = self.sorted()?;
        let gone = rows.after(time);
        if gone * 2 > rows.len() {
            self.drop_first(gone)?;
        }
        Ok(())
    }

    /// Lets go of the first rows in order.
    pub fn drop_first(&mut self, rows: usize) -> Result<(), ArrowError> {
        let all = self.sorted()?;
        let left = all.slice(rows, all.len()).compacted()?;
        self.set(left);
        Ok(())
    }

    /// Bytes of memory the rows hold.
    pub fn bytes(&self) -> usize {
        self.bytes + self.raw_bytes
    }

    /// Bytes that the rows would take if all were in memory.
    pub fn whole(&self) -> usize {
        self.bytes() + self.spill.as_ref().map_or(0, Spill::bytes)
    }

    /// Puts all rows aside on disk.
    pub fn spill(&mut self) -> Result<(), ArrowError> {
        let rows = self.sorted()?.clone();
        let spill = match &mut self.spill {
            Some(spill) => spill,
            none => none.insert(Spill::open(self.schema.clone())?),
        };
        spill.put(&rows)?;
        self.set(Rows::from_batch(RecordBatch::new_empty(self.schema.clone())));
        Ok(())
    }

    /// Times up to which rows that are on disk should be taken back one after another, in order, about so
    /// many bytes each time.
    pub fn slices(&self, bytes: usize) -> Vec<i64> {
        self.spill.as_ref().map_or(Vec::new(), |spill| spill.slices(bytes))
    }

    /// Takes rows up to and including `until` back into memory.
    pub fn load(&mut self, until: i64) -> Result<(), ArrowError> {
        let Some(mut spill) = self.spill.take() else { return Ok(()) };
        let outcome = spill.take(until, &mut |rows| self.add(rows));
        self.spill = Some(spill).filter(|spill| !spill.is_empty());
        outcome
    }

    /// How many rows there are, in memory and on disk; some of them may be the same.
    pub fn len(&self) -> usize {
        let raw: usize = self.raw.iter().map(Rows::len).sum();
        let fresh: usize = self.fresh.iter().map(|(rows, _)| rows.len()).sum();
        self.sorted.len() + raw + fresh + self.spill.as_ref().map_or(0, Spill::rows)
    }

    /// Writes all rows, those on disk too.
    pub fn save(&mut self, to: &mut Writer) -> Result<(), ArrowError> {
        let in_memory = self.sorted()?.clone();
        let mut portion = |rows: Rows| {
            to.u8(1);
            to.rows(&rows)
        };
        portion(in_memory)?;
        if let Some(spill) = &self.spill {
            spill.read(&mut portion)?;
        }
        to.u8(0);
        Ok(())
    }

    /// Adds the rows that [`Buffer::save`] wrote.
    pub fn load_saved(&mut self, from: &mut Reader) -> Result<(), SavedError> {
        while from.u8()? != 0 {
            let rows = from.rows(&self.schema)?;
            self.add(rows).map_err(|_| SavedError::Damaged("rows that cannot be put in order"))?;
        }
        Ok(())
    }

    /// The columns of rows that are pushed, the engine's included.
    pub fn raw_schema(&self) -> &SchemaRef {
        &self.raw_schema
    }
}
