//! `listed('list', value)`: whether a value is in a list of the catalog; `list_value('list', key, 'column')`:
//! what the list says of it.
//!
//! List and column are named by constants, so a name that does not exist is found when the rule is
//! planned. A third, or fourth, argument is the time at which entries that expire are asked; where the
//! query gives none, [`super::super::expiry`] puts the row's own there.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::function::{Args, Parameter, boolean, check_types, coerced, constant, text};
use super::{FunctionDoc, Lists};
use crate::rules::closest;

pub const LISTED: FunctionDoc = FunctionDoc {
    name: "listed",
    signature: "listed('list', value)",
    returns: "bool",
    doc: "value is in `lists/<list>.csv`: equal, matched by an entry with `*`, or (an address) inside an entry that is a CIDR. Entries that have expired at the row's `time`, or at a time given as third argument, do not count. Never null",
};

pub(super) const LIST_VALUE: FunctionDoc = FunctionDoc {
    name: "list_value",
    signature: "list_value('list', key, 'column')",
    returns: "text",
    doc: "what `lists/<list>.csv` has in a column for the entry that fits the key: the one equal to it, else the smallest CIDR around it, else the first with `*` that matches; null where no entry fits or its cell is empty. Expired entries do not count, as with `listed`",
};

#[derive(Debug)]
struct Lookup {
    doc: &'static FunctionDoc,
    parameters: &'static [Parameter],
    lists: Arc<Lists>,
    signature: Signature,
}

/// The functions over these lists.
pub(super) fn all(lists: &Arc<Lists>) -> [ScalarUDF; 2] {
    let make = |doc, parameters| {
        let signature = Signature::user_defined(Volatility::Immutable);
        ScalarUDF::new_from_impl(Lookup { doc, parameters, lists: lists.clone(), signature })
    };
    [
        make(&LISTED, &[Parameter::Text, Parameter::Text]),
        make(&LIST_VALUE, &[Parameter::Text, Parameter::Text, Parameter::Text]),
    ]
}

/// How many arguments a function of lists takes without a time; `None` for every other function.
pub fn arguments(name: &str) -> Option<usize> {
    match name {
        "listed" => Some(2),
        "list_value" => Some(3),
        _ => None,
    }
}

impl PartialEq for Lookup {
    fn eq(&self, other: &Self) -> bool {
        self.doc.name == other.doc.name && Arc::ptr_eq(&self.lists, &other.lists)
    }
}

impl Eq for Lookup {}

impl Hash for Lookup {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.doc.name.hash(state);
        Arc::as_ptr(&self.lists).hash(state);
    }
}

impl Lookup {
    fn finds_columns(&self) -> bool {
        self.doc.name == LIST_VALUE.name
    }
}

impl ScalarUDFImpl for Lookup {
    fn name(&self) -> &str {
        self.doc.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(coerced(types, self.parameters))
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(if self.finds_columns() { text() } else { boolean() })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let name = self.doc.name;
        let (fields, constants) = match args.arg_fields.split_at_checked(self.parameters.len()) {
            Some((fields, [time])) => {
                if !matches!(time.data_type(), DataType::Timestamp(..)) {
                    let at = self.parameters.len() + 1;
                    return plan_err!("argument {at} of {name} must be a time, such as the column time");
                }
                let constants = args.scalar_arguments.get(..fields.len()).unwrap_or_default();
                (fields, constants)
            }
            _ => (args.arg_fields, args.scalar_arguments),
        };
        let asked = ReturnFieldArgs { arg_fields: fields, scalar_arguments: constants };
        check_types(self.doc, &asked, self.parameters)?;
        let constant = |at: usize| constants.get(at).and_then(|scalar| constant(*scalar));
        let Some(list) = constant(0) else {
            let wanted = self.doc.signature;
            return plan_err!("argument 1 of {name} must be the name of a list in quotes; write {wanted}");
        };
        let Some(found) = self.lists.get(list) else {
            let advice = match closest(list, self.lists.keys().map(String::as_str)) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => format!("add lists/{list}.csv"),
            };
            return plan_err!("no list \"{list}\"; {advice}");
        };
        if !self.finds_columns() {
            return Ok(Arc::new(Field::new(name, boolean(), false)));
        }
        let Some(column) = constant(2) else {
            let wanted = self.doc.signature;
            return plan_err!("argument 3 of {name} must be the name of a column in quotes; write {wanted}");
        };
        match found.column(column) {
            Ok(_) => Ok(Arc::new(Field::new(name, text(), true))),
            Err(message) => plan_err!("{message}"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let args = Args::new(&args)?;
        let name = args.text(0, 0).unwrap_or_default();
        let Some(list) = self.lists.get(name) else {
            // Without rows there is no name either.
            if args.rows() == 0 {
                return match self.finds_columns() {
                    true => args.finish(args.texts(|_| None)?),
                    false => args.finish(args.bools(|_| None)?),
                };
            }
            return exec_err!("no list \"{name}\"");
        };
        let find = |row: usize| list.find(args.text(1, row)?, args.time(self.parameters.len(), row));
        if !self.finds_columns() {
            return args.finish(args.bools(|row| Some(find(row).is_some()))?);
        }
        let column = match list.column(args.text(2, 0).unwrap_or_default()) {
            Ok(column) => column,
            Err(message) => return exec_err!("{message}"),
        };
        args.finish(args.texts(|row| Some(column.of(find(row)?)?.into()))?)
    }
}
