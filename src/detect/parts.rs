//! Parts of conditions that are worked out once, whatever the number of rows or of conditions with them.
//!
//! A part becomes a column behind the table's own. A call that reads a JSON body (dozens of rules ask for
//! the images of the same pod) is made once for each row that somebody asks about; calls over pods become
//! two, of which the first, finding the pod's specification in the body, is the same for all. What asks
//! columns of few values is a fact of these values, which the [`Index`] remembers.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt32Array, new_empty_array};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, DFSchema};
use datafusion::error::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, ExprSchemable};

use super::condition::Compiled;
use super::functions;
use super::index::Index;

/// The parts of a table's conditions.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    parts: Vec<Part>,
    /// A column for each, named by its text.
    fields: Vec<Field>,
}

#[derive(Debug, Clone)]
enum Part {
    Call(Compiled),
    /// Number of the tests that know it, and its number there.
    Fact(usize, usize),
}

impl Parts {
    /// The condition with a column in place of each call; it reads [`Parts::schema`].
    pub fn take_calls(&mut self, condition: Expr, table: &Schema, state: &SessionState) -> Result<Expr> {
        let take_out = |node: Expr| {
            let Expr::ScalarFunction(call) = &node else { return Ok(Transformed::no(node)) };
            if !functions::is_expensive(call.name()) || node.is_volatile() {
                return Ok(Transformed::no(node));
            }
            let call = match functions::in_two(call) {
                Some((first, rest)) => rest(self.column_of(first, table, state)?),
                None => node,
            };
            Ok(Transformed::yes(self.column_of(call, table, state)?))
        };
        condition.transform_up(take_out).data()
    }

    /// The column that stands for a call; what is called inside it is one already.
    fn column_of(&mut self, call: Expr, table: &Schema, state: &SessionState) -> Result<Expr> {
        let text = call.to_string();
        if !self.fields.iter().any(|field| *field.name() == text) {
            let schema = self.schema(table);
            let data_type = call.get_type(&DFSchema::try_from(schema.clone())?)?;
            self.parts.push(Part::Call(Compiled::new(call, &schema, state)?));
            self.fields.push(Field::new(&text, data_type, true));
        }
        Ok(Expr::Column(Column::new_unqualified(text)))
    }

    /// The column that stands for a fact of these tests.
    pub fn fact(&mut self, text: String, tests: usize, fact: usize) -> Expr {
        if !self.fields.iter().any(|field| *field.name() == text) {
            self.parts.push(Part::Fact(tests, fact));
            self.fields.push(Field::new(&text, DataType::Boolean, true));
        }
        Expr::Column(Column::new_unqualified(text))
    }

    /// The table's columns and one for each part.
    pub fn schema(&self, table: &Schema) -> Schema {
        let own = table.fields().iter().map(|field| field.as_ref().clone());
        Schema::new(own.chain(self.fields.iter().cloned()).collect::<Vec<_>>())
    }

    /// The parts on the rows of a batch, which were the last that the index was asked about.
    pub fn on<'a>(&'a self, rows: &'a RecordBatch, index: &'a Index) -> Worked<'a> {
        Worked { parts: &self.parts, fields: &self.fields, rows, index, made: vec![None; self.parts.len()] }
    }
}

/// The parts on the rows of a batch.
pub struct Worked<'a> {
    parts: &'a [Part],
    fields: &'a [Field],
    rows: &'a RecordBatch,
    index: &'a Index,
    made: Vec<Option<Made>>,
}

/// What one call gave.
#[derive(Debug, Clone)]
struct Made {
    /// Where in the values each row's is; none where it was not asked for.
    places: Vec<Option<u32>>,
    values: ArrayRef,
}

impl Worked<'_> {
    /// These rows of a column of [`Parts::schema`].
    pub fn column(&mut self, column: usize, rows: &UInt32Array) -> Result<ArrayRef> {
        match column.checked_sub(self.rows.num_columns()) {
            Some(part) => match &self.parts[part] {
                Part::Call(call) => self.values(part, call, rows),
                Part::Fact(tests, fact) => Ok(Arc::new(self.index.fact(*tests, *fact, rows)?)),
            },
            None if rows.len() == self.rows.num_rows() => Ok(self.rows.column(column).clone()),
            None => Ok(take(self.rows.column(column), rows, None)?),
        }
    }

    /// What a call gives for these rows.
    fn values(&mut self, part: usize, call: &Compiled, rows: &UInt32Array) -> Result<ArrayRef> {
        let known = |row: u32| self.made[part].as_ref().is_some_and(|made| made.place(row).is_some());
        let missing = UInt32Array::from_iter_values(rows.values().iter().copied().filter(|row| !known(*row)));
        if !missing.is_empty() {
            let columns = call.columns.iter().map(|at| self.column(*at, &missing));
            let more = call.value_of(columns.collect::<Result<_>>()?, missing.len())?;
            match &mut self.made[part] {
                Some(made) => {
                    made.note(&missing, made.values.len());
                    made.values = concat(&[&made.values, &more])?;
                }
                none => {
                    let places = vec![None; self.rows.num_rows()];
                    none.insert(Made { places, values: more }).note(&missing, 0);
                }
            }
        }
        let Some(made) = &self.made[part] else { return Ok(new_empty_array(self.fields[part].data_type())) };
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
    use std::sync::atomic::AtomicI64;

    use arrow::array::{AsArray, StringViewArray};
    use datafusion::prelude::{col, lit};

    use super::*;
    use crate::detect::condition::column_names;
    use crate::detect::plan::Planner;
    use crate::detect::session::WindowEnd;
    use crate::rules::Catalog;

    #[test]
    fn a_call_is_a_column_filled_for_the_rows_asked_about() {
        let planner = Planner::new(&Catalog::default(), WindowEnd::new(AtomicI64::new(0))).unwrap();
        let state = planner.state();
        let call = |name: &str, arg: Expr| state.scalar_functions()[name].call(vec![arg]);
        let table = Schema::new(vec![Field::new("object", DataType::Utf8View, true)]);
        let mut parts = Parts::default();
        let name = call("role_ref_name", col("object"));
        let both = name.clone().eq(lit("x")).or(name.clone().eq(lit("y")));
        let taken = parts.take_calls(both, &table, state).unwrap();
        assert_eq!(column_names(&taken), [name.to_string()]);
        let pod = call("pod_service_account", col("object")).is_null();
        let spec = call("json_get_str", call("pod_spec", col("object"))).is_null();
        parts.take_calls(pod.or(spec), &table, state).unwrap();
        let schema = parts.schema(&table);
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let expected = [
            "object",
            "role_ref_name(object)",
            "pod_spec(object)",
            "pod_service_account of the specification(pod_spec(object))",
            "json_get_str(pod_spec(object))",
        ];
        assert_eq!(names, expected);

        let body = |name: &str| format!(r#"{{"roleRef":{{"kind":"ClusterRole","name":"{name}"}}}}"#);
        let bodies: StringViewArray = ["a", "b", "c", "d"].map(|name| Some(body(name))).into_iter().collect();
        let rows = RecordBatch::try_new(Arc::new(table), vec![Arc::new(bodies)]).unwrap();
        let index = Index::new(0, 0);
        let mut worked = parts.on(&rows, &index);
        let mut ask = |rows: &[u32]| -> Vec<String> {
            let values = worked.column(1, &UInt32Array::from(rows.to_vec())).unwrap();
            values.as_string_view().iter().map(|name| name.unwrap_or("none").to_string()).collect()
        };
        assert_eq!(ask(&[1, 3]), ["b", "d"]);
        assert_eq!(ask(&[0, 1, 3]), ["a", "b", "d"]);
        assert_eq!(ask(&[1]), ["b"]);
        assert_eq!(ask(&[0, 1, 2, 3]), ["a", "b", "c", "d"]);
    }
}
