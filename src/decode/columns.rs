//! Spans and values to Arrow arrays, without copying a string.
//!
//! Owns the builders of both tables and gives their buffers back for reuse. The order of columns is
//! that of `event::schema`; what a value means is decided by who fills [`AuditRow`] and [`ControlRow`].

use std::sync::Arc;

use arrow::array::builder::{BooleanBufferBuilder, NullBufferBuilder, make_view};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray, StringViewArray, TimestampMicrosecondArray,
};
use arrow::buffer::{BooleanBuffer, Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use super::block::Span;
use crate::event::schema;

/// Buffers of finished columns, to be filled again.
#[derive(Debug, Default)]
pub struct Spare {
    views: Vec<Vec<u128>>,
    numbers: Vec<Vec<i64>>,
}

/// More spare buffers than two tables can use are not kept.
const MAX_SPARE: usize = 64;

impl Spare {
    /// Takes the buffers of a batch nobody else holds.
    pub fn reclaim(&mut self, batch: RecordBatch) {
        let (_, columns, _) = batch.into_parts();
        for column in columns {
            match column.data_type() {
                DataType::Utf8View => {
                    let Some(array) = column.as_string_view_opt().cloned() else { continue };
                    drop(column);
                    let (views, _, _) = array.into_parts();
                    if let Ok(vec) = views.into_inner().into_vec::<u128>()
                        && self.views.len() < MAX_SPARE
                    {
                        self.views.push(vec);
                    }
                }
                DataType::Timestamp(..) | DataType::Int64 => {
                    let data = column.to_data();
                    drop(column);
                    let buffer = data.buffers().first().cloned();
                    drop(data);
                    if let Some(Ok(vec)) = buffer.map(Buffer::into_vec::<i64>)
                        && self.numbers.len() < MAX_SPARE
                    {
                        self.numbers.push(vec);
                    }
                }
                _ => {}
            }
        }
    }

    fn views(&mut self) -> Vec<u128> {
        let mut vec = self.views.pop().unwrap_or_default();
        vec.clear();
        vec
    }

    fn numbers(&mut self) -> Vec<i64> {
        let mut vec = self.numbers.pop().unwrap_or_default();
        vec.clear();
        vec
    }
}

/// A `Utf8View` column.
#[derive(Debug)]
struct Text {
    views: Vec<u128>,
    nulls: NullBufferBuilder,
}

impl Default for Text {
    fn default() -> Self {
        Self { views: Vec::new(), nulls: NullBufferBuilder::new(0) }
    }
}

impl Text {
    #[inline]
    fn push(&mut self, block: &[u8], span: Option<Span>) {
        match span.and_then(|s| Some((block.get(s.range())?, s.start))) {
            Some((bytes, start)) => {
                self.views.push(make_view(bytes, 0, start));
                self.nulls.append_non_null();
            }
            None => {
                self.views.push(0);
                self.nulls.append_null();
            }
        }
    }

    fn finish(&mut self, block: &Arc<[Buffer]>, spare: &mut Spare) -> Result<ArrayRef, ArrowError> {
        let views = ScalarBuffer::from(std::mem::replace(&mut self.views, spare.views()));
        Ok(Arc::new(StringViewArray::try_new(views, block.clone(), self.nulls.finish())?))
    }
}

/// A `List<Utf8View>` column.
#[derive(Debug)]
struct TextList {
    items: Text,
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl Default for TextList {
    fn default() -> Self {
        Self { items: Text::default(), offsets: vec![0], nulls: NullBufferBuilder::new(0) }
    }
}

impl TextList {
    fn push(&mut self, block: &[u8], items: Option<&[Span]>) {
        for item in items.unwrap_or_default() {
            self.items.push(block, Some(*item));
        }
        self.offsets.push(i32::try_from(self.items.views.len()).unwrap_or(i32::MAX));
        self.nulls.append(items.is_some());
    }

    fn finish(&mut self, block: &Arc<[Buffer]>, spare: &mut Spare) -> Result<ArrayRef, ArrowError> {
        let offsets = OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(&mut self.offsets, vec![0])));
        let items = self.items.finish(block, spare)?;
        let nulls = self.nulls.finish();
        Ok(Arc::new(ListArray::try_new(Arc::new(schema::list_item()), offsets, items, nulls)?))
    }
}

/// A column of 64-bit numbers: times and integers.
#[derive(Debug)]
struct Number {
    values: Vec<i64>,
    nulls: NullBufferBuilder,
}

impl Default for Number {
    fn default() -> Self {
        Self { values: Vec::new(), nulls: NullBufferBuilder::new(0) }
    }
}

impl Number {
    #[inline]
    fn push(&mut self, value: Option<i64>) {
        self.values.push(value.unwrap_or_default());
        self.nulls.append(value.is_some());
    }

    fn take(&mut self, spare: &mut Spare) -> ScalarBuffer<i64> {
        ScalarBuffer::from(std::mem::replace(&mut self.values, spare.numbers()))
    }

    fn finish_time(&mut self, spare: &mut Spare) -> Result<ArrayRef, ArrowError> {
        let values = self.take(spare);
        let array = TimestampMicrosecondArray::try_new(values, self.nulls.finish())?;
        Ok(Arc::new(array.with_timezone("+00:00")))
    }

    fn finish_int(&mut self, spare: &mut Spare) -> Result<ArrayRef, ArrowError> {
        let values = self.take(spare);
        Ok(Arc::new(Int64Array::try_new(values, self.nulls.finish())?))
    }
}

/// A column of booleans, never null.
#[derive(Debug)]
struct Flag(BooleanBufferBuilder);

impl Default for Flag {
    fn default() -> Self {
        Self(BooleanBufferBuilder::new(0))
    }
}

impl Flag {
    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let values: BooleanBuffer = self.0.finish();
        Ok(Arc::new(BooleanArray::new(values, None)))
    }
}

/// Expands to the row struct, its builders and their assembly, so that the three cannot disagree.
macro_rules! table {
    ($row:ident, $rows:ident, $schema:path, $($name:ident : $kind:ident),+ $(,)?) => {
        /// One row; strings are places in the block.
        #[derive(Debug, Default, Clone)]
        pub struct $row { $(pub $name: table!(@value $kind)),+ }

        /// The builders of the table.
        #[derive(Debug, Default)]
        pub struct $rows { $($name: table!(@builder $kind)),+ }

        impl $rows {
            /// Appends a row whose spans lie in `block`.
            pub fn push(&mut self, block: &[u8], row: &$row) {
                $(table!(@push $kind, self.$name, block, row.$name);)+
            }

            /// Ends the batch: the rows as a table over `block`. The builders are empty afterwards.
            pub fn finish(&mut self, block: &Buffer, spare: &mut Spare) -> Result<RecordBatch, ArrowError> {
                let block: Arc<[Buffer]> = Arc::from([block.clone()]);
                let columns = [$(table!(@finish $kind, self.$name, block, spare)),+];
                RecordBatch::try_new($schema(), columns.into_iter().collect::<Result<_, _>>()?)
            }
        }
    };
    (@value time) => { Option<i64> };
    (@value int) => { Option<i64> };
    (@value text) => { Option<Span> };
    (@value list) => { Option<Vec<Span>> };
    (@value flag) => { bool };
    (@builder time) => { Number };
    (@builder int) => { Number };
    (@builder text) => { Text };
    (@builder list) => { TextList };
    (@builder flag) => { Flag };
    (@push time, $b:expr, $block:ident, $v:expr) => { $b.push($v) };
    (@push int, $b:expr, $block:ident, $v:expr) => { $b.push($v) };
    (@push text, $b:expr, $block:ident, $v:expr) => { $b.push($block, $v) };
    (@push list, $b:expr, $block:ident, $v:expr) => { $b.push($block, $v.as_deref()) };
    (@push flag, $b:expr, $block:ident, $v:expr) => { $b.0.append($v) };
    (@finish time, $b:expr, $block:ident, $spare:ident) => { $b.finish_time($spare) };
    (@finish int, $b:expr, $block:ident, $spare:ident) => { $b.finish_int($spare) };
    (@finish text, $b:expr, $block:ident, $spare:ident) => { $b.finish(&$block, $spare) };
    (@finish list, $b:expr, $block:ident, $spare:ident) => { $b.finish(&$block, $spare) };
    (@finish flag, $b:expr, $block:ident, $spare:ident) => { $b.finish() };
}

table! {
    AuditRow, AuditRows, schema::audit,
    time: time,
    cluster: text,
    category: text,
    record_time: time,
    audit_id: text,
    level: text,
    stage: text,
    verb: text,
    request_uri: text,
    username: text,
    user_uid: text,
    groups: list,
    user_extra: text,
    principal_class: text,
    impersonated_username: text,
    impersonated_groups: list,
    source_ips: list,
    client_ip: text,
    user_agent: text,
    api_group: text,
    api_version: text,
    resource: text,
    subresource: text,
    namespace: text,
    name: text,
    object_uid: text,
    status_code: int,
    status_reason: text,
    status_message: text,
    request_object: text,
    response_object: text,
    object: text,
    body_skipped: flag,
    annotations: text,
    decision: text,
    decision_reason: text,
    received_time: time,
    truncated: flag,
    pod: text,
}

table! {
    ControlRow, ControlRows, schema::control_plane,
    time: time,
    cluster: text,
    category: text,
    record_time: time,
    severity: text,
    component: text,
    message: text,
    source_file: text,
    source_line: int,
    thread: int,
    pod: text,
    stream: text,
    raw: text,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builders_follow_the_schema_and_give_their_buffers_back() {
        let block = Buffer::from_vec(b"a string that does not fit into a view".to_vec());
        let mut spare = Spare::default();
        let mut rows = AuditRows::default();
        let span = Span::new(0..block.len());
        let row = AuditRow {
            verb: span,
            groups: Some(vec![Span { start: 0, end: 8 }]),
            status_code: Some(200),
            truncated: true,
            ..AuditRow::default()
        };
        for _ in 0..2 {
            rows.push(&block, &row);
            rows.push(&block, &AuditRow::default());
            let batch = rows.finish(&block, &mut spare).expect("the columns fit the schema");
            assert_eq!(batch.num_rows(), 2);
            let verb = batch.column_by_name("verb").and_then(|c| c.as_string_view_opt()).expect("verb");
            assert_eq!(verb.value(0), "a string that does not fit into a view");
            assert!(verb.is_null(1));
            let groups = batch.column_by_name("groups").expect("groups");
            assert!(groups.is_valid(0) && groups.is_null(1));
            spare.reclaim(batch);
        }
        assert!(spare.views.iter().any(|v| v.capacity() >= 2), "a views buffer came back");
        let block = block.into_vec::<u8>();
        assert!(block.is_ok(), "nothing holds the block any more");
    }
}
