//! Quotes, backslashes and escapes of JSON strings.
//!
//! Owns finding where a string ends and what its escapes stand for, on bytes; `json` gives it to others.

/// How many bytes of the chunk come before its first quote or backslash.
#[inline]
pub fn first_quote(chunk: &[u8; 16]) -> usize {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *chunk;
    let low = quotes_in(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
    let high = quotes_in(u64::from_le_bytes([i, j, k, l, m, n, o, p]));
    match (low, high) {
        (0, 0) => 16,
        (0, high) => 8 + (high.trailing_zeros() / 8) as usize,
        (low, _) => (low.trailing_zeros() / 8) as usize,
    }
}

/// Whether `digits`, standing behind `\u`, and the escape that follows them make one character.
pub fn is_surrogate_pair(digits: &[u8]) -> bool {
    hex4(digits).is_some_and(|code| (0xD800..0xDC00).contains(&code))
        && digits.get(4..6) == Some(b"\\u")
        && digits.get(6..).and_then(hex4).is_some_and(|code| (0xDC00..0xE000).contains(&code))
}

/// The lowest set bit lies in the first byte that is a quote or a backslash; 0 if there is none.
#[inline]
fn quotes_in(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let zero_bytes = |word: u64| word.wrapping_sub(ONES) & !word & (ONES << 7);
    zero_bytes(word ^ (ONES * b'"' as u64)) | zero_bytes(word ^ (ONES * b'\\' as u64))
}

/// Where the next quote or backslash stands, and which. Strings are short: this beats a call to a
/// vectorised search.
#[inline]
pub fn quote_or_backslash(bytes: &[u8], mut pos: usize) -> Option<(usize, u8)> {
    while let Some(chunk) = bytes.get(pos..).and_then(|rest| rest.first_chunk::<8>()) {
        let found = quotes_in(u64::from_le_bytes(*chunk));
        if found != 0 {
            pos += (found.trailing_zeros() / 8) as usize;
            return Some((pos, *bytes.get(pos)?));
        }
        pos += 8;
    }
    let rest = bytes.get(pos..)?;
    let at = rest.iter().position(|b| matches!(b, b'"' | b'\\'))?;
    Some((pos + at, *rest.get(at)?))
}

/// Appends the unescaped form of a JSON string's inside to `out`. Never fails: an escape that means
/// nothing stands for the character behind the backslash, a lone surrogate becomes U+FFFD, and a
/// lone backslash at the very end (a cut) is dropped. `\/` is `/`.
pub fn unescape(escaped: &[u8], out: &mut Vec<u8>) {
    let mut rest = escaped;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let Some(&code) = rest.get(at + 1) else { return };
        rest = &rest[at + 2..];
        match code {
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'r' => out.push(b'\r'),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'u' => rest = unescape_unicode(rest, out),
            other => out.push(other),
        }
    }
    out.extend_from_slice(rest);
}

fn hex4(digits: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(digits.get(..4)?).ok()?;
    u32::from_str_radix(text, 16).ok()
}

/// Handles what stands behind `\u` and returns what is left behind it.
fn unescape_unicode<'a>(rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let Some(high) = hex4(rest) else {
        // A cut inside the digits ends the text; anything else is kept as it stands.
        if rest.len() >= 4 {
            out.extend_from_slice(b"u");
            return rest;
        }
        return &[];
    };
    let mut left = &rest[4..];
    let mut code = high;
    if (0xD800..0xDC00).contains(&high)
        && left.starts_with(b"\\u")
        && let Some(low) = left.get(2..).and_then(hex4)
        && (0xDC00..0xE000).contains(&low)
    {
        code = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
        left = &left[6..];
    }
    let mut buffer = [0; 4];
    let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unescape_never_fails() {
        let cases: &[(&str, &str)] = &[
            (r"a\/b\\c\q", "a/b\\cq"),
            (r"\ud83d\ude00!", "😀!"),
            (r"\ud83d!", "\u{FFFD}!"),
            (r"\u00e9\u00", "é"),
            ("end\\", "end"),
        ];
        for (escaped, expected) in cases {
            let mut out = Vec::new();
            unescape(escaped.as_bytes(), &mut out);
            assert_eq!(std::str::from_utf8(&out), Ok(*expected), "{escaped}");
        }
    }
}
