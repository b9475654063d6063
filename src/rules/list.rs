//! A list: values with reasons, looked up by equality, pattern or CIDR, and what else is known of each.
//!
//! Reading keeps every good row and reports the others; looking up costs one hash for most values.

use std::net::IpAddr;
use std::path::Path;

use hashbrown::HashMap;
use ipnet::IpNet;

use super::{Diagnostic, closest, parse_instant};
use crate::event::address;

/// `lists/<name>.csv`.
#[derive(Debug, Clone, Default)]
pub struct List {
    pub name: String,
    /// Columns behind value and reason, `expires` left out, in order of the file.
    pub(super) columns: Vec<String>,
    entries: Vec<Entry>,
    exact: HashMap<String, usize>,
    /// Exact entries that are addresses, so that another spelling of one is found too.
    addresses: HashMap<IpAddr, usize>,
    patterns: Vec<(Pattern, usize)>,
    /// The smallest range first.
    ranges: Vec<(IpNet, usize)>,
    expires: bool,
}

/// Everything else is made from these.
impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.columns == other.columns && self.entries == other.entries
    }
}

/// A row of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub value: String,
    pub reason: String,
    /// From this time of the events on the row does not count, microseconds since the epoch.
    pub expires: Option<i64>,
    /// The cells of the list's further columns; empty where there is none.
    cells: Vec<String>,
    /// 1-based line in the file.
    pub line: usize,
}

/// The column that ends a row.
const EXPIRES: &str = "expires";
/// What every list begins with.
const FIRST: [&str; 2] = ["value", "reason"];

/// What the first line says of the others.
#[derive(Default)]
struct Header {
    /// Each further column, in order of the file; of `expires` and those with a problem too.
    names: Vec<String>,
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
        let mut header: Option<Header> = None;
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
            let first = header.is_none();
            let header = header.get_or_insert_with(|| {
                let (header, found) = Header::read(&record);
                found.into_iter().for_each(&mut error);
                list.columns = header.names.iter().filter(|name| *name != EXPIRES).cloned().collect();
                header
            });
            if first && record.get(0) == Some(FIRST[0]) {
                continue;
            }
            match header.entry(&record, line) {
                Err(message) => error(message),
                Ok(entry) => match lines.get(&entry.value) {
                    Some(earlier) => {
                        let message = format!("\"{}\" is already in line {earlier}; remove one", entry.value);
                        problems.push(Diagnostic::warning(path, (line, 1), message));
                    }
                    None => {
                        lines.insert(entry.value.clone(), line);
                        list.add(entry);
                    }
                },
            }
        }
        if header.is_none() {
            problems.push(Diagnostic::error(path, (1, 1), BEGINS));
        }
        list.ranges.sort_by_key(|(range, at)| (std::cmp::Reverse(range.prefix_len()), *at));
        (list, problems)
    }

    fn add(&mut self, entry: Entry) {
        let (value, at) = (entry.value.as_str(), self.entries.len());
        if value.contains('*') {
            self.patterns.push((Pattern::new(value), at));
        } else if let Ok(range) = value.parse::<IpNet>() {
            self.ranges.push((range, at));
        } else {
            if let Some(address) = address::parse(value) {
                self.addresses.entry(address).or_insert(at);
            }
            self.exact.insert(value.to_string(), at);
        }
        self.expires |= entry.expires.is_some();
        self.entries.push(entry);
    }

    /// Whether an entry equals, matches or contains `value` at a time of events; see [`List::find`].
    pub fn contains(&self, value: &str, time: Option<i64>) -> bool {
        self.find(value, time).is_some()
    }

    /// The entry for `value`: the one that equals it, else the smallest range around it, else the first
    /// pattern that matches. Entries that have expired at `time` (microseconds since the epoch) are passed
    /// over; without a time no entry has.
    pub fn find(&self, value: &str, time: Option<i64>) -> Option<&Entry> {
        let entry = |at: &usize| {
            let entry = self.entries.get(*at)?;
            let over = entry.expires.zip(time).is_some_and(|(expires, time)| expires <= time);
            (!over).then_some(entry)
        };
        if let Some(found) = self.exact.get(value).and_then(entry) {
            return Some(found);
        }
        if !(self.addresses.is_empty() && self.ranges.is_empty())
            && let Some(address) = address::parse(value)
        {
            let around = self.ranges.iter().filter(|(range, _)| range.contains(&address)).map(|(_, at)| at);
            let found = self.addresses.get(&address).into_iter().chain(around).find_map(entry);
            if found.is_some() {
                return found;
            }
        }
        self.patterns.iter().filter(|(pattern, _)| pattern.matches(value)).find_map(|(_, at)| entry(at))
    }

    /// The rows in order of the file.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether a row ends at some time.
    pub fn expires(&self) -> bool {
        self.expires
    }

    /// What of an entry a column holds, to be asked with [`Column::of`]; an error says what is there.
    pub fn column(&self, name: &str) -> Result<Column, String> {
        match name {
            "value" => return Ok(Column::Value),
            "reason" => return Ok(Column::Reason),
            _ => {}
        }
        if let Some(at) = self.columns.iter().position(|column| column == name) {
            return Ok(Column::Cell(at));
        }
        let all = FIRST.into_iter().chain(self.columns.iter().map(String::as_str));
        let advice = match closest(name, all.clone()) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => format!("it has {}", all.collect::<Vec<_>>().join(", ")),
        };
        Err(format!("list \"{}\" has no column \"{name}\"; {advice}", self.name))
    }
}

/// A column of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    Value,
    Reason,
    Cell(usize),
}

impl Column {
    /// The text in this column of an entry; `None` where there is none.
    pub fn of(self, entry: &Entry) -> Option<&str> {
        let text = match self {
            Column::Value => entry.value.as_str(),
            Column::Reason => entry.reason.as_str(),
            Column::Cell(at) => entry.cells.get(at)?,
        };
        Some(text).filter(|text| !text.is_empty())
    }
}

const BEGINS: &str = "a list begins with the line value,reason";

impl Header {
    /// Reads the first line; what is wrong with it is reported.
    fn read(record: &csv::StringRecord) -> (Header, Vec<String>) {
        let mut problems = Vec::new();
        if !record.iter().take(2).eq(FIRST) {
            problems.push(BEGINS.to_owned());
            return (Header::default(), problems);
        }
        let names: Vec<String> = record.iter().skip(2).map(str::to_owned).collect();
        for (at, name) in names.iter().enumerate() {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            if name.is_empty() || !name.chars().all(plain) {
                problems
                    .push(format!("\"{name}\" is no name of a column; use lower-case letters, digits and _"));
            } else if FIRST.contains(&name.as_str()) || names.iter().take(at).any(|other| other == name) {
                problems.push(format!("column \"{name}\" is there twice; rename one"));
            }
        }
        (Header { names }, problems)
    }

    /// A row, or what is wrong with it.
    fn entry(&self, record: &csv::StringRecord, line: usize) -> Result<Entry, String> {
        let value = record.get(0).unwrap_or_default();
        let reason = record.get(1).unwrap_or_default();
        let columns = FIRST.len() + self.names.len();
        if record.len() > columns {
            let belong = match self.names.is_empty() {
                true => "value and reason belong".to_owned(),
                false => format!("{columns} belong"),
            };
            return Err(format!(
                "{} columns where {belong}; put quotes around text with a comma",
                record.len()
            ));
        }
        if value.is_empty() {
            return Err("no value; remove the row or fill it in".into());
        }
        if reason.is_empty() {
            return Err(format!("no reason for \"{value}\"; write behind a comma why it is on the list"));
        }
        if is_broken_range(value) {
            return Err(format!("\"{value}\" is no CIDR; write one such as 10.0.0.0/8"));
        }
        let (mut expires, mut cells) = (None, Vec::new());
        for (name, cell) in self.names.iter().zip(record.iter().skip(FIRST.len())) {
            if name != EXPIRES {
                if let Some(wrong) = name.ends_with("ranges").then(|| broken_ranges(cell)).flatten() {
                    return Err(format!(
                        "{name}: \"{wrong}\" is no CIDR; write one such as 10.0.0.0/8, several with blanks between them"
                    ));
                }
                cells.push(cell.to_owned());
            } else if !cell.is_empty() {
                let time = parse_instant(cell).ok_or_else(|| {
                    format!("expires: \"{cell}\" is no time; write 2026-01-31 or 2026-01-31T08:00:00Z")
                })?;
                expires = Some(time);
            }
        }
        Ok(Entry { value: value.to_owned(), reason: reason.to_owned(), expires, cells, line })
    }
}

/// The first of several ranges in one text that is none; they are apart by blanks, commas or semicolons.
fn broken_ranges(text: &str) -> Option<&str> {
    address::ranges(text).find_map(|range| range.err())
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
#[path = "list_tests.rs"]
mod tests;
