//! Calls that read a JSON body, made once a row whatever the number of conditions that need them.
//!
//! Dozens of rules ask for the images of the same pod. A call is taken out of the conditions it stands
//! in and becomes a column behind the table's own, which is filled for the rows that somebody asks about.

use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::compute::{concat, take};
use arrow::datatypes::{Field, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, DFSchema};
use datafusion::error::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, ExprSchemable};

use super::condition::{Compiled, column_names};
use super::functions;

/// The calls of a table's conditions.
#[derive(Debug, Clone, Default)]
pub struct Calls {
    calls: Vec<Compiled>,
    /// A column for each, named by its text.
    fields: Vec<Field>,
}

impl Calls {
    /// The condition with a column in place of each call; it reads [`Calls::schema`].
    pub fn take_out(&mut self, condition: Expr, table: &Schema, state: &SessionState) -> Result<Expr> {
        let columns = DFSchema::try_from(table.clone())?;
        let take_out = |node: Expr| {
            let Expr::ScalarFunction(function) = &node else { return Ok(Transformed::no(node)) };
            // A call on what another call gave stays around it.
            let on_the_table = column_names(&node).iter().all(|name| table.index_of(name).is_ok());
            if !functions::is_expensive(function.name()) || !on_the_table || node.is_volatile() {
                return Ok(Transformed::no(node));
            }
            let text = node.to_string();
            if !self.fields.iter().any(|field| *field.name() == text) {
                self.fields.push(Field::new(&text, node.get_type(&columns)?, true));
                self.calls.push(Compiled::new(node, table, state)?);
            }
            Ok(Transformed::yes(Expr::Column(Column::new_unqualified(text))))
        };
        condition.transform_up(take_out).data()
    }

    /// The table's columns and one for each call.
    pub fn schema(&self, table: &Schema) -> Schema {
        let own = table.fields().iter().map(|field| field.as_ref().clone());
        Schema::new(own.chain(self.fields.iter().cloned()).collect::<Vec<_>>())
    }

    /// The calls on the rows of a batch, none made yet.
    pub fn on<'a>(&'a self, rows: &'a RecordBatch) -> Called<'a> {
        Called { calls: &self.calls, rows, made: vec![None; self.calls.len()] }
    }
}

/// What calls gave on the rows of a batch.
pub struct Called<'a> {
    calls: &'a [Compiled],
    rows: &'a RecordBatch,
    made: Vec<Option<Made>>,
}

/// What one call gave.
#[derive(Debug, Clone)]
struct Made {
    /// Where in the values each row's is; none where it was not asked for.
    places: Vec<Option<u32>>,
    values: ArrayRef,
}

impl Called<'_> {
    /// What a call gives for these rows.
    pub fn values(&mut self, call: usize, rows: &UInt32Array) -> Result<ArrayRef> {
        let make = |rows: &UInt32Array| self.calls[call].value(self.rows, rows);
        let made = match &mut self.made[call] {
            Some(made) => {
                let missing = rows.values().iter().copied();
                let missing = UInt32Array::from_iter_values(missing.filter(|&row| made.place(row).is_none()));
                if !missing.is_empty() {
                    let more = make(&missing)?;
                    made.note(&missing, made.values.len());
                    made.values = concat(&[&made.values, &more])?;
                }
                made
            }
            none => {
                let made =
                    none.insert(Made { places: vec![None; self.rows.num_rows()], values: make(rows)? });
                made.note(rows, 0);
                made
            }
        };
        let places: UInt32Array = rows.values().iter().map(|&row| made.place(row)).collect();
        let in_order = places.values().iter().enumerate().all(|(at, place)| at as u32 == *place);
        if in_order {
            return Ok(made.values.slice(0, places.len()));
        }
        Ok(take(&made.values, &places, None)?)
    }
}

impl Made {
    fn place(&self, row: u32) -> Option<u32> {
        self.places[row as usize]
    }

    fn note(&mut self, rows: &UInt32Array, first: usize) {
        for (row, place) in rows.values().iter().zip(first as u32..) {
            self.places[*row as usize] = Some(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicI64;

    use arrow::array::{AsArray, StringViewArray};
    use arrow::datatypes::DataType;
    use datafusion::prelude::{col, lit};

    use super::*;
    use crate::detect::plan::Planner;
    use crate::detect::session::WindowEnd;
    use crate::rules::Catalog;

    #[test]
    fn a_call_is_a_column_filled_for_the_rows_asked_about() {
        let planner = Planner::new(&Catalog::default(), WindowEnd::new(AtomicI64::new(0))).unwrap();
        let state = planner.state();
        let call = |name: &str, arg: Expr| state.scalar_functions()[name].call(vec![arg]);
        let table = Schema::new(vec![Field::new("object", DataType::Utf8View, true)]);
        let mut calls = Calls::default();
        let name = call("role_ref_name", col("object"));
        let both = name.clone().eq(lit("x")).or(name.clone().eq(lit("y")));
        let taken = calls.take_out(both, &table, state).unwrap();
        assert_eq!(column_names(&taken), [name.to_string()]);
        // What is called on the outcome of another call is no column.
        let inner = call("role_ref_kind", call("pod_spec", col("object"))).is_null();
        let taken = calls.take_out(inner, &table, state).unwrap();
        assert_eq!(column_names(&taken), ["pod_spec(object)"]);
        let names: Vec<String> =
            calls.schema(&table).fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names, ["object", &name.to_string(), "pod_spec(object)"]);

        let body = |name: &str| format!(r#"{{"roleRef":{{"kind":"ClusterRole","name":"{name}"}}}}"#);
        let bodies: StringViewArray = ["a", "b", "c", "d"].map(|name| Some(body(name))).into_iter().collect();
        let rows = RecordBatch::try_new(Arc::new(table), vec![Arc::new(bodies)]).unwrap();
        let mut called = calls.on(&rows);
        let mut ask = |rows: &[u32]| -> Vec<String> {
            let values = called.values(0, &UInt32Array::from(rows.to_vec())).unwrap();
            values.as_string_view().iter().map(|name| name.unwrap_or("none").to_string()).collect()
        };
        assert_eq!(ask(&[1, 3]), ["b", "d"]);
        assert_eq!(ask(&[0, 1, 3]), ["a", "b", "d"]);
        assert_eq!(ask(&[1]), ["b"]);
        assert_eq!(ask(&[0, 1, 2, 3]), ["a", "b", "c", "d"]);
    }
}
