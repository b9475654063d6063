//! `listed('list', value)`: whether a value is in a list of the catalog.
//!
//! The list is named by a constant, so a name that does not exist is found when the rule is planned.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::function::{Args, Parameter, check_types, coerced, constant};
use super::{FunctionDoc, Lists};
use crate::rules::closest;

pub(super) const DOC: FunctionDoc = FunctionDoc {
    name: "listed",
    signature: "listed('list', value)",
    returns: "bool",
    doc: "value is in `lists/<list>.csv`: equal, matched by an entry with `*`, or (an address) inside an entry that is a CIDR. Never null",
};

const PARAMETERS: &[Parameter] = &[Parameter::Text, Parameter::Text];

#[derive(Debug)]
struct Listed {
    lists: Arc<Lists>,
    signature: Signature,
}

/// The function over these lists.
pub(super) fn listed(lists: Arc<Lists>) -> ScalarUDF {
    ScalarUDF::new_from_impl(Listed { lists, signature: Signature::user_defined(Volatility::Immutable) })
}

impl PartialEq for Listed {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.lists, &other.lists)
    }
}

impl Eq for Listed {}

impl Hash for Listed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.lists).hash(state);
    }
}

impl ScalarUDFImpl for Listed {
    fn name(&self) -> &str {
        DOC.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(coerced(types, PARAMETERS))
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        check_types(&DOC, &args, PARAMETERS)?;
        let Some(name) = args.scalar_arguments.first().and_then(|scalar| constant(*scalar)) else {
            return plan_err!(
                "argument 1 of listed must be the name of a list in quotes; write {}",
                DOC.signature
            );
        };
        if !self.lists.contains_key(name) {
            let advice = match closest(name, self.lists.keys().map(String::as_str)) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => format!("add lists/{name}.csv"),
            };
            return plan_err!("no list \"{name}\"; {advice}");
        }
        Ok(Arc::new(Field::new(DOC.name, DataType::Boolean, false)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let args = Args::new(&args)?;
        if args.rows() == 0 {
            return args.finish(args.bools(|_| None)?);
        }
        let name = args.text(0, 0).unwrap_or_default();
        let Some(list) = self.lists.get(name) else {
            return exec_err!("no list \"{name}\"");
        };
        args.finish(args.bools(|row| Some(args.text(1, row).is_some_and(|value| list.contains(value))))?)
    }
}
