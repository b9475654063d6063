//! Patterns of row filters, compiled once.
//!
//! The engine's own operators compile a constant pattern anew for each batch, which costs more than
//! matching the few rows of a batch that are left to be matched.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, Like, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use regex::Regex;

use super::functions::constant_text;

/// The expression with each comparison with a constant pattern (`~`, `~*`, their negations, and a `LIKE`
/// that is more than a prefix, a suffix or a part) made a function that holds the compiled pattern. Means
/// the same; a pattern that does not compile is left to whoever says so.
pub fn compiled(expr: Expr) -> Result<Expr> {
    let compile = |node: Expr| {
        Ok(match matching(&node) {
            Some((text, pattern, negated)) => {
                let function = Arc::new(ScalarUDF::new_from_impl(Matches::new(pattern)));
                let call = Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![text.clone()]));
                Transformed::yes(if negated { Expr::Not(Box::new(call)) } else { call })
            }
            None => Transformed::no(node),
        })
    };
    expr.transform_up(compile).data()
}

/// Whether something in the expression is matched with a constant pattern.
pub fn is_matched(expr: &Expr) -> Result<bool> {
    expr.exists(|node| Ok(matching(node).is_some()))
}

/// What a comparison matches with which pattern, and whether it asks for the contrary.
fn matching(node: &Expr) -> Option<(&Expr, Regex, bool)> {
    match node {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (any_case, negated) = match op {
                Operator::RegexMatch => (false, false),
                Operator::RegexIMatch => (true, false),
                Operator::RegexNotMatch => (false, true),
                Operator::RegexNotIMatch => (true, true),
                _ => return None,
            };
            let case = if any_case { "(?i)" } else { "" };
            let pattern = Regex::new(&format!("{case}{}", constant_text(right)?)).ok()?;
            Some((left, pattern, negated))
        }
        Expr::Like(Like {
            negated,
            expr,
            pattern,
            escape_char: None | Some('\\'),
            case_insensitive: false,
        }) => Some((expr, Regex::new(&of_like(constant_text(pattern)?)?).ok()?, *negated)),
        _ => None,
    }
}

/// A `LIKE` pattern as a regular expression; `None` where the engine has a faster way.
fn of_like(pattern: &str) -> Option<String> {
    let inner = pattern.trim_start_matches('%').trim_end_matches('%');
    if !inner.contains(['%', '_']) || inner.contains('\\') {
        return None;
    }
    let mut text = String::from("^(?s)");
    let mut utf8 = [0; 4];
    for c in pattern.chars() {
        match c {
            '%' => text.push_str(".*"),
            '_' => text.push('.'),
            c => text.push_str(&regex::escape(c.encode_utf8(&mut utf8))),
        }
    }
    text.push('$');
    Some(text)
}

/// Whether a text matches a pattern; null for null.
#[derive(Debug)]
struct Matches {
    pattern: Regex,
    signature: Signature,
}

impl Matches {
    fn new(pattern: Regex) -> Self {
        Self { pattern, signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl PartialEq for Matches {
    fn eq(&self, other: &Self) -> bool {
        self.pattern.as_str() == other.pattern.as_str()
    }
}

impl Eq for Matches {}

impl Hash for Matches {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.pattern.as_str().hash(state);
    }
}

impl ScalarUDFImpl for Matches {
    fn name(&self) -> &str {
        "matches"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let Some(texts) = arrays.first() else { return Ok(ColumnarValue::Array(none(args.number_rows))) };
        let texts = match texts.data_type() {
            DataType::Utf8View => texts.clone(),
            _ => cast(texts, &DataType::Utf8View)?,
        };
        let matches = texts.as_string_view().iter().map(|text| Some(self.pattern.is_match(text?)));
        Ok(ColumnarValue::Array(Arc::new(matches.collect::<BooleanArray>())))
    }
}

fn none(rows: usize) -> ArrayRef {
    Arc::new(BooleanArray::new_null(rows))
}

#[cfg(test)]
mod tests {
    use arrow::array::StringViewArray;
    use arrow::datatypes::{Field, Schema};
    use arrow::record_batch::RecordBatch;
    use datafusion::common::DFSchema;
    use datafusion::prelude::SessionContext;

    use super::*;

    #[test]
    fn a_compiled_pattern_says_what_the_engine_says() {
        let context = SessionContext::new();
        let schema = Schema::new(vec![Field::new("t", DataType::Utf8View, true)]);
        let known = DFSchema::try_from(schema.clone()).unwrap();
        let texts = StringViewArray::from(vec![
            Some("system:node:a"),
            Some("SYSTEM:x"),
            Some(""),
            None,
            Some("a%b_c"),
            Some("first\nsecond line"),
            Some("ünï.*cödé"),
            Some("a-failed-open.x.webhook/1"),
        ]);
        let rows = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(texts)]).unwrap();
        let mut rewritten = 0;
        for sql in [
            "t ~ '^system:'",
            "t ~* '^system:(node|x)'",
            "t !~ 'b_c$'",
            "t !~* 'SECOND'",
            "t LIKE '%failed-open.%.webhook%'",
            "t LIKE 'f%s%line'",
            "t NOT LIKE 'a%b_c'",
            "t LIKE 'system:%'",
            "t LIKE 'ü_ï.*%é'",
            "t LIKE '%\\%%_c'",
            "t ILIKE 'S%T%a'",
            "lower(t) ~ 'system' AND NOT (t ~ 'x')",
            "CASE WHEN t IS NULL THEN 'none' ELSE t END ~ 'none'",
            "t ~ ''",
        ] {
            let expr = context.parse_sql_expr(sql, &known).unwrap();
            let other = compiled(expr.clone()).unwrap();
            rewritten += usize::from(other != expr);
            let value = |expr: Expr| {
                let physical = context.create_physical_expr(expr, &known).unwrap();
                physical.evaluate(&rows).unwrap().into_array(rows.num_rows()).unwrap()
            };
            assert_eq!(&value(expr), &value(other), "{sql}");
        }
        assert_eq!(rewritten, 11);
    }
}
