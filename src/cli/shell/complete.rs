//! What Tab offers: tables, columns, functions, keywords, saved queries, commands and file names.

use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper, Result};

use super::commands::COMMANDS;
use super::lines::is_complete;
use crate::event::schema::TABLES;
use crate::rules::Queries;

const KEYWORDS: &[&str] = &[
    "ALL",
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "CROSS",
    "DESC",
    "DISTINCT",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "FALSE",
    "FILTER",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "IN",
    "INNER",
    "INTERSECT",
    "INTERVAL",
    "IS",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NOT",
    "NULL",
    "NULLS",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OVER",
    "PARTITION",
    "RIGHT",
    "SELECT",
    "THEN",
    "TRUE",
    "UNION",
    "UNNEST",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WITH",
];

/// The words there are.
pub(super) struct Words {
    functions: Vec<String>,
    /// Queries with the names of their parameters.
    queries: Vec<(String, Vec<String>)>,
    files: FilenameCompleter,
}

impl Words {
    pub fn new(functions: Vec<String>, queries: &Queries) -> Self {
        let named = |query: &crate::rules::Query| {
            (query.id.clone(), query.params.iter().map(|p| p.name.clone()).collect())
        };
        let queries = queries.all.iter().map(named).collect();
        Self { functions, queries, files: FilenameCompleter::new() }
    }

    /// Where the word before the cursor begins, and what it may become.
    pub fn offers(&self, before: &str) -> (usize, Vec<String>) {
        if let Some(command) = before.trim_start().strip_prefix('\\') {
            return self.command(before, command);
        }
        let start = before
            .rfind(|c: char| !c.is_alphanumeric() && c != '_')
            .map_or(0, |at| at + before.get(at..).and_then(|t| t.chars().next()).map_or(1, char::len_utf8));
        let word = before.get(start..).unwrap_or_default();
        let columns = TABLES.iter().flat_map(|(_, columns)| columns.iter()).map(|c| c.name.to_string());
        // Behind a dot stands a column.
        if before.get(..start).is_some_and(|text| text.ends_with('.')) {
            return (start, matching(columns, word));
        }
        if word.is_empty() {
            return (start, Vec::new());
        }
        let tables = TABLES.iter().map(|(name, _)| (*name).to_string());
        let mut offers = matching(tables.chain(columns), word);
        offers.extend(matching(self.functions.iter().map(|name| format!("{name}(")), word));
        // Keywords as the word is written.
        let lower = word.starts_with(|c: char| c.is_lowercase());
        let keywords = KEYWORDS.iter().map(|k| if lower { k.to_lowercase() } else { (*k).to_string() });
        offers.extend(matching(keywords, word));
        (start, offers)
    }

    fn command(&self, before: &str, command: &str) -> (usize, Vec<String>) {
        let start = before.rfind(|c: char| c.is_whitespace()).map_or(0, |at| at + 1);
        let word = before.get(start..).unwrap_or_default();
        let mut words = command.split_whitespace();
        let (first, second) = (words.next().unwrap_or_default(), words.next());
        if !command.contains(char::is_whitespace) {
            let names = COMMANDS.iter().map(|(name, ..)| format!("\\{name}"));
            return (start, matching(names, word));
        }
        let offers = match first {
            "d" => matching(TABLES.iter().map(|(name, _)| (*name).to_string()), word),
            "df" => matching(self.functions.iter().cloned(), word),
            "format" => matching(["table", "ndjson", "json", "csv"].map(String::from).into_iter(), word),
            "run" | "show" => match second.filter(|id| before.contains(&format!("{id} "))) {
                None => matching(self.queries.iter().map(|(id, _)| id.clone()), word),
                Some(id) => {
                    let names = self.queries.iter().find(|(known, _)| known == id);
                    let names = names.map(|(_, names)| names.as_slice()).unwrap_or_default();
                    matching(names.iter().map(|name| format!("{name}=")), word)
                }
            },
            _ => Vec::new(),
        };
        (start, offers)
    }
}

/// Those that begin with the word, in any case, each once.
fn matching(names: impl Iterator<Item = String>, word: &str) -> Vec<String> {
    let word = word.to_lowercase();
    let mut names: Vec<String> = names.filter(|name| name.to_lowercase().starts_with(&word)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

impl Completer for Words {
    type Candidate = Pair;

    fn complete(&self, line: &str, cursor: usize, context: &Context<'_>) -> Result<(usize, Vec<Pair>)> {
        let before = line.get(..cursor).unwrap_or(line);
        if before.trim_start().starts_with("\\o ") {
            return self.files.complete(line, cursor, context);
        }
        let (start, offers) = self.offers(before);
        let pair = |offer: String| Pair { display: offer.clone(), replacement: offer };
        Ok((start, offers.into_iter().map(pair).collect()))
    }
}

impl Validator for Words {
    fn validate(&self, context: &mut ValidationContext<'_>) -> Result<ValidationResult> {
        Ok(match is_complete(context.input()) {
            true => ValidationResult::Valid(None),
            false => ValidationResult::Incomplete,
        })
    }
}

impl Hinter for Words {
    type Hint = String;
}

impl Highlighter for Words {}

impl Helper for Words {}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers(before: &str) -> (usize, Vec<String>) {
        let (queries, _) = Queries::load(None);
        Words::new(vec!["count".into(), "cidr_match".into(), "concat".into()], &queries).offers(before)
    }

    #[test]
    fn words_are_completed_where_they_stand() {
        assert_eq!(offers("SELECT usern"), (7, vec!["username".to_string()]));
        assert_eq!(offers("select a.impersonated_u"), (9, vec!["impersonated_username".to_string()]));
        assert_eq!(offers("SELECT cid"), (7, vec!["cidr_match(".to_string()]));
        assert_eq!(offers("SELECT 1 FROM aud").1, ["audit", "audit_id"]);
        assert_eq!(offers("select 1 whe").1, ["when", "where"]);
        assert_eq!(offers("SELECT 1 WHE").1, ["WHEN", "WHERE"]);
        assert_eq!(offers("SELECT é,usern").0, 10);
        assert_eq!(offers("SELECT "), (7, Vec::<String>::new()));
    }

    #[test]
    fn commands_take_their_own_words() {
        assert_eq!(offers("\\ti").1, ["\\timing"]);
        assert_eq!(offers("\\d con").1, ["control_plane"]);
        assert_eq!(offers("\\run identity-t").1, ["identity-timeline"]);
        assert_eq!(offers("\\run identity-timeline id"), (23, vec!["identity=".to_string()]));
        assert_eq!(offers("\\df con").1, ["concat"]);
    }
}
