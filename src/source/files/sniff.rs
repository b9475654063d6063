//! What a file is, told by its first bytes: packed or plain, a log or something else.

/// How many bytes of content are looked at.
pub(super) const HEAD: usize = 64 * 1024;

/// How the bytes on disk are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Gzip,
    Zstd,
    Plain,
}

pub(super) fn packing(head: &[u8]) -> Packing {
    match head {
        [0x1f, 0x8b, ..] | [0x1f] => Packing::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Packing::Zstd,
        // A skippable frame, which pzstd writes first.
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Packing::Zstd,
        _ => Packing::Plain,
    }
}

/// Why content is no log, or `None` if there is something of a log in it. `head` is unpacked.
pub(super) fn not_a_log(head: &[u8]) -> Option<Option<String>> {
    let known = match head {
        [b'P', b'A', b'R', b'1', ..] => "Parquet is not read by this version",
        [b'O', b'b', b'j', 1, ..] => "Avro is not read by this version",
        [b'P', b'K', 3, 4, ..] => "a zip archive, unpack it first",
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => "bzip2, unpack it first",
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => "xz, unpack it first",
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "UTF-16 text, convert it to UTF-8 first",
        _ if head.get(257..262) == Some(b"ustar") => "a tar archive, unpack it first",
        _ if head.contains(&0) => "binary",
        _ => return if holds_record(head) { None } else { Some(None) },
    };
    Some(Some(known.to_owned()))
}

/// Whether some line begins as a record does, without indentation. What only might be one (`{}`, `[]`)
/// counts at the very beginning alone: program text has lines like that too.
fn holds_record(head: &[u8]) -> bool {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    if let Some((b'{' | b'[', rest)) = head.split_first()
        && matches!(rest.trim_ascii_start().first(), None | Some(b'}' | b']'))
    {
        return true;
    }
    let starts = std::iter::once(0).chain(memchr::memchr_iter(b'\n', head).map(|at| at + 1));
    starts.filter_map(|at| head.get(at..)).any(|text| begins_klog(text) || begins_json(text))
}

/// `I0109 21:24:54…` or `Trace[…`, the two ways a line of klog begins.
pub(super) fn begins_klog(line: &[u8]) -> bool {
    match line {
        [b'I' | b'W' | b'E' | b'F', a, b, c, d, b' ', ..] => [a, b, c, d].into_iter().all(u8::is_ascii_digit),
        _ => line.starts_with(b"Trace["),
    }
}

/// Whether text begins with `{"key":` or with an array of that. Looks beyond the line.
fn begins_json(mut text: &[u8]) -> bool {
    while let Some(rest) = text.strip_prefix(b"[") {
        text = rest.trim_ascii_start();
    }
    let Some(rest) = text.strip_prefix(b"{") else { return false };
    match rest.trim_ascii_start().split_first() {
        Some((quote @ (b'"' | b'\''), rest)) => {
            // A file may be cut inside its first key.
            let Some(end) = memchr::memchr(*quote, rest) else { return !rest.contains(&b'\n') };
            let after = rest.get(end + 1..).unwrap_or_default().trim_ascii_start();
            matches!(after.first(), None | Some(b':'))
        }
        Some(_) => false,
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_recognised_in_all_their_forms() {
        for text in [
            "{\"a\":1}",
            "\u{feff}{\"a\":1}",
            "[\n  {",
            "{\r\n  \"a\": 1",
            "[]",
            "I0109 21:24:54.475590       1 x.go:1] y",
            "Flag --x has been deprecated\nE0109 21:24:54.475590       1 x.go:1] y",
            "Trace[7816759]: ---\"limitedReadBody succeeded\"",
            "{'time': 'x'}",
            "[[{\"a\":1}]]",
            "[\n\n]",
            "{\"ti",
            "prose\n{ \"a\"\n:1}",
        ] {
            assert_eq!(not_a_log(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn prose_tables_and_binary_are_not() {
        for text in [
            "# Title\n\nSome [link](x) and prose.\n",
            "a,b\n1,2\n",
            "[link](x)",
            "key: value\n",
            "x",
            "fn f() -> &str\n{\n    [\n\"a\"]\n{ \"b\" }\n[]\n",
        ] {
            assert_eq!(not_a_log(text.as_bytes()), Some(None), "{text}");
        }
        let what = |head: &[u8]| not_a_log(head).flatten().unwrap_or_default();
        assert!(what(b"PAR1xxxx").starts_with("Parquet"));
        assert!(what(b"Obj\x01xx").starts_with("Avro"));
        assert_eq!(what(b"{\"a\":\0}"), "binary");
        assert!(what(b"\xff\xfe{\0").starts_with("UTF-16"));
    }

    #[test]
    fn packing_is_told_by_magic_numbers() {
        assert_eq!(packing(b"\x1f\x8b\x08"), Packing::Gzip);
        assert_eq!(packing(b"\x28\xb5\x2f\xfd\0"), Packing::Zstd);
        assert_eq!(packing(b"{}"), Packing::Plain);
    }
}
