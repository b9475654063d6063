//! Rows of a query as data: batch by batch, whatever their columns.

use std::collections::HashSet;
use std::io::Write;

use anyhow::Context as _;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use serde_json::Value;

use super::{Cell, Column, Format, Printer, Table, text};
use crate::alert::Object;
use crate::cli::terminal::{Style, safe, say};
use crate::event::cluster_name;
use crate::event::value::to_json;

/// Prints rows as their batches come; the first batch, even without rows, brings the columns.
pub(in crate::cli) struct Rows<W: Write> {
    out: Option<W>,
    format: Format,
    style: Style,
    printer: Option<Printer<W>>,
    names: Vec<String>,
}

impl<W: Write> Rows<W> {
    pub fn new(out: W, format: Format, style: Style) -> Self {
        Self { out: Some(out), format, style, printer: None, names: Vec::new() }
    }

    /// Writes every row of a batch.
    pub fn write(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        if let Some(out) = self.out.take() {
            self.names = distinct(&batch.schema());
            let column = |(name, field): (&String, &arrow::datatypes::FieldRef)| match field.data_type() {
                kind if kind.is_numeric() => Column::number(name),
                _ => Column::text(name),
            };
            let columns = self.names.iter().zip(batch.schema().fields()).map(column).collect();
            let table = Table::new(columns, self.style);
            self.printer = Some(Printer::new(out, self.format, table, self.names.clone()));
        }
        let Some(printer) = &mut self.printer else { return Ok(()) };
        for row in 0..batch.num_rows() {
            let named = self.names.iter().zip(batch.columns());
            let item: Object = named.map(|(name, column)| (name.clone(), to_json(column, row))).collect();
            let fitted = self.style.width.is_some();
            let cell = |(name, value): (&String, &Value)| Cell::new(shown(name, value, fitted));
            let cells = || item.iter().map(cell).collect();
            printer.item(&item, cells).context("writing rows to standard output")?;
        }
        Ok(())
    }

    /// Writes what is held back. Returns the number of rows.
    pub fn finish(&mut self) -> anyhow::Result<u64> {
        let Some(printer) = &mut self.printer else { return Ok(0) };
        printer.finish().context("writing rows to standard output")?;
        let hidden = printer.hidden();
        if !hidden.is_empty() && self.format == Format::Table {
            say(&safe(&format!(
                "no room for {}; --wide, in the shell \\wide or \\x, shows all",
                hidden.join(", ")
            )));
        }
        Ok(printer.items())
    }
}

/// A value in a table. Where room is scarce a cluster has its name and a time its seconds, as alerts do.
fn shown(name: &str, value: &Value, fitted: bool) -> String {
    let text = text(value);
    let is_time = |text: &str| text.len() >= 20 && text.ends_with('Z') && text.get(10..11) == Some("T");
    if fitted && name == "cluster" {
        cluster_name(&text).to_string()
    } else if fitted && is_time(&text) && text.get(..19).is_some_and(|t| t.is_ascii()) {
        text.get(..19).unwrap_or_default().replace('T', " ")
    } else {
        text
    }
}

/// Column names as keys of one object: a name that comes again gets a number.
pub(super) fn distinct(schema: &SchemaRef) -> Vec<String> {
    let mut taken = HashSet::new();
    let mut names = Vec::new();
    for field in schema.fields() {
        let mut name = field.name().clone();
        let mut number = 2;
        while !taken.insert(name.clone()) {
            name = format!("{}_{number}", field.name());
            number += 1;
        }
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, ListArray, StringViewArray, TimestampMicrosecondArray};
    use arrow::datatypes::{Field, Int64Type, Schema};
    use std::sync::Arc;

    fn batch() -> RecordBatch {
        let columns: Vec<(&str, ArrayRef)> = vec![
            (
                "time",
                Arc::new(
                    TimestampMicrosecondArray::from(vec![Some(1_500_000), None]).with_timezone("+00:00"),
                ),
            ),
            ("n", Arc::new(Int64Array::from(vec![-1, 22]))),
            ("n", Arc::new(StringViewArray::from(vec![Some("=x"), None]))),
            ("l", Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>([Some([Some(1)]), None]))),
        ];
        let field = |(name, array): &(&str, ArrayRef)| Field::new(*name, array.data_type().clone(), true);
        let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
        RecordBatch::try_new(schema, columns.into_iter().map(|(_, array)| array).collect()).unwrap()
    }

    fn print(format: Format, batch: &RecordBatch) -> String {
        let mut out = Vec::new();
        let mut rows = Rows::new(&mut out, format, Style::default());
        rows.write(batch).unwrap();
        assert_eq!(rows.finish().unwrap(), batch.num_rows() as u64);
        drop(rows);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_form_holds_the_same_rows() {
        let ndjson = "{\"time\":\"1970-01-01T00:00:01.500Z\",\"n\":-1,\"n_2\":\"=x\",\"l\":[1]}\n\
                      {\"time\":null,\"n\":22,\"n_2\":null,\"l\":null}\n";
        assert_eq!(print(Format::Ndjson, &batch()), ndjson);
        assert_eq!(
            print(Format::Csv, &batch()),
            "time,n,n_2,l\r\n1970-01-01T00:00:01.500Z,-1,'=x,[1]\r\n,22,,\r\n"
        );
        let values: Vec<Object> = serde_json::from_str(&print(Format::Json, &batch())).unwrap();
        assert_eq!(values.len(), 2);
        let table = print(Format::Table, &batch());
        assert!(table.starts_with("TIME                       N  N_2  L\n"), "{table}");
        assert!(table.lines().nth(2).is_some_and(|l| l.trim() == "22"), "{table}");
    }

    #[test]
    fn no_rows_still_have_columns() {
        let none = batch().slice(0, 0);
        assert_eq!(print(Format::Csv, &none), "time,n,n_2,l\r\n");
        assert_eq!(print(Format::Json, &none), "[]\n");
        assert_eq!(print(Format::Table, &none), "");
    }
}
