//! A saved query: a question somebody asks again and again, with what it needs to be told.
//!
//! `queries/<id>.sql`: the fence of a detection with the word `query`, then one `SELECT` with an
//! `ORDER BY`. Parameters stand in the SQL as `$name`. The range of time is the command's.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::diagnostic::closest;
use super::header::{self, Form, Header, is_address, is_id};
use super::tree::Tree;
use super::{Diagnostic, Parameter};

/// One query. Everything here passed the header's checks; the SQL is not planned yet.
#[derive(Debug, Clone)]
pub struct Query {
    /// File stem.
    pub id: String,
    /// As shown in messages: `queries/<id>.sql`.
    pub path: PathBuf,
    pub title: String,
    /// One of [`TOPICS`], which groups queries for people.
    pub topic: Option<String>,
    pub description: String,
    /// Sections 1 to 9 of the AKS security guide it is an audit of.
    pub section: Vec<u8>,
    /// Queries that go on where this one ends.
    pub see_also: Vec<String>,
    pub references: Vec<String>,
    pub params: Vec<Parameter>,
    /// Values to try it with, as on a command line: what the documentation shows and a test runs.
    pub example: Vec<(String, String)>,
    /// The whole file with every header line blanked, so that SQL positions are file positions.
    pub sql: String,
    /// 1-based line and column in the file: of each key's value under the key's name, of items of a
    /// list under `see_also.0`, …, of the opening fence under `query`, of the statement under `sql`.
    pub positions: HashMap<String, (usize, usize)>,
}

/// What a query is about, and the question that its group answers.
pub const TOPICS: [(&str, &str); 9] = [
    ("identity", "Who did what, from where?"),
    ("privilege", "Who may do what, and who let them?"),
    ("secrets", "Which secrets and credentials were touched?"),
    ("workload", "What runs, and what was run in it?"),
    ("change", "What was changed, and what was deleted?"),
    ("network", "What can be reached?"),
    ("platform", "What do nodes and control plane say?"),
    ("logs", "Is the record complete, and what does it cost?"),
    ("report", "Does a section of the AKS security guide hold?"),
];

const FORM: Form = Form {
    kind: "query",
    docs: "docs/hunting.md",
    keys: &[
        ("title", "\"What an identity did\""),
        ("description", "\"what the rows say and what to look for\""),
        ("topic", "\"identity\""),
        ("section", "[1]"),
        ("see_also", "[\"denied-by-identity\"]"),
        ("references", "[\"https://learn.microsoft.com/azure/aks/\"]"),
        ("example", "{ identity = \"anna@contoso.com\" }"),
        ("params", "{ identity = { type = \"string\", description = \"whose\", required = true } }"),
    ],
    required: 2,
};

impl Query {
    /// Reads a query. `path` is what messages show, `id` the file's stem.
    pub fn parse(path: &Path, id: &str, text: &str) -> Result<Query, Vec<Diagnostic>> {
        header::read(path, &FORM, id, text, |header| header.query(id))
    }

    /// Where `name` of [`Query::positions`] stands; the opening fence if the file has no such thing.
    pub fn position(&self, name: &str) -> (usize, usize) {
        let find = |name: &str| self.positions.get(name).copied();
        find(name).or_else(|| find("query")).unwrap_or((1, 1))
    }
}

impl Header<'_> {
    fn query(&mut self, id: &str) -> Query {
        let params = self.parameters();
        Query {
            example: self.example(&params),
            id: id.to_string(),
            path: self.path.to_path_buf(),
            title: self.line("title"),
            topic: self.topic(),
            description: self.filled("description"),
            section: self.section(),
            see_also: self.checked_texts(
                "see_also",
                is_id,
                "is no id of a query; ids have lower case letters, digits and dashes",
            ),
            references: self.checked_texts(
                "references",
                is_address,
                "is no address; write one that begins with https://",
            ),
            params,
            sql: self.fence.sql.clone(),
            positions: std::mem::take(&mut self.positions),
        }
    }
}

impl Header<'_> {
    fn topic(&mut self) -> Option<String> {
        let (topic, place) = self.text("topic", "a text in quotes")?;
        let known = TOPICS.map(|(topic, _)| topic);
        if known.contains(&topic) {
            return Some(topic.to_string());
        }
        let hint = match closest(topic, known) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => format!("there are {}", known.join(", ")),
        };
        self.problem(place, format!("unknown topic \"{topic}\"; {hint}"));
        None
    }
}

/// The saved queries of a run, in order of id.
#[derive(Debug, Clone, Default)]
pub struct Queries {
    pub all: Vec<Query>,
}

impl Queries {
    /// Loads every file of `folder`; without one, of `queries` beside the working directory, else of
    /// the pack in this program. A file with errors is left out and each of its problems reported.
    pub fn load(folder: Option<&Path>) -> (Queries, Vec<Diagnostic>) {
        let beside = || Some(PathBuf::from("queries")).filter(|path| path.is_dir());
        let tree = folder.map(Path::to_path_buf).or_else(beside).map_or_else(Tree::queries, Tree::Disk);
        let mut queries = Queries::default();
        let mut problems = Vec::new();
        let listing = match tree.list(&[]) {
            Ok(listing) => listing,
            Err(problem) => return (queries, vec![problem]),
        };
        for file in &listing.files {
            let Some(id) = file.strip_suffix(".sql") else { continue };
            let parsed = tree.text(&[file]).map_err(|problem| vec![problem]);
            match parsed.and_then(|text| Query::parse(&tree.shown(&[file]), id, &text)) {
                Ok(query) => queries.all.push(query),
                Err(found) => problems.extend(found),
            }
        }
        problems.extend(queries.dangling(&listing.files));
        (queries, problems)
    }

    /// The query of this id.
    pub fn get(&self, id: &str) -> Option<&Query> {
        self.all.iter().find(|query| query.id == id)
    }

    /// References to queries that no file holds, not even a broken one.
    fn dangling(&self, files: &[String]) -> Vec<Diagnostic> {
        let known: Vec<&str> = files.iter().filter_map(|file| file.strip_suffix(".sql")).collect();
        let mut problems = Vec::new();
        for query in &self.all {
            for (at, other) in query.see_also.iter().enumerate() {
                if known.contains(&other.as_str()) {
                    continue;
                }
                let hint = match closest(other, known.iter().copied()) {
                    Some(meant) => format!("did you mean \"{meant}\"?"),
                    None => "add it or remove the reference".to_string(),
                };
                let place = query.position(&format!("see_also.{at}"));
                problems.push(Diagnostic::error(&query.path, place, format!("no query \"{other}\"; {hint}")));
            }
        }
        problems
    }
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
