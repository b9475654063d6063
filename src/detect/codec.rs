//! Bytes of what rules keep outside the process: numbers, texts, rows, and the frame around them.
//!
//! Not Arrow's own stream format: its reader asserts that offsets lie inside their buffers, so a damaged
//! file would end the process. Here every length is held against the bytes that are left before anything
//! is allocated, so that whatever the bytes are, reading them gives values or an error. Small portions
//! of rows also take a tenth of the bytes.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray, RecordBatch, StringArray, StringViewArray,
    TimestampMicrosecondArray, UInt64Array,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Int64Type, SchemaRef, TimeUnit, TimestampMicrosecondType, UInt64Type};
use arrow::error::ArrowError;
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use super::rows::Rows;
use crate::alert::Object;

/// Rises with every change of the form.
const VERSION: u8 = 1;

/// Times beyond this many microseconds (36,000 years) from the epoch are none, and sums of them overflow.
const FARTHEST: i64 = 1 << 60;

/// What is wrong with saved state.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    #[error(
        "reading saved rows of rules: form {0} is unknown; a newer aksentry wrote them, upgrade this one"
    )]
    Version(u8),
    #[error("reading saved rows of rules: they are damaged ({0}); remove them and let the rules start anew")]
    Damaged(&'static str),
    #[error("saving rows of rule {rule}: {source}")]
    Write { rule: String, source: ArrowError },
}

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    Journal = b'J' as isize,
    Snapshot = b'S' as isize,
}

/// Bytes being written.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub fn i64(&mut self, value: i64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// How many of something follow, or how long it is.
    pub fn count(&mut self, value: usize) {
        self.u64(value as u64);
    }

    pub fn text(&mut self, text: &str) {
        self.count(text.len());
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// A JSON value: what it is, then what it holds. Numbers keep their kind and every bit.
    pub fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.u8(b'n'),
            Value::Bool(value) => {
                self.u8(b'b');
                self.u8(u8::from(*value));
            }
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => {
                    self.u8(b'u');
                    self.u64(number);
                }
                (None, Some(number)) => {
                    self.u8(b'i');
                    self.i64(number);
                }
                (None, None) => {
                    self.u8(b'f');
                    self.u64(number.as_f64().unwrap_or_default().to_bits());
                }
            },
            Value::String(text) => {
                self.u8(b's');
                self.text(text);
            }
            Value::Array(items) => {
                self.u8(b'a');
                self.count(items.len());
                items.iter().for_each(|item| self.value(item));
            }
            Value::Object(object) => {
                self.u8(b'o');
                self.object(object);
            }
        }
    }

    /// Members of a JSON object, in their order.
    pub fn object(&mut self, object: &Object) {
        self.count(object.len());
        for (name, value) in object {
            self.text(name);
            self.value(value);
        }
    }

    /// What was written, without a frame.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// What `part` writes, with its length before it, so that a reader may pass over it.
    pub fn part<E>(&mut self, part: impl FnOnce(&mut Writer) -> Result<(), E>) -> Result<(), E> {
        let at = self.bytes.len();
        self.count(0);
        part(self)?;
        let length = (self.bytes.len() - at - 8) as u64;
        if let Some(place) = self.bytes.get_mut(at..at + 8) {
            place.copy_from_slice(&length.to_le_bytes());
        }
        Ok(())
    }

    /// Rows: how many, then column after column.
    pub fn rows(&mut self, rows: &Rows) -> Result<(), ArrowError> {
        self.count(rows.len());
        rows.batch().columns().iter().try_for_each(|column| self.column(column))
    }

    fn column(&mut self, array: &ArrayRef) -> Result<(), ArrowError> {
        match array.nulls().filter(|nulls| nulls.null_count() > 0) {
            Some(nulls) => {
                self.u8(1);
                self.bits(nulls.inner());
            }
            None => self.u8(0),
        }
        match array.data_type() {
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                let values = array.as_primitive::<TimestampMicrosecondType>().values();
                values.iter().for_each(|v| self.i64(*v));
            }
            DataType::Int64 => array.as_primitive::<Int64Type>().values().iter().for_each(|v| self.i64(*v)),
            DataType::UInt64 => array.as_primitive::<UInt64Type>().values().iter().for_each(|v| self.u64(*v)),
            DataType::Boolean => self.bits(array.as_boolean().values()),
            DataType::Utf8View => {
                let texts = array.as_string_view();
                let text = |row: usize| if texts.is_valid(row) { texts.value(row) } else { "" };
                self.lengths((0..texts.len()).map(|row| text(row).len()))?;
                (0..texts.len()).for_each(|row| self.bytes.extend_from_slice(text(row).as_bytes()));
            }
            DataType::List(_) => {
                let list: &ListArray = array.as_list();
                let offsets = list.value_offsets();
                self.lengths(offsets.windows(2).map(|pair| (pair[1] - pair[0]) as usize))?;
                let (first, last) = (offsets[0] as usize, offsets[list.len()] as usize);
                self.column(&list.values().slice(first, last - first))?;
            }
            other => return Err(ArrowError::NotYetImplemented(format!("a column of {other}"))),
        }
        Ok(())
    }

    fn bits(&mut self, bits: &BooleanBuffer) {
        let at = self.bytes.len();
        self.bytes.resize(at + bits.len().div_ceil(8), 0);
        for set in bits.set_indices() {
            self.bytes[at + set / 8] |= 1 << (set % 8);
        }
    }

    fn lengths(&mut self, lengths: impl Iterator<Item = usize> + Clone) -> Result<(), ArrowError> {
        if lengths.clone().sum::<usize>() > i32::MAX as usize {
            return Err(ArrowError::OffsetOverflowError(i32::MAX as usize));
        }
        lengths.for_each(|length| self.bytes.extend_from_slice(&(length as u32).to_le_bytes()));
        Ok(())
    }

    /// The bytes in a frame: form, content, length and checksum come first.
    pub fn frame(self, frame: Frame) -> Vec<u8> {
        let mut framed = Writer { bytes: Vec::with_capacity(self.bytes.len() + 18) };
        framed.u8(VERSION);
        framed.u8(frame as u8);
        framed.count(self.bytes.len());
        framed.u64(xxh3_64(&self.bytes));
        framed.bytes.extend_from_slice(&self.bytes);
        framed.bytes
    }
}

/// Bytes being read.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    left: &'a [u8],
    /// How deep in a JSON value.
    depth: usize,
}

/// How deep a JSON value may be; twice what a record may be.
const DEPTH: usize = 256;

type Read<T> = Result<T, SavedError>;

impl<'a> Reader<'a> {
    pub fn new(left: &'a [u8]) -> Self {
        Self { left, depth: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// What is in the next frame.
    pub fn frame(&mut self, frame: Frame) -> Read<Reader<'a>> {
        match self.u8()? {
            VERSION => {}
            other => return Err(SavedError::Version(other)),
        }
        if self.u8()? != frame as u8 {
            return Err(SavedError::Damaged("a journal where a snapshot should be, or the other way round"));
        }
        let (length, checksum) = (self.count(1)?, self.u64()?);
        let content = self.take(length)?;
        match xxh3_64(content) == checksum {
            true => Ok(Reader::new(content)),
            false => Err(SavedError::Damaged("the checksum differs")),
        }
    }

    fn take(&mut self, length: usize) -> Read<&'a [u8]> {
        let (taken, left) =
            self.left.split_at_checked(length).ok_or(SavedError::Damaged("they end too early"))?;
        self.left = left;
        Ok(taken)
    }

    fn eight(&mut self) -> Read<[u8; 8]> {
        let (taken, left) = self.left.split_first_chunk().ok_or(SavedError::Damaged("they end too early"))?;
        self.left = left;
        Ok(*taken)
    }

    pub fn u8(&mut self) -> Read<u8> {
        Ok(self.take(1)?.first().copied().unwrap_or_default())
    }

    pub fn u64(&mut self) -> Read<u64> {
        self.eight().map(u64::from_le_bytes)
    }

    pub fn i64(&mut self) -> Read<i64> {
        self.eight().map(i64::from_le_bytes)
    }

    /// A time in microseconds with which one can reckon, or `i64::MIN` for none.
    pub fn time(&mut self) -> Read<i64> {
        match self.i64()? {
            time if time == i64::MIN || is_near(time) => Ok(time),
            _ => Err(SavedError::Damaged("a time out of range")),
        }
    }

    /// How many of something follow, each of at least `size` bytes.
    pub fn count(&mut self, size: usize) -> Read<usize> {
        let count = usize::try_from(self.u64()?).unwrap_or(usize::MAX);
        match count.checked_mul(size) {
            Some(bytes) if bytes <= self.left.len() => Ok(count),
            _ => Err(SavedError::Damaged("a length beyond the end")),
        }
    }

    pub fn text(&mut self) -> Read<&'a str> {
        let length = self.count(1)?;
        std::str::from_utf8(self.take(length)?).map_err(|_| SavedError::Damaged("text that is not UTF-8"))
    }

    /// What [`Writer::value`] wrote.
    pub fn value(&mut self) -> Read<Value> {
        Ok(match self.u8()? {
            b'n' => Value::Null,
            b'b' => Value::Bool(self.u8()? != 0),
            b'u' => self.u64()?.into(),
            b'i' => self.i64()?.into(),
            b'f' => f64::from_bits(self.u64()?).into(),
            b's' => self.text()?.into(),
            b'a' => {
                let items = self.count(1)?;
                Value::Array(self.nested(|from| (0..items).map(|_| from.value()).collect())?)
            }
            b'o' => Value::Object(self.nested(Reader::object)?),
            _ => return Err(SavedError::Damaged("a value of an unknown kind")),
        })
    }

    /// What [`Writer::object`] wrote.
    pub fn object(&mut self) -> Read<Object> {
        (0..self.count(9)?).map(|_| Ok((self.text()?.to_string(), self.value()?))).collect()
    }

    /// Goes one level down; damaged bytes must not go down without end.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        if self.depth == DEPTH {
            return Err(SavedError::Damaged("a value that is nested too deep"));
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    /// What [`Writer::part`] wrote.
    pub fn part(&mut self) -> Read<Reader<'a>> {
        let length = self.count(1)?;
        self.take(length).map(Reader::new)
    }

    /// Rows of that schema, each with a time.
    pub fn rows(&mut self, schema: &SchemaRef) -> Read<Rows> {
        // Each row has at least its identity.
        let rows = self.count(8)?;
        let columns = schema.fields().iter().map(|field| self.column(field.data_type(), rows));
        let columns = columns.collect::<Read<Vec<ArrayRef>>>()?;
        let batch = RecordBatch::try_new(schema.clone(), columns)
            .map_err(|_| SavedError::Damaged("columns that are not the rule's"))?;
        let rows = Rows::from_batch(batch);
        match (0..rows.len()).all(|row| rows.time(row).is_some_and(is_near)) {
            true => Ok(rows),
            false => Err(SavedError::Damaged("a row without a time that can be")),
        }
    }

    fn column(&mut self, kind: &DataType, rows: usize) -> Read<ArrayRef> {
        let nulls = match self.u8()? {
            0 => None,
            _ => Some(NullBuffer::new(self.bits(rows)?)),
        };
        Ok(match kind {
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                let times = TimestampMicrosecondArray::new(self.numbers(rows)?.into(), nulls);
                Arc::new(times.with_timezone_opt(zone.clone()))
            }
            DataType::Int64 => Arc::new(Int64Array::new(self.numbers(rows)?.into(), nulls)),
            DataType::UInt64 => {
                let numbers: Vec<u64> = self.numbers(rows)?.into_iter().map(|n| n as u64).collect();
                Arc::new(UInt64Array::new(numbers.into(), nulls))
            }
            DataType::Boolean => Arc::new(BooleanArray::new(self.bits(rows)?, nulls)),
            DataType::Utf8View => {
                let (offsets, total) = self.offsets(rows)?;
                let texts = StringArray::try_new(offsets, Buffer::from(self.take(total)?), nulls)
                    .map_err(|_| SavedError::Damaged("text that is not UTF-8"))?;
                Arc::new(StringViewArray::from(&texts))
            }
            DataType::List(item) => {
                let (offsets, total) = self.offsets(rows)?;
                let values = self.column(item.data_type(), total)?;
                let list = ListArray::try_new(item.clone(), offsets, values, nulls);
                Arc::new(list.map_err(|_| SavedError::Damaged("a list that is none"))?)
            }
            _ => return Err(SavedError::Damaged("a column of an unknown kind")),
        })
    }

    fn bits(&mut self, count: usize) -> Read<BooleanBuffer> {
        Ok(BooleanBuffer::new(Buffer::from(self.take(count.div_ceil(8))?), 0, count))
    }

    fn numbers(&mut self, count: usize) -> Read<Vec<i64>> {
        let bytes = self.take(count.saturating_mul(8))?;
        Ok(bytes.as_chunks::<8>().0.iter().map(|chunk| i64::from_le_bytes(*chunk)).collect())
    }

    /// Offsets made of lengths, and where they end.
    fn offsets(&mut self, count: usize) -> Read<(OffsetBuffer<i32>, usize)> {
        let bytes = self.take(count.saturating_mul(4))?;
        let lengths: Vec<usize> =
            bytes.as_chunks::<4>().0.iter().map(|chunk| u32::from_le_bytes(*chunk) as usize).collect();
        let total: u64 = lengths.iter().map(|length| *length as u64).sum();
        match usize::try_from(total) {
            // Each text has its bytes, each item of a list its length, and all of it is still to come.
            Ok(total) if total <= self.left.len() && i32::try_from(total).is_ok() => {
                Ok((OffsetBuffer::from_lengths(lengths), total))
            }
            _ => Err(SavedError::Damaged("a length beyond the end")),
        }
    }
}

fn is_near(time: i64) -> bool {
    (-FARTHEST..=FARTHEST).contains(&time)
}

#[cfg(test)]
mod tests {
    use arrow::array::{ListBuilder, StringViewBuilder};
    use arrow::datatypes::Schema;
    use proptest::prelude::*;

    use super::*;
    use crate::detect::rows;
    use crate::event::schema::{self, Kind};

    type Value = (Option<i64>, bool, Option<String>, Option<Vec<Option<String>>>);

    /// A column of each kind, and the engine's.
    fn columns() -> SchemaRef {
        let first = |kind| schema::AUDIT.iter().position(|c| c.kind == kind).expect("a column of that kind");
        let chosen = [Kind::Time, Kind::Int, Kind::Bool, Kind::Text, Kind::TextList].map(first);
        let scan: Schema = schema::audit().project(&chosen).expect("columns of the table");
        rows::schema(&Arc::new(scan))
    }

    fn rows_of(values: &[Value]) -> Rows {
        let times: Vec<i64> = (0..values.len() as i64).collect();
        let time = Arc::new(TimestampMicrosecondArray::from(times).with_timezone("+00:00"));
        let mut lists = ListBuilder::new(StringViewBuilder::new()).with_field(schema::list_item());
        for value in values {
            lists.append_option(value.3.clone());
        }
        let text: ArrayRef = Arc::new(values.iter().map(|v| v.2.as_deref()).collect::<StringViewArray>());
        let batch = RecordBatch::try_new(
            columns(),
            vec![
                time.clone(),
                Arc::new(values.iter().map(|v| v.0).collect::<Int64Array>()),
                Arc::new(BooleanArray::from_iter(values.iter().map(|v| Some(v.1)))),
                text.clone(),
                Arc::new(lists.finish()),
                time,
                Arc::new(UInt64Array::from_iter_values((0..values.len() as u64).map(|n| u64::MAX - n))),
                text.clone(),
                text.clone(),
                text,
            ],
        );
        Rows::from_batch(batch.expect("columns of the schema"))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn rows_come_back_as_they_were(values: Vec<Value>, from: prop::sample::Index) {
            let all = rows_of(&values);
            let part = all.slice(from.index(values.len() + 1), all.len());
            for rows in [all, part] {
                let mut to = Writer::default();
                to.rows(&rows).expect("columns of these kinds");
                let mut from = Reader::new(&to.bytes);
                let back = from.rows(&columns()).expect("what was written");
                prop_assert_eq!(back.batch(), rows.batch());
                prop_assert!(from.is_empty());
            }
        }

        /// Behind a checksum that is right, too.
        #[test]
        fn no_bytes_are_too_strange(values: Vec<Value>, changes: Vec<(prop::sample::Index, u8)>, noise: Vec<u8>) {
            let mut to = Writer::default();
            to.rows(&rows_of(&values)).expect("columns of these kinds");
            for (at, value) in changes {
                let at = at.index(to.bytes.len());
                to.bytes[at] = value;
            }
            for bytes in [&to.bytes, &noise] {
                if let Ok(rows) = Reader::new(bytes).rows(&columns()) {
                    prop_assert!(rows.len() * 8 <= bytes.len());
                }
            }
        }
    }
}
