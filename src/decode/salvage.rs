//! Closing JSON that was cut: what is left of a body is kept up to its last complete member.
//!
//! Owns the one function; the result is sound JSON text again, never longer than the input by more
//! than its closing brackets. A scalar that ends at the cut is dropped, since it may go on behind it.

/// Appends `text`, an object or array that was cut, up to its last complete member, and closes it.
/// Appends nothing if `text` starts neither.
pub fn close(text: &[u8], out: &mut Vec<u8>) {
    // Closers of what is open where `good`, the end of the complete part, lies.
    let mut open: Vec<u8> = Vec::new();
    let mut good = 0;
    let mut at = 0;
    let mut next = Next::Value;
    while let Some(&byte) = text.get(at) {
        match (byte, next) {
            (b' ' | b'\t' | b'\r' | b'\n', _) => {
                at += 1;
                continue;
            }
            (b'{' | b'[', Next::Value) => {
                next = if byte == b'{' { Next::Key } else { Next::Value };
                open.push(byte + 2);
                at += 1;
            }
            (b'}' | b']', _) if open.last() == Some(&byte) => {
                open.pop();
                next = Next::Separator;
                at += 1;
            }
            (b'"', Next::Key) => {
                let Some(end) = string_end(text, at + 1) else { break };
                (at, next) = (end, Next::Colon);
                continue;
            }
            (b':', Next::Colon) => {
                (at, next) = (at + 1, Next::Value);
                continue;
            }
            (b',', Next::Separator) => {
                (at, next) = (at + 1, if open.last() == Some(&b'}') { Next::Key } else { Next::Value });
                continue;
            }
            (_, Next::Value) if !open.is_empty() => {
                let Some(end) = scalar_end(text, at) else { break };
                (at, next) = (end, Next::Separator);
            }
            _ => break,
        }
        good = at;
        if open.is_empty() {
            break;
        }
    }
    out.extend_from_slice(text.get(..good).unwrap_or_default());
    out.extend(open.iter().rev());
}

/// What may stand next, besides a closing bracket.
#[derive(Clone, Copy)]
enum Next {
    Key,
    Colon,
    Value,
    Separator,
}

/// The place behind a string, number or word that is complete: something follows it.
fn scalar_end(text: &[u8], at: usize) -> Option<usize> {
    if text.get(at) == Some(&b'"') {
        return string_end(text, at + 1);
    }
    let rest = text.get(at..)?;
    let length = rest.iter().position(|b| b",]} \t\r\n".contains(b))?;
    let word = rest.get(..length)?;
    let number = word.first().is_some_and(|b| *b == b'-' || b.is_ascii_digit());
    (number || matches!(word, b"true" | b"false" | b"null")).then_some(at + length)
}

/// The place behind a string's closing quote.
fn string_end(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let rest = text.get(at..)?;
        let found = memchr::memchr2(b'"', b'\\', rest)?;
        if rest.get(found) == Some(&b'"') {
            return Some(at + found + 1);
        }
        at += found + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(text: &str) -> String {
        let mut out = Vec::new();
        close(text.as_bytes(), &mut out);
        String::from_utf8(out).expect("cut at character borders")
    }

    #[test]
    fn keeps_complete_members_only() {
        let cases = [
            (r#"{"a":1,"b":{"c":"x","d":"y"#, r#"{"a":1,"b":{"c":"x"}}"#),
            (r#"{"a":1,"b":12"#, r#"{"a":1}"#),
            (r#"{"a":1,"b"#, r#"{"a":1}"#),
            (r#"{"a":1,"b""#, r#"{"a":1}"#),
            (r#"{"a":1,"b":"#, r#"{"a":1}"#),
            (r#"{"a":[1,2,{"x":true},"y""#, r#"{"a":[1,2,{"x":true},"y"]}"#),
            (r#"{"a":{"b":["#, r#"{"a":{"b":[]}}"#),
            (r#"{"a":"q\"","b":nul"#, r#"{"a":"q\""}"#),
            ("{", "{}"),
            ("[", "[]"),
            (r#""text"#, ""),
        ];
        for (cut, expected) in cases {
            assert_eq!(closed(cut), expected, "{cut}");
        }
    }

    #[test]
    fn every_prefix_becomes_sound_json() {
        let text =
            r#"{"kind":"Pod","spec":{"a":[{"n":"x","v":[1,-2.5e3,null]},[],{}],"t":"é\u00e9\\"},"z":false}"#;
        for end in 1..=text.len() {
            let Some(prefix) = text.get(..end) else { continue };
            let closed = closed(prefix);
            assert!(serde_json::from_str::<serde_json::Value>(&closed).is_ok(), "{prefix} -> {closed}");
        }
        assert_eq!(closed(text), text);
    }
}
