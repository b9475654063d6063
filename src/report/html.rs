//! Text of others inside HTML. Everything that came from input, from a file name or from the command
//! line goes through [`text`] or [`json`]; nothing else writes it.

use std::fmt::{self, Display, Write as _};

use sha2::{Digest, Sha256};

use crate::event::value::rfc3339;

/// Text between tags or in a quoted attribute. Characters that do not show, or that turn the direction
/// of what follows, are written as their number: a name must look like what it is.
pub fn text(text: &str) -> Text<'_> {
    Text(text)
}

/// See [`text`].
pub struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '`' => f.write_str("&#96;")?,
                '\n' | '\t' => f.write_char(c)?,
                c if is_hidden(c) => write!(f, "{}", c.escape_unicode())?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// JSON inside a `<script>` element: nothing in it can end the element or begin a comment.
pub fn json(value: &serde_json::Value) -> String {
    value
        .to_string()
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

/// A text as the id of an element, or behind `#`: letters, digits and dashes as they are.
pub fn id(text: &str) -> String {
    let mut id = String::new();
    for byte in text.bytes() {
        match byte {
            b'-' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => id.push(char::from(byte)),
            other => id += &format!("_{other:02x}"),
        }
    }
    id
}

/// A word of a shell's command line.
pub fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    // Inside $'…' every character can be written so that it shows.
    if word.chars().any(is_hidden) {
        let mut quoted = String::from("$'");
        for c in word.chars() {
            match c {
                '\'' | '\\' => quoted.extend(['\\', c]),
                c if is_hidden(c) && (c as u32) < 0x80 => quoted += &format!("\\x{:02x}", c as u32),
                c if is_hidden(c) => quoted += &format!("\\U{:08x}", c as u32),
                c => quoted.push(c),
            }
        }
        return quoted + "'";
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// A time to read, to the second, in UTC.
pub fn time(micros: i64) -> String {
    rfc3339(micros.div_euclid(1_000_000).saturating_mul(1_000_000))
        .map_or_else(|| format!("{micros} µs"), |text| short(&text))
}

/// An RFC 3339 time to the second without its `T` and `Z`.
pub fn short(text: &str) -> String {
    text.get(..19).unwrap_or(text).replace('T', " ")
}

/// What a content security policy calls a script or style by.
pub fn policy_hash(content: &str) -> String {
    use base64::Engine as _;
    let hash = Sha256::digest(content.as_bytes());
    format!("'sha256-{}'", base64::engine::general_purpose::STANDARD.encode(hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_place() {
        let hostile = "</script><img src=x onerror=\"alert('1')\">\u{202e}&`\u{0}";
        let shown = text(hostile).to_string();
        assert!(!shown.contains(['<', '>', '"', '\'', '\u{202e}', '\u{0}', '`']), "{shown}");
        assert!(shown.contains("\\u{202e}"), "{shown}");
        let embedded = json(&serde_json::json!([hostile, "<!--", "\u{2028}"]));
        assert!(!embedded.contains(['<', '>', '&', '\u{2028}']), "{embedded}");
        let back: Vec<String> = serde_json::from_str(&embedded).unwrap();
        assert_eq!(back.first().map(String::as_str), Some(hostile));
        assert_eq!(id("a b\"é"), "a_20b_22_c3_a9");
    }

    #[test]
    fn commands_can_be_copied() {
        assert_eq!(shell("samples/hub"), "samples/hub");
        assert_eq!(shell("a b"), "'a b'");
        assert_eq!(shell("it's $(x)"), "'it'\\''s $(x)'");
        assert_eq!(shell(""), "''");
        assert_eq!(shell("a\u{1b}\n'b\u{202e}"), "$'a\\x1b\\x0a\\'b\\U0000202e'");
        assert_eq!(time(1_500_000), "1970-01-01 00:00:01");
    }
}
