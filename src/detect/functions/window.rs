//! `window_end()`: the time of the step a windowed rule is evaluated at.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::FunctionDoc;
use crate::event::schema::Kind;

pub(super) const DOC: FunctionDoc = FunctionDoc {
    name: "window_end",
    signature: "window_end()",
    returns: "timestamp",
    doc: "end of the window being evaluated",
};

#[derive(Debug)]
struct WindowEnd {
    micros: Arc<AtomicI64>,
    signature: Signature,
}

/// The function that reads `micros` (since the epoch) each time it is called.
pub(super) fn window_end(micros: Arc<AtomicI64>) -> ScalarUDF {
    // Volatile: the value changes between two runs of one plan, so it must not be folded into it.
    ScalarUDF::new_from_impl(WindowEnd { micros, signature: Signature::nullary(Volatility::Volatile) })
}

impl PartialEq for WindowEnd {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.micros, &other.micros)
    }
}

impl Eq for WindowEnd {}

impl Hash for WindowEnd {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.micros).hash(state);
    }
}

impl ScalarUDFImpl for WindowEnd {
    fn name(&self) -> &str {
        DOC.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(Kind::Time.data_type())
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let micros = self.micros.load(Ordering::Acquire);
        Ok(ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(Some(micros), Some("+00:00".into()))))
    }
}
