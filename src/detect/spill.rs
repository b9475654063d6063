//! Rows put aside on disk by day of event time.
//!
//! Replay holds the surviving rows of windowed and baseline rules until everything was read. Beyond a
//! budget they go to temporary files, one a day and scan, and come back day by day when the rules are
//! evaluated. The files are gone with the value.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Write};
use std::path::PathBuf;

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use tempfile::TempDir;

use super::rows::Rows;
use crate::event::DAY;

/// Files of one scan.
#[derive(Debug)]
pub struct Spill {
    schema: SchemaRef,
    folder: TempDir,
    /// By day since the epoch.
    days: BTreeMap<i64, Day>,
}

#[derive(Debug)]
struct Day {
    path: PathBuf,
    rows: usize,
}

fn failed(what: &str, error: std::io::Error) -> ArrowError {
    ArrowError::IoError(format!("cannot {what} rows put aside in a temporary folder: {error}"), error)
}

impl Spill {
    /// An empty spill for rows of that schema (the engine's columns included).
    pub fn open(schema: SchemaRef) -> Result<Self, ArrowError> {
        let folder = tempfile::Builder::new().prefix("aksentry-rows-").tempdir();
        Ok(Self { schema, folder: folder.map_err(|e| failed("keep", e))?, days: BTreeMap::new() })
    }

    /// Appends rows, which are in order of time, to the files of their days.
    pub fn put(&mut self, rows: &Rows) -> Result<(), ArrowError> {
        let mut from = 0;
        while let Some(time) = (from < rows.len()).then(|| rows.time(from)).flatten() {
            let day = time.div_euclid(DAY);
            let to = rows.after((day + 1) * DAY - 1);
            self.append(day, &rows.slice(from, to))?;
            from = to;
        }
        Ok(())
    }

    fn append(&mut self, day: i64, rows: &Rows) -> Result<(), ArrowError> {
        let path = self.folder.path().join(format!("{day}.arrow"));
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = BufWriter::new(file.map_err(|e| failed("write", e))?);
        let mut writer = StreamWriter::try_new(file, &self.schema)?;
        writer.write(rows.batch())?;
        writer.finish()?;
        writer.into_inner()?.flush().map_err(|e| failed("write", e))?;
        self.days.entry(day).or_insert(Day { path, rows: 0 }).rows += rows.len();
        Ok(())
    }

    /// Days that have rows here, in order.
    pub fn days(&self) -> impl Iterator<Item = i64> {
        self.days.keys().copied()
    }

    /// Takes back the rows of a day, in the portions they were put aside in.
    pub fn take(&mut self, day: i64) -> Result<Vec<Rows>, ArrowError> {
        let mut portions = Vec::new();
        self.read(day, &mut |rows| {
            portions.push(rows);
            Ok(())
        })?;
        self.remove(day)?;
        Ok(portions)
    }

    /// Shows the rows of a day, portion by portion, and leaves them here.
    pub fn read(
        &self,
        day: i64,
        each: &mut dyn FnMut(Rows) -> Result<(), ArrowError>,
    ) -> Result<(), ArrowError> {
        let Some(day) = self.days.get(&day) else { return Ok(()) };
        let mut file = BufReader::new(File::open(&day.path).map_err(|e| failed("read", e))?);
        // Each portion is a stream of its own, one behind the other.
        while !std::io::BufRead::fill_buf(&mut file).map_err(|e| failed("read", e))?.is_empty() {
            for batch in StreamReader::try_new(&mut file, None)? {
                each(Rows::from_batch(batch?))?;
            }
        }
        Ok(())
    }

    /// Lets go of a day.
    pub fn remove(&mut self, day: i64) -> Result<(), ArrowError> {
        match self.days.remove(&day) {
            Some(day) => std::fs::remove_file(&day.path).map_err(|e| failed("remove", e)),
            None => Ok(()),
        }
    }

    /// How many rows are here.
    pub fn rows(&self) -> usize {
        self.days.values().map(|day| day.rows).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray, UInt64Array};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::super::rows;
    use super::*;

    fn rows_at(times: &[i64]) -> Rows {
        let scan = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
        let none = || Arc::new(StringViewArray::new_null(times.len()));
        let batch = RecordBatch::try_new(
            rows::schema(&scan),
            vec![
                Arc::new(Int64Array::from_iter_values(times.iter().copied())),
                Arc::new(
                    TimestampMicrosecondArray::from_iter_values(times.iter().copied())
                        .with_timezone("+00:00"),
                ),
                Arc::new(UInt64Array::from_iter_values(times.iter().map(|t| *t as u64))),
                none(),
                none(),
                none(),
            ],
        );
        Rows::from_batch(batch.expect("columns of the schema"))
    }

    #[test]
    fn rows_come_back_by_day_in_the_portions_they_went() {
        let (a, b) = (rows_at(&[1, 2, DAY - 1, DAY, 3 * DAY]), rows_at(&[5, DAY + 7]));
        let mut spill = Spill::open(a.batch().schema()).expect("a temporary folder");
        spill.put(&a).expect("room on disk");
        spill.put(&b).expect("room on disk");
        assert_eq!(spill.days().collect::<Vec<_>>(), [0, 1, 3]);
        let times = |portions: Vec<Rows>| -> Vec<Vec<Option<i64>>> {
            portions.iter().map(|p| (0..p.len()).map(|r| p.time(r)).collect()).collect()
        };
        let first = times(spill.take(0).expect("readable"));
        assert_eq!(first, [vec![Some(1), Some(2), Some(DAY - 1)], vec![Some(5)]]);
        assert_eq!(times(spill.take(1).expect("readable")), [[Some(DAY)], [Some(DAY + 7)]]);
        assert_eq!(spill.take(1).expect("nothing left").len(), 0);
        assert_eq!(spill.days().collect::<Vec<_>>(), [3]);
    }
}
