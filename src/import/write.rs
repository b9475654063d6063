//! A rule as a file of ours: the header's TOML and what stands before the SQL.

use chrono::TimeDelta;

use super::meta::{Meta, one_line};

/// Words in a line of prose.
const WIDTH: usize = 116;

/// What is in the header beside what the rule says of itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Header {
    pub key: Vec<String>,
    pub summary: String,
    pub categories: Vec<String>,
    pub window: Option<TimeDelta>,
    /// Sentences behind the description: what the rule cannot see.
    pub remarks: Vec<String>,
}

/// Words in lower case joined by dashes: `sigma-` and the title.
pub(super) fn id_of(title: &str) -> String {
    let mut id = String::from("sigma");
    let words = title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    for word in words {
        if id.len() + word.len() > 70 {
            break;
        }
        id.push('-');
        id += &word.to_lowercase();
    }
    id
}

/// The whole file; `file` is the name of the rule's own file.
pub(super) fn file(meta: &Meta, header: &Header, status: &str, file: &str, sql: &str) -> String {
    let mut lines = vec!["/// detection".to_owned()];
    lines.push(format!("title = {}", quoted(&meta.title)));
    lines.push(format!("severity = \"{}\"", meta.severity));
    lines.push(format!("status = \"{status}\""));
    if !meta.attack.is_empty() {
        lines.push(format!("attack = {}", list(&meta.attack)));
    }
    if !header.categories.is_empty() {
        lines.push(format!("categories = {}", list(&header.categories)));
    }
    lines.push(format!("key = {}", list(&header.key)));
    if let Some(window) = header.window {
        let window = duration(window);
        lines.push(format!("window = \"{window}\""));
        lines.push(format!("suppress = \"{window}\""));
    }
    lines.push(format!("summary = {}", quoted(&header.summary)));
    lines.push(String::new());
    lines.push("description = \"\"\"".into());
    lines.extend(description(meta, header, file));
    lines.push("\"\"\"".into());
    let (references, _) = references(meta);
    for (name, items) in [("false_positives", &meta.false_positives), ("references", &references)] {
        if !items.is_empty() {
            lines.push(format!("{name} = ["));
            lines.extend(items.iter().map(|item| format!("  {},", quoted(item))));
            lines.push("]".into());
        }
    }
    lines.push("///".into());
    let header: String = lines.iter().map(|line| format!("-- {line}").trim_end().to_owned() + "\n").collect();
    format!("{header}\n{}\n", sql.trim_end())
}

/// Addresses, and what is none.
fn references(meta: &Meta) -> (Vec<String>, Vec<String>) {
    let address = |text: &String| {
        (text.starts_with("https://") || text.starts_with("http://")) && !text.contains(char::is_whitespace)
    };
    meta.references.iter().cloned().partition(address)
}

fn description(meta: &Meta, header: &Header, file: &str) -> Vec<String> {
    let mut paragraphs: Vec<String> = Vec::new();
    for part in meta.description.split("\n\n") {
        let mut line = String::new();
        for next in part.lines().map(str::trim) {
            // A list stays one.
            if next.starts_with(['-', '*']) && !line.is_empty() {
                paragraphs.push(std::mem::take(&mut line));
            }
            line = format!("{line} {next}");
        }
        paragraphs.push(line);
    }
    let id = meta.id.as_ref().map(|id| format!(" {id}")).unwrap_or_default();
    let author = meta.author.as_ref().map(|author| format!(" by {author}")).unwrap_or_default();
    let date = meta.date.as_ref().map(|date| format!(" ({date})")).unwrap_or_default();
    let mut ours = vec![format!("From the Sigma rule{id}{author}{date}, file {}.", one_line(file))];
    let (_, other) = references(meta);
    if !other.is_empty() {
        ours.push(format!("It refers to: {}.", other.join("; ")));
    }
    ours.extend(header.remarks.iter().cloned());
    let wrap = |texts: &[String]| -> Vec<String> {
        texts.iter().flat_map(|text| wrapped(text)).map(|line| escaped(&line)).collect()
    };
    let mut lines = wrap(&paragraphs);
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines.extend(wrap(&ours));
    lines
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A line inside of a text of several lines. Three slashes alone would close the header.
fn escaped(line: &str) -> String {
    let escaped = line.replace('\\', "\\\\").replace("\"\"\"", "\\\"\\\"\\\"");
    match escaped.strip_prefix("///") {
        Some(rest) => format!("\\u002f//{rest}"),
        None => escaped,
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

fn list(items: &[String]) -> String {
    format!("[{}]", items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", "))
}

fn duration(span: TimeDelta) -> String {
    let seconds = span.num_seconds();
    let units = [(86_400, 'd'), (3_600, 'h'), (60, 'm')];
    match units.into_iter().find(|(unit, _)| seconds % unit == 0) {
        Some((unit, letter)) => format!("{}{letter}", seconds / unit),
        None => format!("{seconds}s"),
    }
}
