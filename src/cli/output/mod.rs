//! Data on standard output: the same items as table, ndjson, json or csv.
//!
//! [`Printer`] takes items one by one and writes them at once, but for a table, which is written in
//! blocks so that its columns can be fitted. Nothing else of the program writes to standard output.

mod alerts;
mod csv;
mod rows;
mod sink;
mod table;

use std::io::{self, Write};

use clap::ValueEnum;
use serde_json::Value;

use super::Context;
use crate::alert::Object;

pub(super) use alerts::Alerts;
pub(super) use rows::Rows;
pub(super) use sink::{RowFile, RowSink, Shown};
pub(super) use table::{Cell, Column, Table};

/// Form of the data on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For reading, fitted to the terminal
    Table,
    /// One JSON object a line
    Ndjson,
    /// One JSON array
    Json,
    /// RFC 4180, safe to open in a spreadsheet
    Csv,
    /// Nothing (replay: detect and count only)
    None,
}

impl Context {
    /// The form to print data in. `None` only where it means something.
    pub(super) fn format(&self) -> anyhow::Result<Format> {
        match self.global.format {
            Some(Format::None) => anyhow::bail!("--format none is for replay only"),
            given => Ok(given.unwrap_or(self.default_format())),
        }
    }

    pub(super) fn default_format(&self) -> Format {
        if self.terminal.stdout_is_terminal { Format::Table } else { Format::Ndjson }
    }
}

/// Standard output, buffered.
pub(super) fn stdout() -> impl Write {
    io::BufWriter::with_capacity(64 << 10, io::stdout().lock())
}

/// Standard output, buffered, for whoever writes from several threads.
pub(super) fn shared_stdout() -> impl Write + Send {
    io::BufWriter::with_capacity(64 << 10, io::stdout())
}

/// Writes items in one of the forms.
pub(super) struct Printer<W: Write> {
    out: W,
    format: Format,
    table: Table,
    fields: Vec<String>,
    items: u64,
}

impl<W: Write> Printer<W> {
    /// `fields` are the keys that make the columns of CSV.
    pub fn new(out: W, format: Format, table: Table, fields: Vec<String>) -> Self {
        Self { out, format, table, fields, items: 0 }
    }

    /// Writes one item; `row` makes its cells if a table is wanted.
    pub fn item(&mut self, item: &Object, row: impl FnOnce() -> Vec<Cell>) -> io::Result<()> {
        let first = self.items == 0;
        self.items += 1;
        match self.format {
            Format::None => Ok(()),
            Format::Table => self.table.row(row(), &mut self.out),
            Format::Ndjson => {
                serde_json::to_writer(&mut self.out, item)?;
                self.out.write_all(b"\n")
            }
            Format::Json => {
                self.out.write_all(if first { b"[\n" } else { b",\n" })?;
                Ok(serde_json::to_writer(&mut self.out, item)?)
            }
            Format::Csv => {
                if first {
                    csv::header(&mut self.out, &self.fields)?;
                }
                csv::record(
                    &mut self.out,
                    self.fields.iter().map(|name| item.get(name).unwrap_or(&Value::Null)),
                )
            }
        }
    }

    /// Writes what is held back. Without items a table and ndjson are empty, json is `[]`, csv its header.
    pub fn finish(&mut self) -> io::Result<()> {
        match self.format {
            Format::None | Format::Ndjson => {}
            Format::Table => self.table.flush(&mut self.out)?,
            Format::Json if self.items == 0 => self.out.write_all(b"[]\n")?,
            Format::Json => self.out.write_all(b"\n]\n")?,
            Format::Csv if self.items == 0 && !self.fields.is_empty() => {
                csv::header(&mut self.out, &self.fields)?
            }
            Format::Csv => {}
        }
        self.out.flush()
    }

    /// Titles of the columns of a table that found no room.
    pub fn hidden(&self) -> Vec<String> {
        self.table.hidden().map(str::to_owned).collect()
    }

    /// How many items were written.
    pub fn items(&self) -> u64 {
        self.items
    }
}

/// A value as people read it: text as it is, nothing for null, JSON for the rest.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
