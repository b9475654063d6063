//! Reading JSON text in place, also when it is cut.
//!
//! [`Cursor`] walks bytes and says where it had to stop: [`Stop::Cut`] when the text ended too early,
//! [`Stop::Bad`] at a byte that cannot stand there. It checks structure, not every rule of the
//! grammar: raw control characters in strings and odd numbers pass, because other people's logs have
//! them. [`Node`] is a value inside text whose structure is known to be sound (a body column); asking
//! it for what it is not gives `None`.

use std::borrow::Cow;
use std::ops::Range;

pub use super::escape::unescape;
use super::escape::{first_quote, is_surrogate_pair, quote_or_backslash};

/// Why a [`Cursor`] could not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The text ended inside a value.
    Cut,
    /// The byte at this offset cannot stand there.
    Bad(usize),
}

/// Nesting beyond this is refused as [`Stop::Bad`]; the API server's own limit is far lower.
const MAX_DEPTH: usize = 512;

/// A string's bytes between its quotes, still escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    pub range: Range<usize>,
    /// Whether there is a backslash inside.
    pub escaped: bool,
}

/// A position in JSON text.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a> {
    pub bytes: &'a [u8],
    pub pos: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, pos: 0 }
    }

    /// The next byte that is not white space, not consumed.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        while let Some(&byte) = self.bytes.get(self.pos) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.pos += 1;
        }
        None
    }

    /// Consumes `byte` after white space.
    #[inline]
    pub fn expect(&mut self, byte: u8) -> Result<(), Stop> {
        match self.peek() {
            Some(b) if b == byte => {
                self.pos += 1;
                Ok(())
            }
            Some(_) => Err(Stop::Bad(self.pos)),
            None => Err(Stop::Cut),
        }
    }

    /// Consumes a string.
    #[inline]
    pub fn string(&mut self) -> Result<Text, Stop> {
        self.expect(b'"')?;
        let start = self.pos;
        let mut escaped = false;
        loop {
            match quote_or_backslash(self.bytes, self.pos) {
                Some((end, b'"')) => {
                    self.pos = end + 1;
                    return Ok(Text { range: start..end, escaped });
                }
                Some((at, _)) => {
                    escaped = true;
                    self.pos = at + 2;
                }
                None => {
                    self.pos = self.bytes.len();
                    return Err(Stop::Cut);
                }
            }
        }
    }

    /// Consumes a string and appends its unescaped form to `out`, in one pass: what [`unescape`] appends
    /// for it, unless there is a broken `\\u`. Of a cut string the part before the cut is appended.
    pub fn string_into(&mut self, out: &mut Vec<u8>) -> Result<(), Stop> {
        self.expect(b'"')?;
        loop {
            // Copies a chunk of constant length and takes back what was too much of it.
            let found = match self.bytes.get(self.pos..).and_then(|rest| rest.first_chunk::<16>()) {
                Some(chunk) => {
                    out.extend_from_slice(chunk);
                    let length = first_quote(chunk);
                    out.truncate(out.len() - 16 + length);
                    self.pos += length;
                    if length == 16 {
                        continue;
                    }
                    self.bytes.get(self.pos)
                }
                None => {
                    let next = self.bytes.get(self.pos);
                    if let Some(byte) = next.filter(|b| !matches!(b, b'"' | b'\\')) {
                        out.push(*byte);
                        self.pos += 1;
                        continue;
                    }
                    next
                }
            };
            match found {
                Some(b'"') => {
                    self.pos += 1;
                    return Ok(());
                }
                Some(_) => self.escape_into(out),
                None => return Err(Stop::Cut),
            }
        }
    }

    /// Consumes the escape at the position.
    fn escape_into(&mut self, out: &mut Vec<u8>) {
        let rest = self.bytes.get(self.pos..).unwrap_or_default();
        let length = match rest.get(1) {
            Some(byte @ (b'"' | b'\\' | b'/')) => {
                out.push(*byte);
                self.pos += 2;
                return;
            }
            Some(b'u') => {
                let digits = rest.get(2..).unwrap_or_default();
                match digits.iter().take(4).position(|b| matches!(b, b'"' | b'\\')) {
                    Some(end) if digits.get(end) == Some(&b'"') => 2 + end,
                    Some(_) => {
                        out.push(b'u');
                        self.pos += 2;
                        return;
                    }
                    None if is_surrogate_pair(digits) => 12,
                    None => 6,
                }
            }
            _ => 2,
        };
        let length = length.min(rest.len());
        unescape(&rest[..length], out);
        self.pos += length;
    }

    /// The next key of an object and consumes its colon; `None` at (and past) the closing brace.
    /// Call it first right behind the opening brace, then behind each value.
    #[inline]
    pub fn key(&mut self) -> Result<Option<Text>, Stop> {
        match self.peek() {
            Some(b'}') => {
                self.pos += 1;
                return Ok(None);
            }
            Some(b',') => self.pos += 1,
            Some(b'"') => {}
            Some(_) => return Err(Stop::Bad(self.pos)),
            None => return Err(Stop::Cut),
        }
        let key = self.string()?;
        self.expect(b':')?;
        Ok(Some(key))
    }

    /// Whether another item of an array follows; consumes its comma, or the closing bracket.
    #[inline]
    pub fn item(&mut self) -> Result<bool, Stop> {
        match self.peek() {
            Some(b']') => {
                self.pos += 1;
                Ok(false)
            }
            Some(b',') => {
                self.pos += 1;
                match self.peek() {
                    Some(b']') => Err(Stop::Bad(self.pos)),
                    Some(_) => Ok(true),
                    None => Err(Stop::Cut),
                }
            }
            Some(_) => Ok(true),
            None => Err(Stop::Cut),
        }
    }

    /// Consumes any value and gives where it stands.
    #[inline]
    pub fn value(&mut self) -> Result<Range<usize>, Stop> {
        let first = self.peek().ok_or(Stop::Cut)?;
        let start = self.pos;
        match first {
            b'"' => {
                self.string()?;
            }
            b'{' | b'[' => self.nested()?,
            _ => self.scalar()?,
        }
        Ok(start..self.pos)
    }

    /// Consumes an object or array by its brackets and strings alone.
    fn nested(&mut self) -> Result<(), Stop> {
        // A bit per level: whether it is an object.
        let mut objects = [0u64; MAX_DEPTH / 64];
        let mut depth = 0;
        loop {
            let Some(&byte) = self.bytes.get(self.pos) else { return Err(Stop::Cut) };
            match byte {
                b'"' => {
                    self.string()?;
                    // A cut string swallows the start of the next text and ends at its first quote.
                    match self.bytes.get(self.pos) {
                        Some(b':' | b',' | b'}' | b']') => continue,
                        _ => match self.peek() {
                            Some(b':' | b',' | b'}' | b']') | None => continue,
                            Some(_) => return Err(Stop::Bad(self.pos)),
                        },
                    }
                }
                b'{' | b'[' => {
                    // Behind another value it starts a new text: the one before was cut.
                    if depth > 0 && !self.value_may_follow() {
                        return Err(Stop::Bad(self.pos));
                    }
                    let word = objects.get_mut(depth / 64).ok_or(Stop::Bad(self.pos))?;
                    let bit = 1 << (depth % 64);
                    *word = if byte == b'{' { *word | bit } else { *word & !bit };
                    depth += 1;
                }
                b'}' | b']' => {
                    let Some(level) = depth.checked_sub(1) else { return Err(Stop::Bad(self.pos)) };
                    let object = objects.get(level / 64).is_some_and(|word| word >> (level % 64) & 1 == 1);
                    if object != (byte == b'}') {
                        return Err(Stop::Bad(self.pos));
                    }
                    depth -= 1;
                    if depth == 0 {
                        self.pos += 1;
                        return Ok(());
                    }
                }
                _ => {}
            }
            self.pos += 1;
        }
    }

    /// Whether the last byte before this one, white space aside, lets a value follow.
    fn value_may_follow(&self) -> bool {
        let before = self.bytes.get(..self.pos).unwrap_or_default();
        let last = before.iter().rev().find(|b| !matches!(b, b' ' | b'\n' | b'\r' | b'\t'));
        matches!(last, Some(b':' | b',' | b'['))
    }

    /// Consumes a number, `true`, `false` or `null`.
    fn scalar(&mut self) -> Result<(), Stop> {
        let start = self.pos;
        let rest = self.bytes.get(start..).unwrap_or_default();
        let length = rest
            .iter()
            .position(|b| !matches!(b, b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-' | b'.'))
            .unwrap_or(rest.len());
        let word = &rest[..length];
        self.pos += length;
        let number = word.first().is_some_and(|b| b.is_ascii_digit() || *b == b'-');
        if number || matches!(word, b"true" | b"false" | b"null") {
            // A number at the very end may go on behind the cut.
            return if length == rest.len() && start > 0 && number { Err(Stop::Cut) } else { Ok(()) };
        }
        let cut =
            length == rest.len() && [&b"true"[..], b"false", b"null"].iter().any(|w| w.starts_with(word));
        Err(if cut { Stop::Cut } else { Stop::Bad(start) })
    }
}

/// One value inside sound JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node<'a>(&'a str);

impl<'a> Node<'a> {
    /// The value that `text` holds, white space around it allowed.
    pub fn new(text: &'a str) -> Self {
        Self(text.trim_matches([' ', '\n', '\r', '\t']))
    }

    /// The JSON text itself.
    pub fn raw(self) -> &'a str {
        self.0
    }

    pub fn is_null(self) -> bool {
        self.0 == "null"
    }

    /// The string's value.
    pub fn text(self) -> Option<Cow<'a, str>> {
        let inner = self.0.strip_prefix('"')?.strip_suffix('"')?;
        if !inner.contains('\\') {
            return Some(Cow::Borrowed(inner));
        }
        let mut out = Vec::with_capacity(inner.len());
        unescape(inner.as_bytes(), &mut out);
        Some(Cow::Owned(String::from_utf8_lossy(&out).into_owned()))
    }

    pub fn bool(self) -> Option<bool> {
        self.0.parse().ok()
    }

    pub fn int(self) -> Option<i64> {
        self.0.parse().ok()
    }

    /// The value of the object's first key of that name.
    pub fn get(self, name: &str) -> Option<Node<'a>> {
        self.entries().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// [`Node::get`] of several names in one pass.
    pub fn first<const N: usize>(self, names: [&str; N]) -> [Option<Node<'a>>; N] {
        let mut found = [None; N];
        for (key, value) in self.entries() {
            if let Some(at) = names.iter().position(|name| *name == key) {
                found[at].get_or_insert(value);
                if found.iter().all(Option::is_some) {
                    break;
                }
            }
        }
        found
    }

    /// [`Node::get`] through several objects.
    pub fn path(self, names: &[&str]) -> Option<Node<'a>> {
        names.iter().try_fold(self, |node, name| node.get(name))
    }

    /// Keys and values of an object; nothing for any other value.
    pub fn entries(self) -> impl Iterator<Item = (Cow<'a, str>, Node<'a>)> {
        let mut cursor = self.inside('{');
        std::iter::from_fn(move || {
            let open = cursor.as_mut()?;
            let (Ok(Some(key)), Ok(value)) = (open.key(), open.value()) else {
                cursor = None;
                return None;
            };
            let quoted = Node(self.0.get(key.range.start - 1..key.range.end + 1)?);
            Some((quoted.text()?, Node(self.0.get(value)?)))
        })
    }

    /// Items of an array; nothing for any other value.
    pub fn items(self) -> impl Iterator<Item = Node<'a>> {
        let mut cursor = self.inside('[');
        std::iter::from_fn(move || {
            let open = cursor.as_mut()?;
            if !matches!(open.item(), Ok(true)) {
                cursor = None;
                return None;
            }
            let value = open.value().ok()?;
            self.0.get(value).map(Node)
        })
    }

    fn inside(self, opening: char) -> Option<Cursor<'a>> {
        self.0.starts_with(opening).then_some(Cursor { bytes: self.0.as_bytes(), pos: 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_reads_objects_arrays_and_scalars() {
        let node = Node::new(r#" {"a":{"b":[1,"x\n\u00e9",true,null]},"c\"d":-7} "#);
        let items: Vec<_> = node.path(&["a", "b"]).map(|n| n.items().collect()).unwrap_or_default();
        assert_eq!(items.len(), 4);
        assert_eq!(items[1].text().as_deref(), Some("x\né"));
        assert_eq!(items[2].bool(), Some(true));
        assert!(items[3].is_null());
        assert_eq!(node.get("c\"d").and_then(Node::int), Some(-7));
        assert_eq!(node.get("missing"), None);
        let twice = Node::new(r#"{"b":1,"a":2,"b":3,"c":4}"#);
        assert_eq!(twice.first(["c", "x", "b"]).map(|n| n.and_then(Node::int)), [Some(4), None, Some(1)]);
        assert_eq!(Node::new("3").items().count(), 0);
    }

    #[test]
    fn string_into_is_string_and_unescape_in_one() {
        let insides = [
            "",
            "short",
            "exactly sixteen!",
            "a longer text of more than two chunks, without escapes",
            r#"{\"kind\":\"Event\",\"a\/b\":\"x\ny\"}\n"#,
            r"\ud83d\ude00 \ud83d \u00e9\u12",
            r"\\\\\\\\\\\\\\\\\\",
            "é ü 😀 \\\"",
            r"\u",
            r"tail\q",
        ];
        for inside in insides {
            let text = format!("\"{inside}\" ,");
            for end in 0..=text.len() {
                let bytes = &text.as_bytes()[..end];
                let (mut one, mut two) = (Cursor::new(bytes), Cursor::new(bytes));
                let (mut out, mut expected) = (Vec::new(), Vec::new());
                let read = one.string_into(&mut out);
                match two.string() {
                    Ok(text) => unescape(&bytes[text.range], &mut expected),
                    Err(_) => unescape(bytes.get(1..).unwrap_or_default(), &mut expected),
                }
                assert_eq!(out, expected, "{inside} cut at {end}");
                assert_eq!(read.is_ok(), end > inside.len() + 1, "{inside} cut at {end}");
                assert_eq!(one.pos, two.pos.min(end), "{inside} cut at {end}");
            }
        }
    }

    #[test]
    fn every_prefix_of_a_value_is_cut_and_every_mismatch_is_bad() {
        let text = br#"{"a":[1,{"b":"x\"y"}],"c":false,"d":12.5}"#;
        assert_eq!(Cursor::new(text).value(), Ok(0..text.len()));
        for end in 0..text.len() {
            assert_eq!(Cursor::new(&text[..end]).value(), Err(Stop::Cut), "cut at {end}");
        }
        assert_eq!(Cursor::new(b"{]").value(), Err(Stop::Bad(1)));
        assert_eq!(Cursor::new(b"'x'").value(), Err(Stop::Bad(0)));
        assert_eq!(Cursor::new(b"{\"a\":1\n{\"b\":2}").value(), Err(Stop::Bad(7)));
        assert_eq!(Cursor::new(b"{\"a\n{\"b\":2}}").value(), Err(Stop::Bad(6)));
    }
}
