//! A list: values with reasons, looked up by equality, pattern or CIDR.
//!
//! Reading keeps every good row and reports the others; looking up costs one hash for most values.

use std::net::IpAddr;
use std::path::Path;

use hashbrown::{HashMap, HashSet};
use ipnet::IpNet;

use super::Diagnostic;
use crate::event::address;

/// `lists/<name>.csv`.
#[derive(Debug, Clone, Default)]
pub struct List {
    pub name: String,
    entries: Vec<Entry>,
    exact: HashSet<String>,
    /// Exact entries that are addresses, so that another spelling of one is found too.
    addresses: HashSet<IpAddr>,
    patterns: Vec<Pattern>,
    ranges: Vec<IpNet>,
}

/// Everything else is made from the entries.
impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.entries == other.entries
    }
}

/// A row of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub value: String,
    pub reason: String,
    /// 1-based line in the file.
    pub line: usize,
}

impl List {
    /// Reads a list; problems are reported by line and the good entries are kept.
    pub fn parse(name: &str, path: &Path, text: &str) -> (List, Vec<Diagnostic>) {
        let mut list = List { name: name.into(), ..List::default() };
        let mut problems = Vec::new();
        let mut lines: HashMap<String, usize> = HashMap::new();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .comment(Some(b'#'))
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let mut header_seen = false;
        let mut place = Place { offset: 0, line: 1 };
        for record in reader.records() {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    let line = error.position().map_or(1, |p| place.line_of(text, p.byte()));
                    problems.push(Diagnostic::error(
                        path,
                        (line, 1),
                        format!("not readable as CSV: {error}"),
                    ));
                    continue;
                }
            };
            let line = record.position().map_or(1, |p| place.line_of(text, p.byte()));
            let mut error = |message: String| problems.push(Diagnostic::error(path, (line, 1), message));
            if !header_seen {
                header_seen = true;
                if !record.iter().eq(["value", "reason"]) {
                    error("a list begins with the line value,reason".into());
                }
                if record.iter().next() == Some("value") {
                    continue;
                }
            }
            let value = record.get(0).unwrap_or_default();
            let reason = record.get(1).unwrap_or_default();
            if record.len() > 2 {
                error(format!(
                    "{} columns where value and reason belong; put quotes around text with a comma",
                    record.len()
                ));
            } else if value.is_empty() {
                error("no value; remove the row or fill it in".into());
            } else if reason.is_empty() {
                error(format!("no reason for \"{value}\"; write behind a comma why it is on the list"));
            } else if is_broken_range(value) {
                error(format!("\"{value}\" is no CIDR; write one such as 10.0.0.0/8"));
            } else if let Some(earlier) = lines.get(value) {
                let message = format!("\"{value}\" is already in line {earlier}; remove one");
                problems.push(Diagnostic::warning(path, (line, 1), message));
            } else {
                lines.insert(value.to_string(), line);
                list.add(Entry { value: value.to_string(), reason: reason.to_string(), line });
            }
        }
        if !header_seen {
            problems.push(Diagnostic::error(path, (1, 1), "a list begins with the line value,reason"));
        }
        (list, problems)
    }

    fn add(&mut self, entry: Entry) {
        let value = entry.value.as_str();
        if value.contains('*') {
            self.patterns.push(Pattern::new(value));
        } else if let Ok(range) = value.parse::<IpNet>() {
            self.ranges.push(range);
        } else {
            self.addresses.extend(address::parse(value));
            self.exact.insert(value.to_string());
        }
        self.entries.push(entry);
    }

    /// Whether an entry equals, matches or contains `value`.
    pub fn contains(&self, value: &str) -> bool {
        if self.exact.contains(value) || self.patterns.iter().any(|pattern| pattern.matches(value)) {
            return true;
        }
        if self.addresses.is_empty() && self.ranges.is_empty() {
            return false;
        }
        address::parse(value).is_some_and(|address| {
            self.addresses.contains(&address) || self.ranges.iter().any(|range| range.contains(&address))
        })
    }

    /// The rows in order of the file.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

/// Counts lines up to records. The reader's own count is that of the end of the record before, in
/// front of blank lines, comments and the second half of a CRLF.
struct Place {
    offset: usize,
    line: usize,
}

impl Place {
    /// The line of the record that the reader began to look for at this byte.
    fn line_of(&mut self, text: &str, byte: u64) -> usize {
        let mut at = usize::try_from(byte).unwrap_or(usize::MAX).min(text.len());
        let bytes = text.as_bytes();
        loop {
            match bytes.get(at) {
                Some(b'\r' | b'\n') => at += 1,
                Some(b'#') => at += bytes.iter().skip(at).take_while(|b| **b != b'\n').count(),
                _ => break,
            }
        }
        let between = bytes.get(self.offset..at).unwrap_or_default();
        self.line += between.iter().filter(|b| **b == b'\n').count();
        self.offset = at.max(self.offset);
        self.line
    }
}

/// Whether a value was meant as a CIDR and is none (`10.0.0/8`, `10.0.0.0/33`), so that it would
/// never match anything.
fn is_broken_range(value: &str) -> bool {
    let Some((address, length)) = value.split_once('/') else { return false };
    let numeric = address.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        || address.contains(':') && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':' || b == b'.');
    !address.is_empty()
        && numeric
        && length.bytes().all(|b| b.is_ascii_digit())
        && value.parse::<IpNet>().is_err()
}

/// Text with `*` for any characters, none included.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    prefix: String,
    /// What must follow in this order between prefix and suffix.
    middle: Vec<String>,
    suffix: String,
}

impl Pattern {
    pub fn new(text: &str) -> Pattern {
        let mut parts: Vec<String> = text.split('*').map(String::from).collect();
        let suffix = parts.pop().unwrap_or_default();
        let middle =
            parts.split_off(parts.len().min(1)).into_iter().filter(|part| !part.is_empty()).collect();
        Pattern { prefix: parts.pop().unwrap_or_default(), middle, suffix }
    }

    pub fn matches(&self, value: &str) -> bool {
        // Taking the leftmost place of each part is enough: it leaves the most for the rest.
        let Some(mut rest) =
            value.strip_prefix(self.prefix.as_str()).and_then(|rest| rest.strip_suffix(self.suffix.as_str()))
        else {
            return false;
        };
        self.middle.iter().all(|part| match rest.split_once(part.as_str()) {
            Some((_, behind)) => {
                rest = behind;
                true
            }
            None => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (List, Vec<String>) {
        let (list, problems) = List::parse("x", Path::new("lists/x.csv"), text);
        (list, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn exact_entries_patterns_and_ranges() {
        let (list, problems) = parse(
            "value,reason\r\n# people\r\nalice@example.com,on call\r\nsystem:serviceaccount:*:backup,\"nightly, everywhere\"\r\n*-bot,bots\n\
             a*b*c,three parts\n10.1.0.0/16,office\n2001:db8::/32,office\n2001:DB8:1::7,spelled out\n\"#1\",a quoted hash\nkube-system/coredns,not an address\n",
        );
        assert_eq!(problems, [""; 0]);
        assert_eq!(list.entries().len(), 9);
        assert_eq!(
            list.entries()[1],
            Entry {
                value: "system:serviceaccount:*:backup".into(),
                reason: "nightly, everywhere".into(),
                line: 4
            }
        );
        for value in [
            "alice@example.com",
            "system:serviceaccount:velero:backup",
            "system:serviceaccount::backup",
            "renovate-bot",
            "-bot",
            "abc",
            "axbxbyc",
            "10.1.2.3",
            "::ffff:10.1.2.3",
            "2001:db8:9::1",
            "2001:0db8:0001::0007",
            "#1",
            "kube-system/coredns",
        ] {
            assert!(list.contains(value), "{value}");
        }
        for value in [
            "",
            "Alice@example.com",
            "alice",
            "system:serviceaccount:backup",
            "bot",
            "ab",
            "acb",
            "10.2.0.1",
            "10.1.0.0/16",
            "fe80::1",
        ] {
            assert!(!list.contains(value), "{value}");
        }
    }

    #[test]
    fn a_star_alone_matches_everything_and_ends_do_not_overlap() {
        let (list, _) = parse("value,reason\n*,all\n");
        assert!(list.contains("") && list.contains("anything"));
        let (list, _) = parse("value,reason\naba*aba,x\n");
        assert!(list.contains("abaaba") && !list.contains("ababa"));
    }

    #[test]
    fn bad_rows_are_reported_and_the_others_kept() {
        let (list, problems) = parse(
            "value,reason\na,because\nb\nc,\n,no value\nd,x,y\n10.0.0/8,office\n10.0.0.0/33,office\na,again\n\ne,fine\n",
        );
        assert_eq!(
            problems,
            [
                "lists/x.csv:3:1: no reason for \"b\"; write behind a comma why it is on the list",
                "lists/x.csv:4:1: no reason for \"c\"; write behind a comma why it is on the list",
                "lists/x.csv:5:1: no value; remove the row or fill it in",
                "lists/x.csv:6:1: 3 columns where value and reason belong; put quotes around text with a comma",
                "lists/x.csv:7:1: \"10.0.0/8\" is no CIDR; write one such as 10.0.0.0/8",
                "lists/x.csv:8:1: \"10.0.0.0/33\" is no CIDR; write one such as 10.0.0.0/8",
                "lists/x.csv:9:1: warning: \"a\" is already in line 2; remove one",
            ]
        );
        assert_eq!(list.entries().iter().map(|e| e.value.as_str()).collect::<Vec<_>>(), ["a", "e"]);
    }

    #[test]
    fn the_first_line_names_the_columns() {
        let begins = "a list begins with the line value,reason";
        assert_eq!(parse("").1, [format!("lists/x.csv:1:1: {begins}")]);
        assert_eq!(parse("value;reason\n").1[0], format!("lists/x.csv:1:1: {begins}"));
        let (list, problems) = parse("a,because\n");
        assert_eq!(problems, [format!("lists/x.csv:1:1: {begins}")]);
        assert!(list.contains("a"));
        assert_eq!(parse("\u{feff}value,reason\n").1, [""; 0]);
    }
}
