//! CSV as RFC 4180 has it. A text that a spreadsheet would take for a formula is led by an apostrophe:
//! user names and object names are chosen by others.

use std::borrow::Cow;
use std::io::{self, Write};

use serde_json::Value;

pub(super) fn header(out: &mut impl Write, names: &[String]) -> io::Result<()> {
    line(out, names.iter().map(|name| Cow::Borrowed(name.as_str())))
}

/// One line; nested values as JSON, null as nothing.
pub(super) fn record<'a>(out: &mut impl Write, values: impl Iterator<Item = &'a Value>) -> io::Result<()> {
    line(
        out,
        values.map(|value| {
            match value {
                Value::Null => Cow::Borrowed(""),
                Value::String(text) => Cow::Borrowed(text.as_str()),
                other => Cow::Owned(other.to_string()),
            }
            // A negative number is no formula.
            .into_cell(value.is_number())
        }),
    )
}

trait IntoCell<'a> {
    fn into_cell(self, number: bool) -> Cow<'a, str>;
}

impl<'a> IntoCell<'a> for Cow<'a, str> {
    fn into_cell(self, number: bool) -> Cow<'a, str> {
        if !number && self.starts_with(['=', '+', '-', '@', '\t', '\r']) {
            Cow::Owned(format!("'{self}"))
        } else {
            self
        }
    }
}

fn line<'a>(out: &mut impl Write, cells: impl Iterator<Item = Cow<'a, str>>) -> io::Result<()> {
    for (i, cell) in cells.enumerate() {
        if i > 0 {
            out.write_all(b",")?;
        }
        if cell.contains(['"', ',', '\n', '\r']) {
            write!(out, "\"{}\"", cell.replace('"', "\"\""))?;
        } else {
            out.write_all(cell.as_bytes())?;
        }
    }
    out.write_all(b"\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn quoting_and_formulas() {
        let values = [
            json!("a,\"b\"\n"),
            json!("=1+1"),
            json!("@x"),
            json!(-1),
            json!(null),
            json!(["-x"]),
            json!("\tx"),
        ];
        let mut out = Vec::new();
        record(&mut out, values.iter()).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "\"a,\"\"b\"\"\n\",'=1+1,'@x,-1,,\"[\"\"-x\"\"]\",'\tx\r\n");
    }
}
