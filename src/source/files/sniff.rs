//! What a file is, told by its first bytes: packed or plain, which form of log or something else.

use super::log_analytics::{Looks, begins_query_result, delimiter};

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

/// How a Parquet file begins (and ends).
pub(super) const PARQUET: &[u8] = b"PAR1";

/// What content is, and so which reader it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// JSON values and lines of text.
    Text,
    /// An object container, such as Event Hubs Capture writes.
    Avro,
    Parquet,
    /// Rows of Log Analytics, separated by this.
    Csv(u8),
    /// The answer of the query API.
    QueryResult,
    /// Something else; with what it is where that can be told.
    NotALog(Option<String>),
}

/// What content is. `head` is its beginning, unpacked and without a byte-order mark.
pub(super) fn form(head: &[u8]) -> Form {
    let known = match head {
        [b'P', b'A', b'R', b'1', ..] => return Form::Parquet,
        [b'O', b'b', b'j', 1, ..] => return Form::Avro,
        [b'P', b'K', 3, 4, ..] => "a zip archive, unpack it first",
        [b'P', b'A', b'R', b'E', ..] => "encrypted Parquet, decrypt it first",
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => "bzip2, unpack it first",
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => "xz, unpack it first",
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "UTF-16 text, convert it to UTF-8 first",
        [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => "packed twice, unpack it once",
        _ if head.get(257..262) == Some(b"ustar") => "a tar archive, unpack it first",
        _ if head.contains(&0) => "binary",
        _ => {
            let table = delimiter(head);
            return match table {
                // A field of a table may run over lines that begin as records do.
                Looks::Log(delimiter) => Form::Csv(delimiter),
                _ if begins_query_result(head) => Form::QueryResult,
                _ if holds_record(head) => Form::Text,
                Looks::Other(what) => Form::NotALog(Some(what)),
                Looks::No => Form::NotALog(None),
            };
        }
    };
    Form::NotALog(Some(known.to_owned()))
}

/// Whether a file that begins so may be read on from where it ended before.
pub(super) fn grows_by_lines(head: &[u8]) -> bool {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    packing(head) == Packing::Plain && matches!(form(text), Form::Text | Form::NotALog(_))
}

/// Whether some line begins as a record does, without indentation. What only might be one (`{}`, `[]`)
/// counts at the very beginning alone: program text has lines like that too.
fn holds_record(head: &[u8]) -> bool {
    let head = head.trim_ascii_start();
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
            assert_eq!(form(text.as_bytes()), Form::Text, "{text}");
        }
    }

    #[test]
    fn prose_tables_and_binary_are_not() {
        for text in [
            "# Title\n\nSome [link](x) and prose.\n",
            "Dear all, a comma\nor two, three\n, and more\n",
            "[link](x)",
            "key: value\n",
            "x",
            "fn f() -> &str\n{\n    [\n\"a\"]\n{ \"b\" }\n[]\n",
        ] {
            assert_eq!(form(text.as_bytes()), Form::NotALog(None), "{text}");
        }
        let what = |head: &[u8]| match form(head) {
            Form::NotALog(Some(what)) => what,
            other => format!("{other:?}"),
        };
        assert_eq!(what(b"a,b\n1,2\n"), "a table without the columns of an audit log; it has a, b");
        assert_eq!(what(b"{\"a\":\0}"), "binary");
        assert!(what(b"\xff\xfe{\0").starts_with("UTF-16"));
    }

    #[test]
    fn other_forms_are_told_by_what_they_begin_with() {
        for (text, expected) in [
            ("PAR1\0", Form::Parquet),
            ("Obj\u{1}\u{2}", Form::Avro),
            ("\"TimeGenerated [UTC]\",AuditId,Verb\n", Form::Csv(b',')),
            ("TimeGenerated;AuditId;Verb\r\n", Form::Csv(b';')),
            ("timegenerated\tlog_s\nx\t\"{\n{\"\"a\"\":1}\"", Form::Csv(b'\t')),
            ("log_s\n{}", Form::Csv(b',')),
            ("{\"statistics\":{},\"tables\":[", Form::QueryResult),
            (" {\n \"Tables\" : [{", Form::QueryResult),
            ("{\"tables\":1}", Form::Text),
        ] {
            assert_eq!(form(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn packing_is_told_by_magic_numbers() {
        assert_eq!(packing(b"\x1f\x8b\x08"), Packing::Gzip);
        assert_eq!(packing(b"\x28\xb5\x2f\xfd\0"), Packing::Zstd);
        assert_eq!(packing(b"{}"), Packing::Plain);
    }
}
