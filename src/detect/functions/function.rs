//! What every function shares: its arguments as rows, its types, its entry in the catalogue.
//!
//! A function is a [`Definition`]: types, documentation and one Rust function over a whole batch of
//! arguments. Wrong argument types are found when a rule is planned, with a message of ours.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, ListArray, ListBuilder, StringViewArray, StringViewBuilder,
    StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, TimestampMicrosecondType};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::FunctionDoc;
use crate::event::schema::list_item;

/// What a function takes at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parameter {
    Text,
    TextList,
}

/// A function without state.
#[derive(Debug)]
pub(super) struct Definition {
    pub doc: FunctionDoc,
    pub parameters: &'static [Parameter],
    pub returns: fn() -> DataType,
    /// Whether it reads a JSON body, so that the engine runs it for few rows only.
    pub expensive: bool,
    /// Refuses constants that can never be right; arguments that are no constants are `None`.
    pub check: fn(&[Option<&str>]) -> std::result::Result<(), String>,
    pub run: fn(&Args) -> Result<ArrayRef>,
}

/// For functions that take any text.
pub(super) fn unchecked(_: &[Option<&str>]) -> std::result::Result<(), String> {
    Ok(())
}

/// A [`Definition`] as DataFusion sees it.
#[derive(Debug)]
pub(super) struct Function {
    name: String,
    definition: &'static Definition,
    /// Whether its first argument is a pod's specification already.
    specified: bool,
    signature: Signature,
}

impl Function {
    pub fn new(definition: &'static Definition) -> Self {
        let signature = Signature::user_defined(Volatility::Immutable);
        Self { name: definition.doc.name.into(), definition, specified: false, signature }
    }

    /// The function over pods for those who have found the specification; no rule can call it.
    pub fn specified(definition: &'static Definition) -> Self {
        let name = format!("{} of the specification", definition.doc.name);
        Self { name, specified: true, ..Self::new(definition) }
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(coerced(types, self.definition.parameters))
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok((self.definition.returns)())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        check_types(&self.definition.doc, &args, self.definition.parameters)?;
        let constants: Vec<Option<&str>> =
            args.scalar_arguments.iter().map(|scalar| constant(*scalar)).collect();
        if let Err(message) = (self.definition.check)(&constants) {
            return plan_err!("{message}");
        }
        Ok(Arc::new(Field::new(self.name(), (self.definition.returns)(), true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let args = Args { specified: self.specified, ..Args::new(&args)? };
        args.finish((self.definition.run)(&args)?)
    }
}

/// The text of a constant argument.
pub(super) fn constant(scalar: Option<&ScalarValue>) -> Option<&str> {
    scalar?.try_as_str().flatten()
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null)
}

fn accepts(parameter: Parameter, data_type: &DataType) -> bool {
    match (parameter, data_type) {
        (_, DataType::Null) => true,
        (Parameter::Text, data_type) => is_text(data_type),
        (
            Parameter::TextList,
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _),
        ) => is_text(item.data_type()),
        (Parameter::TextList, _) => false,
    }
}

/// The argument types to cast to. What does not fit stays as it is: [`check_types`] speaks about it
/// in better words than DataFusion would.
pub(super) fn coerced(types: &[DataType], parameters: &[Parameter]) -> Vec<DataType> {
    let cast = |(data_type, parameter): (&DataType, Option<&Parameter>)| match parameter {
        Some(Parameter::Text) if is_text(data_type) => match data_type {
            // A constant stays one only without a cast around it; `Args` reads it as it is.
            DataType::Utf8 | DataType::LargeUtf8 => data_type.clone(),
            _ => DataType::Utf8View,
        },
        Some(Parameter::TextList) if accepts(Parameter::TextList, data_type) => text_list(),
        _ => data_type.clone(),
    };
    types.iter().zip((0..).map(|at| parameters.get(at))).map(cast).collect()
}

/// Refuses a wrong number of arguments and arguments of a wrong type.
pub(super) fn check_types(doc: &FunctionDoc, args: &ReturnFieldArgs, parameters: &[Parameter]) -> Result<()> {
    if args.arg_fields.len() != parameters.len() {
        let (given, wanted) = (args.arg_fields.len(), parameters.len());
        return plan_err!("{} takes {wanted} argument(s), not {given}; write {}", doc.name, doc.signature);
    }
    for (at, (field, parameter)) in args.arg_fields.iter().zip(parameters).enumerate() {
        if accepts(*parameter, field.data_type()) {
            continue;
        }
        let wanted = match parameter {
            Parameter::Text => "text",
            Parameter::TextList => "a list of text",
        };
        let advice = match field.data_type() {
            DataType::Union(..) => "; write ->> instead of -> to read JSON as text".to_string(),
            other => format!(", not {other}; write {}", doc.signature),
        };
        return plan_err!("argument {} of {} must be {wanted}{advice}", at + 1, doc.name);
    }
    Ok(())
}

pub(super) fn text() -> DataType {
    DataType::Utf8View
}

pub(super) fn boolean() -> DataType {
    DataType::Boolean
}

pub(super) fn text_list() -> DataType {
    DataType::List(Arc::new(list_item()))
}

/// A list of structs with these fields.
pub(super) fn struct_list(fields: Fields) -> DataType {
    DataType::List(Arc::new(Field::new("item", DataType::Struct(fields), true)))
}

/// The arguments of one call: one row for constants, or one per row of the batch.
pub(super) struct Args {
    columns: Vec<Column>,
    rows: usize,
    constant: bool,
    /// Whether the first is a pod's specification already.
    pub specified: bool,
}

struct Column {
    values: ArrayRef,
    constant: bool,
}

impl Args {
    pub fn new(args: &ScalarFunctionArgs) -> Result<Args> {
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let column = |arg: &ColumnarValue| {
            let (values, constant) = match arg {
                ColumnarValue::Array(values) => (Arc::clone(values), false),
                ColumnarValue::Scalar(scalar) => (scalar.to_array()?, true),
            };
            let values = match values.data_type() {
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Null => cast(&values, &DataType::Utf8View)?,
                _ => values,
            };
            Ok(Column { values, constant })
        };
        let columns = args.args.iter().map(column).collect::<Result<_>>()?;
        Ok(Args { columns, rows: if constant { 1 } else { args.number_rows }, constant, specified: false })
    }

    fn cell(&self, index: usize, row: usize) -> Option<(&Column, usize)> {
        let column = self.columns.get(index)?;
        let row = if column.constant { 0 } else { row };
        (row < column.values.len() && column.values.is_valid(row)).then_some((column, row))
    }

    /// A text argument; `None` for null.
    pub fn text(&self, index: usize, row: usize) -> Option<&str> {
        let (column, row) = self.cell(index, row)?;
        Some(column.values.as_string_view_opt()?.value(row))
    }

    /// A time argument, microseconds since the epoch; `None` for null and where there is no such argument.
    pub fn time(&self, index: usize, row: usize) -> Option<i64> {
        let (column, row) = self.cell(index, row)?;
        Some(column.values.as_primitive_opt::<TimestampMicrosecondType>()?.value(row))
    }

    /// The items of a text-list argument that are not null; `None` for a null list.
    pub fn list(&self, index: usize, row: usize) -> Option<Vec<String>> {
        let (column, row) = self.cell(index, row)?;
        let items = column.values.as_list_opt::<i32>()?.value(row);
        let items: &StringViewArray = items.as_string_view_opt()?;
        Some(items.iter().flatten().map(String::from).collect())
    }

    /// How many rows a result has.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// A text per row.
    pub fn texts<'a>(&'a self, value: impl Fn(usize) -> Option<Cow<'a, str>>) -> Result<ArrayRef> {
        let mut builder = StringViewBuilder::with_capacity(self.rows);
        (0..self.rows).for_each(|row| builder.append_option(value(row)));
        Ok(Arc::new(builder.finish()))
    }

    /// A list of texts per row.
    pub fn text_lists<'a>(&'a self, value: impl Fn(usize) -> Option<Vec<Cow<'a, str>>>) -> Result<ArrayRef> {
        let mut builder = ListBuilder::new(StringViewBuilder::new()).with_field(list_item());
        for row in 0..self.rows {
            match value(row) {
                Some(items) => {
                    items.iter().for_each(|item| builder.values().append_value(item));
                    builder.append(true);
                }
                None => builder.append(false),
            }
        }
        Ok(Arc::new(builder.finish()))
    }

    /// A truth value per row.
    pub fn bools(&self, mut value: impl FnMut(usize) -> Option<bool>) -> Result<ArrayRef> {
        Ok(Arc::new((0..self.rows).map(&mut value).collect::<BooleanArray>()))
    }

    /// The result for DataFusion: one value where every argument was a constant.
    pub fn finish(&self, result: ArrayRef) -> Result<ColumnarValue> {
        if result.len() != self.rows {
            return exec_err!("a function gave {} values for {} rows", result.len(), self.rows);
        }
        if self.constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    }
}

/// Puts columns of structs together as one list per row; a length of `None` is a null list.
pub(super) fn struct_lists(
    fields: Fields,
    lengths: &[Option<usize>],
    columns: Vec<ArrayRef>,
) -> Result<ArrayRef> {
    let structs = StructArray::try_new(fields, columns, None)?;
    let offsets = OffsetBuffer::from_lengths(lengths.iter().map(|length| length.unwrap_or(0)));
    let nulls = NullBuffer::from_iter(lengths.iter().map(Option::is_some));
    let item = Arc::new(Field::new("item", structs.data_type().clone(), true));
    Ok(Arc::new(ListArray::try_new(item, offsets, Arc::new(structs), Some(nulls))?))
}
