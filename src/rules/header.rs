//! A header being read: which keys there are, their types, where each value stands.
//!
//! What all kinds of files share; which keys a detection or a query has is decided beside each. Every
//! problem of a file is reported, not only the first. What needs the tables (whether a column exists,
//! whether the statement is one) is left to `detect` and `hunt`.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use chrono::TimeDelta;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::closest;
use super::fence::Fence;
use super::{Diagnostic, parse_duration};

/// Nothing a rule counts in is longer than what an archive keeps.
const LONGEST: TimeDelta = TimeDelta::days(400);

/// Whether `id` can be the id of a rule or query: lower case letters, digits and dashes.
pub(super) fn is_id(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// What the header of one kind of file holds.
pub(super) struct Form {
    /// The word of the opening fence.
    pub kind: &'static str,
    /// Where the keys are described.
    pub docs: &'static str,
    /// Every key with an example; the first `required` of them must be there.
    pub keys: &'static [(&'static str, &'static str)],
    pub required: usize,
}

/// A header being read: values go out, problems are collected.
pub(super) struct Header<'a> {
    pub path: &'a Path,
    pub form: &'a Form,
    pub fence: &'a Fence,
    pub table: &'a DeTable<'a>,
    pub positions: HashMap<String, Place>,
    pub problems: Vec<Diagnostic>,
}

/// Line and column in the file, 1-based.
pub(super) type Place = (usize, usize);

/// Reads a file whose stem is `id`: its header's keys are checked, and `values` takes them out.
pub(super) fn read<T>(
    path: &Path,
    form: &Form,
    id: &str,
    text: &str,
    values: impl FnOnce(&mut Header<'_>) -> T,
) -> Result<T, Vec<Diagnostic>> {
    let fence = Fence::split(text, form.kind)
        .map_err(|(position, message)| vec![Diagnostic::error(path, position, message)])?;
    let (table, syntax) = DeTable::parse_recoverable(&fence.toml);
    let (positions, problems) = (HashMap::new(), Vec::new());
    let mut header = Header { path, form, fence: &fence, table: table.get_ref(), positions, problems };
    header.file(id);
    header.keys(syntax.is_empty());
    let value = values(&mut header);
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
    if problems.is_empty() { Ok(value) } else { Err(problems) }
}

impl<'a> Header<'a> {
    pub(super) fn problem(&mut self, place: Place, message: impl Into<String>) {
        self.problems.push(Diagnostic::error(self.path, place, message));
    }

    pub(super) fn place(&self, span: Range<usize>) -> Place {
        self.fence.position(span.start)
    }

    /// What the file's name and body must be.
    fn file(&mut self, id: &str) {
        self.positions.insert(self.form.kind.into(), self.fence.opening);
        if !is_id(id) {
            self.problem(
                self.fence.opening,
                format!("\"{id}\" is no id; name the file with lower case letters, digits and dashes"),
            );
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
        let (table, form) = (self.table, self.form);
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if form.keys.iter().any(|(known, _)| *known == name) {
                self.positions.insert(name.to_string(), self.place(value.span()));
                continue;
            }
            let advice = match closest(name, form.keys.iter().map(|(known, _)| *known)) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => format!("remove it, or see the keys in {}", form.docs),
            };
            self.problem(self.place(key.span()), format!("unknown key \"{name}\"; {advice}"));
        }
        // Behind a syntax error keys may be missing that are there.
        for (name, example) in form.keys.iter().take(form.required).filter(|_| complete) {
            if !table.contains_key(*name) {
                self.problem(
                    self.fence.opening,
                    format!("missing key \"{name}\"; add a line such as {name} = {example}"),
                );
            }
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<(&'a DeValue<'a>, Place)> {
        let value: &'a Spanned<DeValue<'a>> = self.table.get(name)?;
        Some((value.get_ref(), self.place(value.span())))
    }

    pub(super) fn wrong_type(&mut self, name: &str, place: Place, expected: &str) {
        let example =
            self.form.keys.iter().find(|(known, _)| *known == name).map_or("", |(_, example)| *example);
        self.problem(place, format!("{name} must be {expected}, such as {name} = {example}"));
    }

    pub(super) fn text(&mut self, name: &str, expected: &str) -> Option<(&'a str, Place)> {
        let (value, place) = self.get(name)?;
        if value.as_str().is_none() {
            self.wrong_type(name, place, expected);
        }
        Some((value.as_str()?, place))
    }

    /// A text that is not blank; empty where it is missing.
    pub(super) fn filled(&mut self, name: &str) -> String {
        let Some((text, place)) = self.text(name, "a text in quotes") else { return String::new() };
        if text.trim().is_empty() {
            self.problem(place, format!("{name} is empty"));
        }
        text.trim_end().to_string()
    }

    /// A text of one line.
    pub(super) fn line(&mut self, name: &str) -> String {
        let text = self.filled(name);
        if text.contains('\n')
            && let Some((_, place)) = self.get(name)
        {
            self.problem(place, format!("{name} has several lines; write one"));
        }
        text
    }

    /// The items of a list with their places, which are noted as `name.0`, `name.1`, ….
    pub(super) fn items(&mut self, name: &str, expected: &str) -> Vec<(&'a DeValue<'a>, Place)> {
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
    pub(super) fn checked_texts(
        &mut self,
        name: &str,
        check: fn(&str) -> bool,
        complaint: &str,
    ) -> Vec<String> {
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

    pub(super) fn section(&mut self) -> Vec<u8> {
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

    pub(super) fn duration(&mut self, name: &str) -> Option<TimeDelta> {
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
}

pub(super) fn is_filled(text: &str) -> bool {
    !text.trim().is_empty()
}

pub(super) fn is_address(text: &str) -> bool {
    (text.starts_with("https://") || text.starts_with("http://")) && !text.contains(char::is_whitespace)
}
