//! Rows put aside on disk by day of event time.
//!
//! Replay holds the surviving rows of windowed and baseline rules until everything was read. Beyond a
//! budget they go to temporary files, one a day and scan, in chunks that are each of a short time, and come
//! back slice by slice when the rules are evaluated: a day of a busy cluster need not fit into memory. The
//! files are gone with the value.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use tempfile::TempDir;

use super::rows::Rows;
use crate::event::DAY;

/// Rows that are read back together: few enough that reading some too many costs little.
const CHUNK: usize = 4_096;

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
    chunks: Vec<Chunk>,
}

/// Rows of a file in order of time, as a stream of their own.
#[derive(Debug)]
struct Chunk {
    /// Where in the file it begins.
    at: u64,
    /// Bytes of memory the rows took.
    bytes: usize,
    rows: usize,
    /// Rows before this were taken back.
    first: i64,
    last: i64,
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
        let mut file = BufWriter::new(file.map_err(|e| failed("write", e))?);
        let mut from = 0;
        while from < rows.len() {
            // Rows of one time stay together: where one row became several, those are only told from a row
            // that came twice by being in one run.
            let to = rows.time(rows.len().min(from + CHUNK) - 1).map_or(rows.len(), |time| rows.after(time));
            // What is shared with other rows would be written with each chunk.
            let chunk = rows.slice(from, to).compacted()?;
            from = to;
            // What an earlier failure left of a chunk is behind this.
            let at = file.seek(SeekFrom::End(0)).map_err(|e| failed("write", e))?;
            let mut writer = StreamWriter::try_new(&mut file, &self.schema)?;
            writer.write(chunk.batch())?;
            writer.finish()?;
            drop(writer);
            file.flush().map_err(|e| failed("write", e))?;
            let (Some(first), Some(last)) = (chunk.time(0), chunk.time(chunk.len() - 1)) else { continue };
            let chunk = Chunk { at, bytes: chunk.bytes(), rows: chunk.len(), first, last };
            let day = self.days.entry(day).or_insert_with(|| Day { path: path.clone(), chunks: Vec::new() });
            day.chunks.push(chunk);
        }
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.days.is_empty()
    }

    /// Times up to which rows can be taken back one after another so that each time they are about so many
    /// bytes; in order, the last with all.
    pub fn slices(&self, bytes: usize) -> Vec<i64> {
        let mut chunks: Vec<(i64, usize)> = Vec::new();
        self.days.values().for_each(|day| chunks.extend(day.chunks.iter().map(|c| (c.last, c.bytes))));
        chunks.sort_unstable();
        let (mut ends, mut held) = (Vec::new(), 0);
        for (last, size) in &chunks {
            if held > 0 && held + size > bytes && ends.last() != Some(last) {
                ends.push(*last);
                held = 0;
            } else {
                held += size;
            }
        }
        ends.extend(chunks.last().map(|(last, _)| *last));
        ends.dedup();
        ends
    }

    /// Takes back the rows up to and including `until`, chunk by chunk.
    pub fn take(
        &mut self,
        until: i64,
        each: &mut dyn FnMut(Rows) -> Result<(), ArrowError>,
    ) -> Result<(), ArrowError> {
        for day in self.days.range_mut(..=until.div_euclid(DAY)).map(|(_, day)| day) {
            for chunk in day.chunks.iter_mut().filter(|chunk| chunk.first <= until) {
                let rows = chunk.read(&day.path)?;
                let (from, to) = (rows.after(chunk.first.saturating_sub(1)), rows.after(until));
                each(rows.slice(from, to).compacted()?)?;
                chunk.first = until.saturating_add(1);
                chunk.rows -= to - from;
            }
            day.chunks.retain(|chunk| chunk.first <= chunk.last);
        }
        let gone: Vec<i64> = self.days.iter().filter(|(_, d)| d.chunks.is_empty()).map(|(d, _)| *d).collect();
        gone.into_iter().try_for_each(|day| self.remove(day))
    }

    /// Shows all rows, chunk by chunk, and leaves them here.
    pub fn read(&self, each: &mut dyn FnMut(Rows) -> Result<(), ArrowError>) -> Result<(), ArrowError> {
        for day in self.days.values() {
            for chunk in &day.chunks {
                let rows = chunk.read(&day.path)?;
                each(rows.slice(rows.after(chunk.first.saturating_sub(1)), rows.len()).compacted()?)?;
            }
        }
        Ok(())
    }

    /// Lets go of the days before that of `time`.
    pub fn forget(&mut self, time: i64) -> Result<(), ArrowError> {
        let gone: Vec<i64> = self.days.range(..time.div_euclid(DAY)).map(|(day, _)| *day).collect();
        gone.into_iter().try_for_each(|day| self.remove(day))
    }

    fn remove(&mut self, day: i64) -> Result<(), ArrowError> {
        match self.days.remove(&day) {
            Some(day) => std::fs::remove_file(&day.path).map_err(|e| failed("remove", e)),
            None => Ok(()),
        }
    }

    /// Bytes of memory that the rows would take.
    pub fn bytes(&self) -> usize {
        self.days.values().flat_map(|day| &day.chunks).map(|chunk| chunk.bytes).sum()
    }

    /// How many rows are here.
    pub fn rows(&self) -> usize {
        self.days.values().flat_map(|day| &day.chunks).map(|chunk| chunk.rows).sum()
    }
}

impl Chunk {
    fn read(&self, path: &Path) -> Result<Rows, ArrowError> {
        let mut file = File::open(path).map_err(|e| failed("read", e))?;
        file.seek(SeekFrom::Start(self.at)).map_err(|e| failed("read", e))?;
        let batch = StreamReader::try_new(BufReader::new(file), None)?.next();
        let missing = || ArrowError::IpcError("rows put aside in a temporary folder are not there".into());
        Ok(Rows::from_batch(batch.ok_or_else(missing)??))
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

    fn taken(spill: &mut Spill, until: i64) -> Vec<Vec<i64>> {
        let mut portions = Vec::new();
        let mut each = |rows: Rows| {
            portions.push((0..rows.len()).filter_map(|row| rows.time(row)).collect());
            Ok(())
        };
        spill.take(until, &mut each).expect("readable");
        portions
    }

    #[test]
    fn rows_come_back_up_to_a_time_each_once() {
        let (a, b) = (rows_at(&[1, 2, DAY - 1, DAY, 3 * DAY]), rows_at(&[5, DAY + 7]));
        let mut spill = Spill::open(a.batch().schema()).expect("a temporary folder");
        spill.put(&a).expect("room on disk");
        spill.put(&b).expect("room on disk");
        assert_eq!(spill.rows(), 7);
        assert_eq!(taken(&mut spill, 2), [[1, 2]]);
        assert_eq!(taken(&mut spill, 2), [[0; 0]; 0]);
        assert_eq!(spill.rows(), 5);
        let mut left = Vec::new();
        let mut each = |rows: Rows| {
            left.extend((0..rows.len()).filter_map(|row| rows.time(row)));
            Ok(())
        };
        spill.read(&mut each).expect("readable");
        assert_eq!(left, [DAY - 1, 5, DAY, DAY + 7, 3 * DAY]);
        assert_eq!(taken(&mut spill, DAY + 6), [vec![DAY - 1], vec![5], vec![DAY]]);
        spill.forget(3 * DAY + 1).expect("removable");
        assert_eq!(spill.rows(), 1);
        assert_eq!(taken(&mut spill, i64::MAX), [[3 * DAY]]);
        assert!(spill.is_empty());
    }

    #[test]
    fn rows_of_one_time_stay_together() {
        let times: Vec<i64> = (0..3 * CHUNK as i64).map(|row| row / 7).collect();
        let all = rows_at(&times);
        let mut spill = Spill::open(all.batch().schema()).expect("a temporary folder");
        spill.put(&all).expect("room on disk");
        let chunks = taken(&mut spill, i64::MAX);
        assert_eq!(chunks.len(), 3);
        assert!(chunks.windows(2).all(|two| two[0].last() < two[1].first()));
        assert_eq!(chunks.concat(), times);
    }

    #[test]
    fn slices_are_of_about_the_bytes_asked_for_and_lose_nothing() {
        let times: Vec<i64> = (0..10 * CHUNK as i64).collect();
        let all = rows_at(&times);
        let mut spill = Spill::open(all.batch().schema()).expect("a temporary folder");
        spill.put(&all).expect("room on disk");
        let chunk = spill.days[&0].chunks[0].bytes;
        let slices = spill.slices(3 * chunk);
        assert!((3..=5).contains(&slices.len()), "{slices:?}");
        let back: Vec<i64> = slices.iter().flat_map(|end| taken(&mut spill, *end).concat()).collect();
        assert_eq!(back, times);
        assert!(spill.is_empty());
        assert!(spill.slices(1).is_empty());
    }
}
