//! The header of a detection: its keys, their types and what they may hold.
//!
//! Every problem of a file is reported, not only the first. What needs the tables (whether a column
//! exists, whether the statement is one) is left to `detect`.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use chrono::TimeDelta;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::closest;
use super::fence::Fence;
use super::{Detection, Diagnostic, Summary, parse_duration};
use crate::alert::{Severity, Status};

/// The ATT&CK tactics a folder of `detections` may be named after.
pub const TACTICS: [&str; 12] = [
    "initial-access",
    "execution",
    "persistence",
    "privilege-escalation",
    "defense-evasion",
    "credential-access",
    "discovery",
    "lateral-movement",
    "collection",
    "command-and-control",
    "exfiltration",
    "impact",
];

/// Every key of a header with an example; the first [`REQUIRED`] of them must be there.
const KEYS: [(&str, &str); 18] = [
    ("title", "\"One identity read many secrets\""),
    ("severity", "\"high\""),
    ("status", "\"stable\""),
    ("key", "[\"cluster\", \"username\"]"),
    ("summary", "\"{username} read {secrets} secrets\""),
    ("description", "\"why it matters and what to do\""),
    ("attack", "[\"T1552.007\"]"),
    ("section", "[4]"),
    ("categories", "[\"kube-audit\"]"),
    ("window", "\"10m\""),
    ("step", "\"30s\""),
    ("thin", "\"1m\""),
    ("baseline", "\"30d\""),
    ("learn", "\"7d\""),
    ("suppress", "\"1h\""),
    ("false_positives", "[\"backup tools: add them to lists/secret_readers.csv\"]"),
    ("follow_up", "[\"identity-timeline\"]"),
    ("references", "[\"https://attack.mitre.org/techniques/T1552/007/\"]"),
];
const REQUIRED: usize = 6;

/// Nothing a rule counts in is longer than what an archive keeps.
const LONGEST: TimeDelta = TimeDelta::days(400);

/// Whether `id` can be the id of a rule or query: lower case letters, digits and dashes.
pub(super) fn is_id(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Reads a detection. `path` is what messages show, `tactic` the folder, `id` the file's stem.
pub fn parse(path: &Path, tactic: &str, id: &str, text: &str) -> Result<Detection, Vec<Diagnostic>> {
    let fence = Fence::split(text, "detection")
        .map_err(|(position, message)| vec![Diagnostic::error(path, position, message)])?;
    let (table, syntax) = DeTable::parse_recoverable(&fence.toml);
    let mut header = Header {
        path,
        fence: &fence,
        table: table.get_ref(),
        positions: HashMap::new(),
        problems: Vec::new(),
    };
    let detection = header.read(tactic, id, text, syntax.is_empty());
    let mut problems = header.problems;
    for error in syntax {
        let position = fence.position(error.span().unwrap_or_default().start);
        // One slip can make the parser stumble several times over the same line.
        if problems.iter().all(|p: &Diagnostic| p.line != position.0) {
            problems.push(Diagnostic::error(
                path,
                position,
                format!("header: {}", error.message().replace('\n', ", ")),
            ));
        }
    }
    problems.sort_by_key(|p| (p.line, p.column));
    if problems.is_empty() { Ok(detection) } else { Err(problems) }
}

/// A header being read: values go out, problems are collected.
struct Header<'a> {
    path: &'a Path,
    fence: &'a Fence,
    table: &'a DeTable<'a>,
    positions: HashMap<String, (usize, usize)>,
    problems: Vec<Diagnostic>,
}

type Place = (usize, usize);

impl<'a> Header<'a> {
    fn read(&mut self, tactic: &str, id: &str, text: &str, complete: bool) -> Detection {
        self.file(tactic, id);
        self.keys(complete);
        let severity = self.severity();
        let status = self.status();
        let detection = Detection {
            id: id.to_string(),
            tactic: tactic.to_string(),
            path: self.path.to_path_buf(),
            title: self.line("title"),
            severity,
            status,
            attack: self.checked_texts(
                "attack",
                is_technique,
                "is no ATT&CK technique; write it as \"T1552\" or \"T1552.007\"",
            ),
            section: self.section(),
            categories: self.checked_texts(
                "categories",
                is_filled,
                "is no log category; write one such as \"kube-audit\"",
            ),
            key: self.checked_texts(
                "key",
                is_filled,
                "is no column; write a column of the SELECT, such as \"username\"",
            ),
            summary: self.summary(),
            description: self.filled("description"),
            false_positives: self.checked_texts(
                "false_positives",
                is_filled,
                "says nothing; describe the activity or remove it",
            ),
            follow_up: self.checked_texts(
                "follow_up",
                is_id,
                "is no id of a query; ids have lower case letters, digits and dashes",
            ),
            references: self.checked_texts(
                "references",
                is_address,
                "is no address; write one that begins with https://",
            ),
            window: self.duration("window"),
            step: self.duration("step"),
            thin: self.duration("thin"),
            baseline: self.duration("baseline"),
            learn: self.duration("learn").unwrap_or(TimeDelta::days(7)),
            suppress: self.duration("suppress"),
            sql: self.fence.sql.clone(),
            text: text.to_string(),
            positions: HashMap::new(),
        };
        self.together(&detection);
        Detection { positions: std::mem::take(&mut self.positions), ..detection }
    }

    fn problem(&mut self, place: Place, message: impl Into<String>) {
        self.problems.push(Diagnostic::error(self.path, place, message));
    }

    fn place(&self, span: Range<usize>) -> Place {
        self.fence.position(span.start)
    }

    /// What the file's name, folder and body must be.
    fn file(&mut self, tactic: &str, id: &str) {
        self.positions.insert("detection".into(), self.fence.opening);
        if !is_id(id) {
            self.problem(
                self.fence.opening,
                format!("\"{id}\" is no id; name the file with lower case letters, digits and dashes"),
            );
        }
        if !TACTICS.contains(&tactic) {
            let advice = match closest(tactic, TACTICS) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => format!("use one of {}", TACTICS.join(", ")),
            };
            self.problem(self.fence.opening, format!("folder \"{tactic}\" is no ATT&CK tactic; {advice}"));
        }
        match self.fence.statement() {
            Some(place) => {
                self.positions.insert("sql".into(), place);
            }
            None => self.problem(self.fence.closing, "no statement; write one SELECT behind the header"),
        }
    }

    /// Unknown keys, missing keys, and where each value stands.
    fn keys(&mut self, complete: bool) {
        let table = self.table;
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if KEYS.iter().any(|(known, _)| *known == name) {
                self.positions.insert(name.to_string(), self.place(value.span()));
                continue;
            }
            let advice = match closest(name, KEYS.iter().map(|(known, _)| *known)) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => "remove it, or see the keys in docs/rules.md".to_string(),
            };
            self.problem(self.place(key.span()), format!("unknown key \"{name}\"; {advice}"));
        }
        // Behind a syntax error keys may be missing that are there.
        for (name, example) in KEYS.iter().take(REQUIRED).filter(|_| complete) {
            if !table.contains_key(*name) {
                self.problem(
                    self.fence.opening,
                    format!("missing key \"{name}\"; add a line such as {name} = {example}"),
                );
            }
        }
    }

    fn get(&self, name: &str) -> Option<(&'a DeValue<'a>, Place)> {
        let value: &'a Spanned<DeValue<'a>> = self.table.get(name)?;
        Some((value.get_ref(), self.place(value.span())))
    }

    fn wrong_type(&mut self, name: &str, place: Place, expected: &str) {
        let example = KEYS.iter().find(|(known, _)| *known == name).map_or("", |(_, example)| *example);
        self.problem(place, format!("{name} must be {expected}, such as {name} = {example}"));
    }

    fn text(&mut self, name: &str, expected: &str) -> Option<(&'a str, Place)> {
        let (value, place) = self.get(name)?;
        if value.as_str().is_none() {
            self.wrong_type(name, place, expected);
        }
        Some((value.as_str()?, place))
    }

    /// A text that is not blank; empty where it is missing.
    fn filled(&mut self, name: &str) -> String {
        let Some((text, place)) = self.text(name, "a text in quotes") else { return String::new() };
        if text.trim().is_empty() {
            self.problem(place, format!("{name} is empty"));
        }
        text.trim_end().to_string()
    }

    /// A text of one line.
    fn line(&mut self, name: &str) -> String {
        let text = self.filled(name);
        if text.contains('\n')
            && let Some((_, place)) = self.get(name)
        {
            self.problem(place, format!("{name} has several lines; write one"));
        }
        text
    }

    fn severity(&mut self) -> Severity {
        let Some((text, place)) = self.text("severity", "a text in quotes") else { return Severity::Medium };
        text.parse().unwrap_or_else(|error| {
            let message = match closest(text, Severity::ALL.map(Severity::as_str)) {
                Some(meant) => format!("unknown severity \"{text}\"; did you mean \"{meant}\"?"),
                None => error,
            };
            self.problem(place, message);
            Severity::Medium
        })
    }

    fn status(&mut self) -> Status {
        const ALL: [Status; 3] = [Status::Stable, Status::Shadow, Status::Draft];
        let Some((text, place)) = self.text("status", "a text in quotes") else { return Status::Draft };
        ALL.into_iter().find(|status| status.as_str() == text).unwrap_or_else(|| {
            let advice = match closest(text, ALL.map(Status::as_str)) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => "use stable, shadow or draft".to_string(),
            };
            self.problem(place, format!("unknown status \"{text}\"; {advice}"));
            Status::Draft
        })
    }

    /// The items of a list with their places, which are noted as `name.0`, `name.1`, ….
    fn items(&mut self, name: &str, expected: &str) -> Vec<(&'a DeValue<'a>, Place)> {
        let Some((value, place)) = self.get(name) else { return Vec::new() };
        let Some(array) = value.as_array() else {
            self.wrong_type(name, place, expected);
            return Vec::new();
        };
        let mut items = Vec::new();
        for (index, item) in array.iter().enumerate() {
            let place = self.place(item.span());
            self.positions.insert(format!("{name}.{index}"), place);
            items.push((item.get_ref(), place));
        }
        items
    }

    /// A list of texts, each of which passes `check` (its failure reads `"x" <complaint>`), none twice.
    fn checked_texts(&mut self, name: &str, check: fn(&str) -> bool, complaint: &str) -> Vec<String> {
        let expected = "a list of texts in quotes";
        let mut texts: Vec<String> = Vec::new();
        for (item, place) in self.items(name, expected) {
            match item.as_str() {
                None => self.wrong_type(name, place, expected),
                Some(text) if !check(text) => {
                    self.problem(place, format!("\"{text}\" in {name} {complaint}"))
                }
                Some(text) if texts.iter().any(|earlier| earlier == text) => {
                    self.problem(place, format!("\"{text}\" stands twice in {name}; remove one"));
                }
                Some(text) => texts.push(text.to_string()),
            }
        }
        if name == "key"
            && let Some((DeValue::Array(array), place)) = self.get(name)
            && array.is_empty()
        {
            self.problem(
                place,
                "key is empty; name the columns that say whose alert it is, such as \"username\"",
            );
        }
        texts
    }

    fn section(&mut self) -> Vec<u8> {
        let expected = "a list of numbers from 1 to 9";
        let mut sections = Vec::new();
        for (item, place) in self.items("section", expected) {
            let number = item.as_integer().and_then(|n| u8::from_str_radix(n.as_str(), n.radix()).ok());
            match number {
                Some(n) if sections.contains(&n) => {
                    self.problem(place, format!("{n} stands twice in section; remove one"));
                }
                Some(n @ 1..=9) => sections.push(n),
                _ => self.wrong_type("section", place, expected),
            }
        }
        sections
    }

    fn duration(&mut self, name: &str) -> Option<TimeDelta> {
        let (text, place) = self.text(name, "a duration in quotes")?;
        match parse_duration(text) {
            Ok(duration) if duration <= LONGEST => Some(duration),
            Ok(_) => {
                self.problem(place, format!("{name} is longer than 400 days; write at most \"400d\""));
                None
            }
            Err(message) => {
                self.problem(place, message);
                None
            }
        }
    }

    fn summary(&mut self) -> String {
        let text = self.line("summary");
        let Some(value) = self.table.get("summary") else { return text };
        let start = value.span().start;
        let source = self.fence.toml.get(value.span()).unwrap_or_default();
        match Summary::parse(&text) {
            Ok(summary) => {
                for column in summary.columns() {
                    let inside = source.find(&format!("{{{column}}}")).map_or(0, |at| at + 1);
                    let place = self.fence.position(start + inside);
                    self.positions.insert(format!("summary.{column}"), place);
                }
            }
            Err(message) => self.problem(self.fence.position(start), message),
        }
        text
    }

    /// What keys demand of each other.
    fn together(&mut self, detection: &Detection) {
        let has = |header: &Self, name: &str| header.table.contains_key(name);
        let windowed = has(self, "window");
        let baseline = has(self, "baseline");
        let place =
            |header: &Self, name: &str| header.get(name).map_or(header.fence.opening, |(_, place)| place);
        if windowed && baseline {
            self.problem(place(self, "baseline"), "window and baseline exclude each other; keep one");
        }
        for name in ["step", "thin"] {
            if has(self, name) && !windowed {
                self.problem(
                    place(self, name),
                    format!("{name} means nothing without window; add window or remove {name}"),
                );
            }
        }
        if has(self, "learn") && !baseline {
            self.problem(
                place(self, "learn"),
                "learn means nothing without baseline; add baseline or remove learn",
            );
        }
        if let (Some(step), Some(window)) = (detection.step, detection.window)
            && step > window
        {
            self.problem(
                place(self, "step"),
                "step is longer than window; events between two windows would be seen by none",
            );
        }
    }
}

fn is_filled(text: &str) -> bool {
    !text.trim().is_empty()
}

fn is_address(text: &str) -> bool {
    (text.starts_with("https://") || text.starts_with("http://")) && !text.contains(char::is_whitespace)
}

/// `T1552` or `T1552.007`.
fn is_technique(text: &str) -> bool {
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    let Some(number) = text.strip_prefix('T') else { return false };
    match number.split_once('.') {
        Some((main, sub)) => digits(main, 4) && digits(sub, 3),
        None => digits(number, 4),
    }
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
