//! What a question must become to be a rule: a header with blanks, the SQL without what a rule does not
//! have, and what would still be wrong.

use std::path::Path;

use anyhow::Context as _;

use super::output::{Format, Printer, Table, stdout};
use super::{Context, Exit, engine, terminal};
use crate::alert::Object;
use crate::detect::{Promotion, promote};
use crate::rules::{Catalog, Hints, Parts, draft_header, parse_detection};

/// Columns that say whose alert it is, in the order they are best named.
const WHOSE: [&str; 6] = ["cluster", "username", "client_ip", "namespace", "name", "component"];

/// Prints the skeleton of a rule made of a query's text, and on standard error what is to be done.
pub(super) fn run(context: &Context, path: &Path, text: &str, catalog: &Catalog) -> anyhow::Result<Exit> {
    let format = context.format()?;
    let parts = Parts::of(text);
    let found = match promote(&parts.sql) {
        Ok(found) => found,
        Err(((line, column), message)) => {
            anyhow::bail!("{}:{line}:{column}: {message}", path.display())
        }
    };
    let columns: Vec<&str> = found.columns.iter().map(String::as_str).collect();
    let named: Vec<&str> = WHOSE.into_iter().filter(|name| columns.contains(name)).collect();
    // Columns nobody selects cannot be a key; those every alert should have are asked for below.
    let key = if named.is_empty() { columns.iter().copied().take(1).collect() } else { named.clone() };
    let hints = Hints {
        key: key.into_iter().filter(|name| !matches!(*name, "name" | "namespace")).collect(),
        named,
        gathers: found.gathers,
        control_plane: found.control_plane,
    };
    let todo = todo(&parts, &found, &columns);
    let skeleton = draft_header(&parts, &hints) + "\n" + &body(&parts.sql, &found);
    let mut remaining: Vec<String> = todo.clone();
    remaining.extend(check(path, &skeleton, catalog));

    if format == Format::Table {
        use std::io::Write as _;
        let mut out = stdout();
        let remarks: String = remaining.iter().map(|remark| format!("-- TO DO: {remark}\n")).collect();
        let page = terminal_lines(&format!("{skeleton}\n{remarks}"));
        out.write_all(page.as_bytes()).and_then(|()| out.flush()).context("writing to standard output")?;
    } else {
        let fields = ["file", "skeleton", "to_do"].map(str::to_owned).to_vec();
        let mut printer = Printer::new(stdout(), format, Table::new(Vec::new(), Default::default()), fields);
        let item: Object = [
            ("file".to_owned(), path.to_string_lossy().into()),
            ("skeleton".to_owned(), skeleton.into()),
            ("to_do".to_owned(), remaining.into()),
        ]
        .into_iter()
        .collect();
        printer.item(&item, Vec::new).context("writing to standard output")?;
        printer.finish().context("writing to standard output")?;
    }
    if !context.terminal.quiet {
        terminal::say(&format!(
            "{} is no rule yet: save the skeleton (--format table prints it as a file) as detections/<tactic>/<id>.sql, fill in \
             what is marked, and backtest that",
            terminal::safe(&path.to_string_lossy())
        ));
    }
    Ok(Exit::Done)
}

/// Each line by itself without what could steer a terminal.
fn terminal_lines(text: &str) -> String {
    text.lines().map(|line| terminal::safe(line) + "\n").collect()
}

fn todo(parts: &Parts, found: &Promotion, columns: &[&str]) -> Vec<String> {
    let mut todo = Vec::new();
    if parts.kind.is_none() {
        todo.push("write title, severity, key, summary and description".to_owned());
    } else {
        todo.push(
            "say in title and description what happened and what to do; choose the severity".to_owned(),
        );
    }
    if found.everything {
        todo.push("name the columns of the SELECT instead of *: those are the alert's evidence".into());
    }
    let table = if found.control_plane { &["cluster"][..] } else { &["cluster", "username", "client_ip"] };
    let missing: Vec<&str> = table.iter().copied().filter(|name| !columns.contains(name)).collect();
    if !missing.is_empty() && !found.everything {
        todo.push(format!("select {} too: an alert should say where and who", missing.join(", ")));
    }
    for ((line, column), condition) in &found.times {
        todo.push(format!(
            "remove the condition on time at line {line}, column {column} of the query ({condition}): a rule has a window, or none"
        ));
    }
    for parameter in &found.parameters {
        todo.push(format!(
            "replace the parameter {parameter} by a value or a list: nobody is asked when a rule runs"
        ));
    }
    if found.gathers {
        todo.push("choose the window, and a HAVING that says how many are too many".into());
    }
    todo.push(
        "add cases: fires-<why>.ndjson and silent-<why>.ndjson in the folder <id> beside the rule".into(),
    );
    todo
}

/// The query with its order put into comments.
fn body(sql: &str, found: &Promotion) -> String {
    let mut body = String::new();
    for (at, line) in (1..).zip(sql.lines()) {
        match found.order {
            Some((from, column)) if at == from => {
                let split = line.char_indices().nth(column.saturating_sub(1)).map_or(line.len(), |(i, _)| i);
                let (before, order) = line.split_at(split);
                if !before.trim().is_empty() {
                    body += before.trim_end();
                    body.push('\n');
                }
                body += &format!("-- dropped, alerts come in order of event time: {}\n", order.trim());
            }
            Some((from, _)) if at > from && !line.trim().is_empty() => {
                body += &format!("-- dropped: {line}\n")
            }
            _ => body += &format!("{line}\n"),
        }
    }
    body.trim_start_matches('\n').to_owned()
}

/// What `check` would say of the skeleton.
fn check(path: &Path, skeleton: &str, catalog: &Catalog) -> Vec<String> {
    let said = |problems: Vec<crate::rules::Diagnostic>| {
        problems.iter().map(|p| format!("line {} of this: {}", p.line, p.message)).collect()
    };
    match parse_detection(path, "execution", "draft", skeleton) {
        Err(problems) => said(problems),
        Ok(rule) => {
            let alone = Catalog { detections: vec![rule], ..catalog.clone() };
            engine::planned(&alone).map_or_else(said, |_| Vec::new())
        }
    }
}
