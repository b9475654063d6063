//! A TOML text being read: values go out with their places, problems are collected, all of them. What
//! a value means is its section's; here are the forms of values that sections share.

use std::cell::RefCell;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys;
use crate::identity::Secret;
use crate::rules::Diagnostic;
use crate::rules::closest;
use crate::rules::parse_duration;

/// 1-based line and column; columns count characters.
pub(super) type Place = (usize, usize);

/// The variables of the environment.
pub(super) type Environment<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// The file, the environment, and what is wrong with both.
pub(super) struct Document<'a> {
    path: &'a Path,
    text: &'a str,
    environment: &'a Environment<'a>,
    problems: RefCell<Vec<Diagnostic>>,
}

/// A value that is text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a> {
    pub key: &'static str,
    pub text: &'a str,
    pub place: Place,
}

impl<'a> Document<'a> {
    pub fn new(path: &'a Path, text: &'a str, environment: &'a Environment<'a>) -> Self {
        Self { path, text, environment, problems: RefCell::default() }
    }

    pub fn problem(&self, place: Place, message: impl Into<String>) {
        self.problems.borrow_mut().push(Diagnostic::error(self.path, place, message));
    }

    /// The line and column of a byte of the text.
    pub fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before.get(line..).unwrap_or_default().chars().count() + 1)
    }

    /// All problems in order; a syntax error swallows what was found behind it on its line.
    pub fn finish(self, syntax: Vec<toml::de::Error>) -> Vec<Diagnostic> {
        let mut problems = Vec::new();
        for error in syntax {
            let place = self.place(error.span().unwrap_or_default().start);
            let message = error.message().replace('\n', ", ");
            if problems.iter().all(|earlier: &Diagnostic| earlier.line != place.0) {
                problems.push(Diagnostic::error(self.path, place, format!("not TOML: {message}")));
            }
        }
        let broken: Vec<usize> = problems.iter().map(|problem| problem.line).collect();
        let others = self.problems.into_inner();
        problems.extend(others.into_iter().filter(|problem| !broken.contains(&problem.line)));
        problems.sort_by(|a, b| (a.line, a.column, &a.message).cmp(&(b.line, b.column, &b.message)));
        problems.dedup();
        problems
    }

    /// A variable that may be absent; blanks around it are a slip of whoever set it.
    pub fn variable(&self, name: &str) -> Option<String> {
        let value = (self.environment)(name)?;
        Some(value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// The variable that a key names. The message never shows what is in it.
    pub fn secret(&self, name: Text, what: &str) -> Option<Secret> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.text.is_empty() || !name.text.chars().all(plain) {
            let (key, what) = (name.key, what);
            self.problem(
                name.place,
                format!("{key} must be the name of an environment variable that holds {what}, such as {key} = {}; if this is {what} itself, take it out of the file and renew it", example(key)),
            );
            return None;
        }
        let value = self.variable(name.text);
        if value.is_none() {
            let state = if (self.environment)(name.text).is_some() { "empty" } else { "not set" };
            self.problem(
                name.place,
                format!("environment variable {} is {state}; it must hold {what} (in Kubernetes: env with valueFrom.secretKeyRef)", name.text),
            );
        }
        value.map(Secret::new)
    }
}

fn example(key: &str) -> &'static str {
    keys::KEYS.iter().find(|known| known.name == key).map_or("\"NAME\"", |known| known.example)
}

/// One table of the file.
pub(super) struct Table<'a> {
    pub doc: &'a Document<'a>,
    table: &'a DeTable<'a>,
    /// The tables of [`keys::KEYS`] whose keys may stand here.
    pub names: Vec<&'static str>,
    /// As messages call it: `[source.eventhubs]`.
    pub shown: String,
    /// Where it begins.
    pub place: Place,
}

impl<'a> Table<'a> {
    /// The table with its keys unchecked; [`Table::known`] checks them.
    pub fn new(
        doc: &'a Document<'a>,
        table: &'a DeTable<'a>,
        names: &[&'static str],
        shown: impl Into<String>,
        place: Place,
    ) -> Self {
        Self { doc, table, names: names.to_vec(), shown: shown.into(), place }
    }

    /// Refuses keys that nobody reads.
    pub fn known(self) -> Self {
        let here = self.names.last().copied().unwrap_or_default();
        for key in self.table.keys() {
            let name = key.get_ref().as_ref();
            if keys::find(&self.names, name).is_some() {
                continue;
            }
            let known: Vec<&str> = self.names.iter().flat_map(|t| keys::of(t)).map(|k| k.name).collect();
            let shown = &self.shown;
            let message = if let Some(instead) = keys::instead_of_secret(here, name) {
                format!("\"{name}\" is a secret, and secrets do not stand in this file; {instead}")
            } else if let Some(meant) = closest(name, known.iter().copied()) {
                format!("unknown key \"{name}\" in {shown}; did you mean \"{meant}\"?")
            } else {
                format!("unknown key \"{name}\" in {shown}; it can hold {}", known.join(", "))
            };
            self.doc.problem(self.doc.place(key.span().start), message);
        }
        self
    }

    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Where a key's value stands; the table's place if it is absent.
    pub fn place_of(&self, key: &str) -> Place {
        self.table.get(key).map_or(self.place, |value| self.doc.place(value.span().start))
    }

    pub fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table.get(key)
    }

    /// Every key with its place and value, for tables whose keys are names.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, Place, &'a Spanned<DeValue<'a>>)> {
        self.table
            .iter()
            .map(|(key, value)| (key.get_ref().as_ref(), self.doc.place(key.span().start), value))
    }

    pub fn wrong(&self, key: &str, place: Place, expected: &str) {
        let example = keys::find(&self.names, key).map_or("", |key| key.example);
        let example = if example.is_empty() { String::new() } else { format!(", such as {key} = {example}") };
        self.doc.problem(place, format!("{key} must be {expected}{example}"));
    }

    /// A table inside this one.
    pub fn table(&self, key: &str, names: &[&'static str], shown: &str) -> Option<Table<'a>> {
        let value = self.table.get(key)?;
        let place = self.doc.place(value.span().start);
        match value.get_ref().as_table() {
            Some(table) => Some(Table::new(self.doc, table, names, shown, place).known()),
            None => {
                self.wrong(key, place, "a table");
                None
            }
        }
    }

    /// Says that a key is missing.
    pub fn missing(&self, key: &str) {
        let example = keys::find(&self.names, key).map_or("", |key| key.example);
        self.doc.problem(
            self.place,
            format!("missing key \"{key}\" in {}; add a line such as {key} = {example}", self.shown),
        );
    }

    fn text_of(&self, key: &str, value: &'a Spanned<DeValue<'a>>, expected: &str) -> Option<Text<'a>> {
        let place = self.doc.place(value.span().start);
        let Some(text) = value.get_ref().as_str() else {
            self.wrong(key, place, expected);
            return None;
        };
        if looks_secret(text) {
            let instead = keys::instead_of_secret(self.names.last().copied().unwrap_or_default(), "secret");
            let instead = instead.unwrap_or_default();
            self.doc.problem(
                place,
                format!("{key} holds a secret, and secrets do not stand in this file; renew it, {instead}"),
            );
            return None;
        }
        // A key that is read is one of the list: a name that lives as long as the program.
        let key = keys::find(&self.names, key).map_or("", |known| known.name);
        Some(Text { key, text, place })
    }

    /// Text that is not empty.
    pub fn text(&self, key: &str) -> Option<Text<'a>> {
        let value = self.table.get(key)?;
        let text = self.text_of(key, value, "text in quotes")?;
        if text.text.trim().is_empty() {
            self.wrong(key, text.place, "more than nothing");
            return None;
        }
        Some(text)
    }

    /// [`Table::text`] that must be there; `""` beside a problem if it is not.
    pub fn required(&self, key: &'static str) -> Text<'a> {
        if !self.has(key) {
            self.missing(key);
        }
        self.text(key).unwrap_or(Text { key, text: "", place: self.place })
    }

    pub fn flag(&self, key: &str) -> Option<bool> {
        let value = self.table.get(key)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.wrong(key, self.doc.place(value.span().start), "true or false, without quotes");
        }
        flag
    }

    /// A list of texts; `None` where there is none, or beside a problem.
    fn list(&self, key: &str) -> Option<Vec<Text<'a>>> {
        let value = self.table.get(key)?;
        let Some(items) = value.get_ref().as_array() else {
            self.wrong(key, self.doc.place(value.span().start), "a list of texts");
            return None;
        };
        Some(items.iter().filter_map(|item| self.text_of(key, item, "a list of texts")).collect())
    }

    /// A list of texts that may be absent.
    pub fn texts(&self, key: &str) -> Vec<Text<'a>> {
        self.list(key).unwrap_or_default()
    }

    /// A text or a list of them, none empty.
    pub fn one_or_more(&self, key: &str, expected: &str) -> Vec<Text<'a>> {
        let Some(value) = self.table.get(key) else { return Vec::new() };
        let texts = match value.get_ref().as_array() {
            Some(_) => self.texts(key),
            None => self.text_of(key, value, expected).into_iter().collect(),
        };
        if let Some(empty) = texts.iter().find(|text| text.text.trim().is_empty()) {
            self.wrong(key, empty.place, expected);
        }
        texts
    }

    /// A list of texts that must be there and hold something.
    pub fn required_texts(&self, key: &str, expected: &str) -> Vec<Text<'a>> {
        if !self.has(key) {
            self.missing(key);
        }
        let list = self.list(key);
        let empty = |list: &Vec<Text>| list.is_empty() || list.iter().any(|text| text.text.trim().is_empty());
        if list.as_ref().is_some_and(empty) {
            self.wrong(key, self.place_of(key), expected);
        }
        list.unwrap_or_default()
    }

    /// A duration within bounds.
    pub fn duration(&self, key: &str, least: &str, most: &str) -> Option<Duration> {
        let text = self.text_of(key, self.table.get(key)?, "a duration in quotes")?;
        let parse = |text: &str| match text.strip_suffix(['s', 'm', 'h', 'd']) {
            Some("0") => Ok(Duration::ZERO),
            _ => parse_duration(text).map(|span| span.to_std().unwrap_or_default()),
        };
        self.within(key, text, parse, least, most)
    }

    /// A number of bytes within bounds.
    pub fn size(&self, key: &str, least: &str, most: &str) -> Option<u64> {
        let text = self.text_of(key, self.table.get(key)?, "a size in quotes")?;
        self.within(key, text, parse_size, least, most)
    }

    fn within<T: PartialOrd>(
        &self,
        key: &str,
        text: Text,
        parse: impl Fn(&str) -> Result<T, String>,
        least: &str,
        most: &str,
    ) -> Option<T> {
        let message = match parse(text.text) {
            Err(message) => format!("{key}: {message}"),
            Ok(value) if parse(least).is_ok_and(|least| value < least) => {
                format!("{key} must be at least \"{least}\"")
            }
            Ok(value) if parse(most).is_ok_and(|most| value > most) => {
                format!("{key} must be at most \"{most}\"")
            }
            Ok(value) => return Some(value),
        };
        self.doc.problem(text.place, message);
        None
    }

    /// One of a few words.
    pub fn one_of<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = words.iter().find(|(word, _)| *word == text.text).map(|(_, value)| *value);
        if found.is_none() {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.doc.problem(text.place, unknown_word(key, text.text, &words));
        }
        found
    }

    /// Text that a type of ours reads.
    pub fn parsed<T: FromStr>(&self, key: &str) -> Option<T>
    where
        T::Err: std::fmt::Display,
    {
        let text = self.text(key)?;
        text.text.parse().map_err(|error| self.doc.problem(text.place, format!("{key}: {error}"))).ok()
    }
}

/// What to say of a word that is none of those possible.
pub(super) fn unknown_word(key: &str, word: &str, words: &[&str]) -> String {
    match closest(word, words.iter().copied()) {
        Some(meant) => format!("unknown {key} \"{word}\"; did you mean \"{meant}\"?"),
        None => format!("unknown {key} \"{word}\"; use {}", words.join(", ")),
    }
}

/// Whether text carries a key of Azure or a password, wherever it stands. Only the text's beginning
/// could be shown otherwise, in a message about what is wrong with it.
fn looks_secret(text: &str) -> bool {
    let text = text.to_lowercase();
    ["sharedaccesskey=", "accountkey=", "sharedaccesssignature=", "sig=", "password=", "secret="]
        .iter()
        .any(|mark| text.contains(mark))
}

/// Parses a whole number and one of `B`, `KB`, `MB`, `GB`, each 1,024 times the one before.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let units = [("KB", 10), ("MB", 20), ("GB", 30), ("TB", 40), ("B", 0)];
    let parse = || {
        let (digits, bits) = units.iter().find_map(|(unit, bits)| Some((text.strip_suffix(unit)?, *bits)))?;
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        digits.parse::<u64>().ok()?.checked_mul(1 << bits)
    };
    parse().ok_or_else(|| {
        format!("\"{text}\" is no size; write a whole number and KB, MB or GB, such as \"64MB\"")
    })
}
