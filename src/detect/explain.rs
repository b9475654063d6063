//! DataFusion's planning errors in the words of the tables, each at its place in the file.

use datafusion::common::{Column, SchemaError};
use datafusion::error::DataFusionError;

use super::lint::{Problem, lower_first, suggestion};
use crate::event::schema::TABLES;

/// What the planner's error says of the rule's SQL. `select` is where the statement begins;
/// `relations` are the tables and aliases it names.
pub fn problem(error: &DataFusionError, sql: &str, select: (usize, usize), relations: &[String]) -> Problem {
    let at = error
        .diagnostic()
        .and_then(|d| d.span)
        .map(|span| (span.start.line as usize, span.start.column as usize))
        .filter(|(line, _)| *line > 0);
    if relations.is_empty() {
        return Problem { at: select, message: "no table; write FROM audit or FROM control_plane".into() };
    }
    match schema_error(error) {
        Some(SchemaError::FieldNotFound { field, valid_fields }) => {
            let at = at.or_else(|| span_of(field)).or_else(|| find_word(sql, &field.name)).unwrap_or(select);
            Problem { at, message: unknown_column(field, valid_fields, sql, at) }
        }
        Some(SchemaError::AmbiguousReference { field }) => {
            let name = &field.name;
            let at = at.or_else(|| span_of(field)).or_else(|| find_word(sql, name)).unwrap_or(select);
            let choices: Vec<String> = relations.iter().map(|r| format!("{r}.{name}")).collect();
            let message = format!(
                "column \"{name}\" is in {}; write {}",
                relations.join(" and in "),
                choices.join(" or ")
            );
            Problem { at, message }
        }
        _ => other(error, sql, at, select),
    }
}

fn unknown_column(field: &Column, valid: &[Column], sql: &str, at: (usize, usize)) -> String {
    let name = &field.name;
    let table = match &field.relation {
        Some(relation) => Some(relation.table().to_string()),
        None => table_of(valid).map(String::from),
    };
    let from = table.as_ref().map_or(String::new(), |t| format!(" in {t}"));
    let elsewhere = TABLES.iter().find(|(t, columns)| {
        Some(*t) != table_of(valid) && columns.iter().any(|column| column.name == *name)
    });
    let line = sql.lines().nth(at.0.saturating_sub(1)).unwrap_or_default();
    let hint = if let Some((other, _)) = elsewhere {
        format!("; it is in {other}")
    } else if line.chars().nth(at.1.saturating_sub(1)) == Some('"') {
        format!("; text stands in single quotes: '{name}'")
    } else {
        suggestion(name, valid.iter().map(|c| c.name.as_str()))
    };
    format!("no column \"{name}\"{from}{hint}")
}

/// Any other error: its root's words, at the first thing it names.
fn other(error: &DataFusionError, sql: &str, at: Option<(usize, usize)>, select: (usize, usize)) -> Problem {
    let root = error.find_root();
    let text = root.message().to_string();
    let text = text.lines().next().unwrap_or_default();
    if let Some(rest) = text.split("non-boolean predicate '").nth(1) {
        let predicate = rest.split('\'').next().unwrap_or_default();
        let bare = predicate.rsplit('.').next().unwrap_or(predicate);
        let condition = sql.to_uppercase().find("WHERE").unwrap_or(0);
        let at = find_from(sql, condition, bare).unwrap_or(select);
        let kind = if text.contains("Utf8") { "text" } else { "a value" };
        let message = format!("the condition is {kind}, not true or false; compare it with something");
        return Problem { at, message };
    }
    let named = || quoted(text).and_then(|word| find_word(sql, word));
    let called = || {
        let words = text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty());
        words.into_iter().find_map(|word| find_word(sql, &format!("{word}(")))
    };
    Problem { at: at.or_else(named).or_else(called).unwrap_or(select), message: lower_first(text.trim()) }
}

fn span_of(column: &Column) -> Option<(usize, usize)> {
    column
        .spans()
        .first()
        .map(|s| (s.start.line as usize, s.start.column as usize))
        .filter(|(line, _)| *line > 0)
}

fn schema_error(error: &DataFusionError) -> Option<&SchemaError> {
    match error {
        DataFusionError::SchemaError(inner, _) => Some(inner),
        DataFusionError::Diagnostic(_, inner) | DataFusionError::Context(_, inner) => schema_error(inner),
        DataFusionError::Collection(all) => all.iter().find_map(schema_error),
        DataFusionError::Shared(inner) => schema_error(inner),
        _ => None,
    }
}

/// The table whose columns these are, where they are those of one table.
fn table_of(valid: &[Column]) -> Option<&'static str> {
    let all_in = |columns: &[crate::event::schema::Column]| {
        !valid.is_empty() && valid.iter().all(|v| columns.iter().any(|c| c.name == v.name))
    };
    TABLES.iter().find(|(_, columns)| all_in(columns)).map(|(name, _)| *name)
}

/// The first text in single or double quotes.
fn quoted(text: &str) -> Option<&str> {
    let open = text.find(['\'', '"'])?;
    let quote = char::from(*text.as_bytes().get(open)?);
    let rest = text.get(open + 1..)?;
    rest.find(quote).and_then(|end| rest.get(..end))
}

/// Line and column of the first occurrence of a word in the SQL, its opening quote included.
fn find_word(sql: &str, word: &str) -> Option<(usize, usize)> {
    find_from(sql, 0, word)
}

fn find_from(sql: &str, from: usize, word: &str) -> Option<(usize, usize)> {
    if word.is_empty() {
        return None;
    }
    let mut at = from + sql.get(from..)?.find(word)?;
    if sql.get(..at)?.ends_with(['\'', '"']) {
        at -= 1;
    }
    let before = sql.get(..at)?;
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |s| s.chars().count()) + 1;
    Some((line, column))
}
