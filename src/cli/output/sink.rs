//! Where the rows of a query go: standard output in one of the forms, or a file that is there only
//! when it is whole.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use arrow::array::{Array, ArrayRef};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use tempfile::NamedTempFile;

use super::rows::distinct;
use super::{Format, Rows, stdout};
use crate::cli::terminal::{Style, Tint, hidden, safe};
use crate::event::value::to_json;

/// Takes the rows of one query, batch by batch.
pub(in crate::cli) trait RowSink {
    /// Called first; `explain` says that the rows are a plan.
    fn begin(&mut self, explain: bool);
    fn write(&mut self, batch: &RecordBatch) -> anyhow::Result<()>;
    /// All rows are there. Returns their number.
    fn finish(&mut self) -> anyhow::Result<u64>;
    /// No more rows come although there are some.
    fn stop(&mut self) -> anyhow::Result<()>;
}

/// Standard output.
pub(in crate::cli) struct Shown {
    format: Format,
    style: Style,
    terminal: bool,
    rows: Option<Rows<Box<dyn Write>>>,
    /// Lines of a plan are printed as they are.
    plan: bool,
    /// Each column of a row on a line of its own.
    expanded: bool,
    lines: u64,
}

impl Shown {
    /// `terminal`: whether somebody's terminal reads it.
    pub fn new(format: Format, style: Style, terminal: bool) -> Self {
        Self { format, style, terminal, rows: None, plan: false, expanded: false, lines: 0 }
    }

    /// Whether rows stand upright, each column on a line of its own.
    pub fn expanded(self, expanded: bool) -> Self {
        Self { expanded, ..self }
    }

    fn print_upright(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let mut out = stdout();
        let names = distinct(&batch.schema());
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        for row in 0..batch.num_rows() {
            self.lines += 1;
            writeln!(out, "{}", self.style.paint(Tint::Dim, &format!("--- row {}", self.lines)))?;
            for (name, column) in names.iter().zip(batch.columns()) {
                let name = self.style.paint(Tint::Bold, &format!("{:<width$}", safe(name)));
                writeln!(out, "{name}  {}", safe(&super::text(&to_json(column, row))))?;
            }
        }
        out.flush()
    }

    fn print_plan(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let mut out = stdout();
        for row in 0..batch.num_rows() {
            for (at, column) in batch.columns().iter().enumerate() {
                let text = super::text(&to_json(column, row));
                if at == 0 {
                    writeln!(out, "{}", self.style.paint(Tint::Bold, &safe(&text)))?;
                } else {
                    for line in text.lines() {
                        writeln!(out, "{}", safe(line))?;
                    }
                }
            }
            self.lines += 1;
        }
        out.flush()
    }
}

impl RowSink for Shown {
    fn begin(&mut self, explain: bool) {
        self.plan = explain && self.format == Format::Table;
        self.lines = 0;
        let out: Box<dyn Write> = match self.terminal && self.format != Format::Table {
            true => Box::new(Cleaned(stdout())),
            false => Box::new(stdout()),
        };
        self.rows = Some(Rows::new(out, self.format, self.style));
    }

    fn write(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        if self.plan {
            return self.print_plan(batch).context("writing rows to standard output");
        }
        if self.expanded && self.format == Format::Table {
            return self.print_upright(batch).context("writing rows to standard output");
        }
        match &mut self.rows {
            Some(rows) => rows.write(batch),
            None => Ok(()),
        }
    }

    fn finish(&mut self) -> anyhow::Result<u64> {
        let rows = self.rows.take().map_or(Ok(0), |mut rows| rows.finish())?;
        Ok(rows + self.lines)
    }

    fn stop(&mut self) -> anyhow::Result<()> {
        self.finish().map(drop)
    }
}

/// Passes text on to a terminal without what could steer it. Takes whole characters at a time.
struct Cleaned<W>(W);

impl<W: Write> Write for Cleaned<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let steers = |c: char| hidden(c) && !matches!(c, '\n' | '\r');
        if text.contains(steers) {
            let clean: String = text
                .chars()
                .flat_map(|c| match steers(c) {
                    true => c.escape_unicode().collect::<Vec<_>>(),
                    false => vec![c],
                })
                .collect();
            self.0.write_all(clean.as_bytes())?;
        } else {
            self.0.write_all(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A file of rows, in the form its name ends with. It has its name only when all rows are in it.
pub(in crate::cli) struct RowFile {
    path: PathBuf,
    /// What holds the rows until then.
    file: Option<NamedTempFile>,
    form: Form,
    writer: Option<Writer>,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Text(Format),
    Parquet,
}

enum Writer {
    Text(Box<Rows<BufWriter<File>>>),
    Parquet { writer: Box<ArrowWriter<File>>, schema: SchemaRef, rows: u64 },
}

impl RowFile {
    /// Makes sure that the file can be written.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let form = match name.rsplit_once('.').map(|(_, ending)| ending) {
            Some("parquet") => Form::Parquet,
            Some("csv") => Form::Text(Format::Csv),
            Some("json") => Form::Text(Format::Json),
            Some("ndjson" | "jsonl") => Form::Text(Format::Ndjson),
            _ => bail!(
                "cannot write {}: end the name with .parquet, .csv, .json or .ndjson, which decides the form",
                path.display()
            ),
        };
        if path.is_dir() {
            bail!("cannot write {}: it is a folder; name a file in it", path.display());
        }
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = tempfile::Builder::new().prefix(".aksentry-").tempfile_in(folder);
        let file = file.with_context(|| format!("writing {}", path.display()))?;
        Ok(Self { path: path.to_path_buf(), file: Some(file), form, writer: None })
    }

    fn open(&mut self, schema: &SchemaRef) -> anyhow::Result<&mut Writer> {
        if self.writer.is_none() {
            let file = self.file.as_ref().context("the file is already written")?.reopen()?;
            self.writer = Some(match self.form {
                Form::Text(format) => {
                    Writer::Text(Box::new(Rows::new(BufWriter::new(file), format, Style::default())))
                }
                Form::Parquet => {
                    let schema = parquet_schema(schema);
                    let level = Compression::ZSTD(ZstdLevel::default());
                    let properties = WriterProperties::builder().set_compression(level).build();
                    let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties))?;
                    Writer::Parquet { writer: Box::new(writer), schema, rows: 0 }
                }
            });
        }
        self.writer.as_mut().context("the file cannot be written")
    }

    fn put(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        match self.open(&batch.schema())? {
            Writer::Text(rows) => rows.write(batch),
            Writer::Parquet { writer, schema, rows } => {
                *rows += batch.num_rows() as u64;
                let fields = schema.fields().iter();
                let columns: Result<Vec<ArrayRef>, _> =
                    fields.zip(batch.columns()).map(|(field, c)| plain(c, field.data_type())).collect();
                Ok(writer.write(&RecordBatch::try_new(schema.clone(), columns?)?)?)
            }
        }
    }

    fn close(&mut self) -> anyhow::Result<u64> {
        let rows = match self.writer.take() {
            None => 0,
            Some(Writer::Text(mut rows)) => rows.finish()?,
            Some(Writer::Parquet { writer, rows, .. }) => {
                writer.close()?;
                rows
            }
        };
        let file = self.file.take().context("the file is already written")?;
        readable(file.as_file())?;
        file.as_file().sync_all()?;
        file.persist(&self.path).map_err(|error| error.error)?;
        Ok(rows)
    }
}

/// A temporary file is its owner's alone; this one is to be as any other.
#[cfg(unix)]
fn readable(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o640))
}

#[cfg(not(unix))]
fn readable(_: &File) -> io::Result<()> {
    Ok(())
}

impl RowSink for RowFile {
    fn begin(&mut self, _: bool) {}

    fn write(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        self.put(batch).with_context(|| format!("writing {}", self.path.display()))
    }

    fn finish(&mut self) -> anyhow::Result<u64> {
        self.close().with_context(|| format!("writing {}", self.path.display()))
    }

    fn stop(&mut self) -> anyhow::Result<()> {
        (self.writer, self.file) = (None, None);
        Ok(())
    }
}

/// Each name once, and JSON values and intervals, which Parquet has no form for, as text.
fn parquet_schema(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().zip(distinct(schema)).map(|(field, name)| {
        let data_type = match field.data_type() {
            DataType::Union(..) | DataType::Interval(_) | DataType::Duration(_) | DataType::Null => {
                DataType::Utf8
            }
            other => other.clone(),
        };
        Field::new(name, data_type, true)
    });
    std::sync::Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn plain(column: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, arrow::error::ArrowError> {
    if column.data_type() == wanted {
        return Ok(column.clone());
    }
    match column.data_type() {
        DataType::Union(..) => {
            let text = |row| match to_json(column, row) {
                serde_json::Value::Null => None,
                value => Some(super::text(&value)),
            };
            Ok(std::sync::Arc::new((0..column.len()).map(text).collect::<arrow::array::StringArray>()))
        }
        _ => cast(column, wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_steered_by_any_form() {
        let mut out = Cleaned(Vec::new());
        out.write_all("a\u{1b}[2J\u{9b}é\r\n".as_bytes()).unwrap();
        assert_eq!(String::from_utf8(out.0).unwrap(), "a\\u{1b}[2J\\u{9b}é\r\n");
    }

    #[test]
    fn names_decide_the_form() {
        let folder = tempfile::tempdir().unwrap();
        let error = |name: &str| RowFile::create(&folder.path().join(name)).err().map(|e| e.to_string());
        for name in ["a.parquet", "A.CSV", "a.json", "a.jsonl", "a.ndjson"] {
            assert_eq!(error(name), None, "{name}");
        }
        for name in ["a", "a.txt", ".csv2"] {
            assert!(error(name).unwrap().contains("end the name with .parquet"), "{name}");
        }
        assert!(error("no/such/a.csv").unwrap().contains("writing "));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing stays behind");
    }
}
