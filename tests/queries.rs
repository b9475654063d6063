//! The saved queries that are shipped: each gives the rows that are held beside this file, over the
//! samples and, where those hold nothing of the kind, over events of its own; and `docs/queries.md` is
//! made from their headers.
//!
//! `UPDATE_QUERIES=1 cargo test queries` writes the rows anew, and the page: look at what changed.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aksentry::hunt::{Limits, Session};
use aksentry::pipeline::replay::Options;
use aksentry::pipeline::{Progress, Range};
use aksentry::rules::{Catalog, Queries, Query, Sources, TOPICS};
use aksentry::source::files::Inputs;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::DateTime;

use crate::cli::ROOT;

/// Rows beyond this are counted, not held.
const HELD: usize = 60;

struct Quiet;

impl Progress for Quiet {
    fn advance(&self, _: u64) {}
}

fn root(path: &str) -> PathBuf {
    Path::new(ROOT).join(path)
}

#[expect(clippy::disallowed_methods, reason = "asked for by whoever runs the tests")]
fn update() -> bool {
    std::env::var_os("UPDATE_QUERIES").is_some()
}

fn pack() -> (Catalog, Queries) {
    let sources = Sources { detections: Some(root("detections")), lists: None };
    let (catalog, problems) = Catalog::load(&sources);
    assert_eq!(problems, []);
    let (queries, problems) = Queries::load(Some(&root("queries")));
    assert_eq!(problems, []);
    (catalog, queries)
}

fn session(catalog: &Catalog, input: &Path) -> Session {
    let inputs = Inputs::resolve(&[input.display().to_string()]).expect("the input is there");
    // One thread, so that rows of equal rank come in one order.
    let options = Options { inputs, range: Range::default(), threads: 1 };
    let limits = Limits { memory: 1 << 30, timeout: None, keep: 1 << 30 };
    Session::open(catalog, options, limits, Arc::new(Quiet)).expect("a session")
}

/// Header and rows, a line each, values apart by tabs; a cluster by the last part of its id.
fn rows(session: &Session, query: &Query) -> Vec<String> {
    let now = DateTime::UNIX_EPOCH;
    let prepared = session.prepare(&query.sql, Some(&query.params), &query.example, now);
    let prepared = prepared.unwrap_or_else(|errors| panic!("{}: {errors:?}", query.id));
    let mut batches: Vec<RecordBatch> = Vec::new();
    session
        .run(prepared, std::future::pending(), &mut |batch| {
            batches.push(batch.clone());
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{}: {error}", query.id));
    let schema = batches.first().expect("at least one batch").schema();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let mut lines = vec![names.join("\t")];
    let options = FormatOptions::default();
    for batch in &batches {
        let columns: Vec<ArrayFormatter> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options).expect("a column that can be shown"))
            .collect();
        for row in 0..batch.num_rows() {
            let cell = |(column, name): (&ArrayFormatter, &&str)| {
                let value = column.value(row).to_string();
                match *name {
                    "cluster" => value.rsplit('/').next().unwrap_or_default().to_string(),
                    _ => value.replace(['\n', '\t'], " "),
                }
            };
            let cells: Vec<String> = columns.iter().zip(&names).map(cell).collect();
            lines.push(cells.join("\t"));
        }
    }
    lines
}

/// What is held of one run.
fn held(input: &str, rows: &[String]) -> String {
    let count = rows.len() - 1;
    let mut text = format!("# {input}: {count} rows\n");
    for line in rows.iter().take(HELD + 1) {
        writeln!(text, "{line}").unwrap();
    }
    if count > HELD {
        writeln!(text, "# … and {} more", count - HELD).unwrap();
    }
    text
}

#[test]
fn every_query_gives_the_rows_that_are_held() {
    let (catalog, queries) = pack();
    let samples = session(&catalog, &root("samples/hub"));
    let mut differ = Vec::new();
    for query in &queries.all {
        let mut runs = vec![("samples/hub".to_string(), rows(&samples, query))];
        let own = format!("tests/queries/{}.input.ndjson", query.id);
        if root(&own).exists() {
            let rows = rows(&session(&catalog, &root(&own)), query);
            assert!(rows.len() > 1, "{}: no row over {own}", query.id);
            runs.push((own, rows));
        } else {
            assert!(runs[0].1.len() > 1, "{}: no row over the samples; write {own}", query.id);
        }
        let text: String = runs.iter().map(|(input, rows)| held(input, rows)).collect();
        let file = root(&format!("tests/queries/{}.tsv", query.id));
        if update() {
            fs::write(&file, &text).unwrap();
        }
        let before = fs::read_to_string(&file).unwrap_or_default();
        if before != text {
            let other = text.lines().zip(before.lines()).find(|(now, held)| now != held);
            differ.push(format!("{}: {other:?}", query.id));
        }
    }
    assert!(
        differ.is_empty(),
        "rows differ; look at them, then UPDATE_QUERIES=1 cargo test queries:\n{}",
        differ.join("\n")
    );
}

#[test]
fn nothing_is_held_of_queries_that_are_gone() {
    let (_, queries) = pack();
    let known: BTreeSet<&str> = queries.all.iter().map(|query| query.id.as_str()).collect();
    for file in fs::read_dir(root("tests/queries")).unwrap() {
        let name = file.unwrap().file_name().to_string_lossy().into_owned();
        let id = name.trim_end_matches(".tsv").trim_end_matches(".input.ndjson").to_string();
        assert!(known.contains(id.as_str()), "tests/queries/{name} belongs to no query");
    }
}

#[test]
fn every_query_says_what_it_is_about_and_how_to_try_it() {
    let (catalog, queries) = pack();
    for query in &queries.all {
        assert!(query.topic.is_some(), "{} has no topic", query.id);
        assert!(!query.section.is_empty(), "{} names no section of the guide", query.id);
        assert!(!query.see_also.is_empty(), "{} leads nowhere", query.id);
        assert!(query.description.len() > 150, "{}: say how to read it and where it ends", query.id);
        for parameter in query.params.iter().filter(|parameter| parameter.required) {
            let given = query.example.iter().any(|(name, _)| *name == parameter.name);
            assert!(given, "{} has no example of {}", query.id, parameter.name);
        }
    }
    for number in 1..=9 {
        let report = |query: &&Query| query.topic.as_deref() == Some("report") && query.section == [number];
        assert_eq!(queries.all.iter().filter(report).count(), 1, "one report of section {number}");
    }
    assert_eq!(aksentry::hunt::check(&queries, &catalog), []);
}

/// A value as one writes it in a shell.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@".contains(c);
    if value.chars().all(plain) { value.to_string() } else { format!("'{value}'") }
}

fn entry(page: &mut String, query: &Query) {
    let given: Vec<String> =
        query.example.iter().map(|(name, value)| format!(" -p {name}={}", quoted(value))).collect();
    write!(page, "\n### {}\n\n{}\n\n", query.title, query.description).unwrap();
    write!(page, "```\naksentry hunt {}{} samples/hub\n```\n\n", query.id, given.concat()).unwrap();
    for parameter in &query.params {
        let value = match (&parameter.default, parameter.required) {
            (Some(default), _) => format!("default `{}`", default.join(",")),
            (None, true) => "required".to_string(),
            (None, false) => "optional".to_string(),
        };
        let (name, kind, about) = (&parameter.name, parameter.kind.name(), &parameter.description);
        writeln!(page, "- `{name}` ({kind}, {value}): {about}").unwrap();
    }
    if !query.params.is_empty() {
        page.push('\n');
    }
    let sections: Vec<String> = query.section.iter().map(ToString::to_string).collect();
    let others: Vec<String> =
        query.see_also.iter().map(|id| format!("[{id}](../queries/{id}.sql)")).collect();
    let id = &query.id;
    writeln!(
        page,
        "SQL: [{id}](../queries/{id}.sql) · section {} of the guide · see also {}",
        sections.join(", "),
        others.join(", ")
    )
    .unwrap();
}

fn page(queries: &Queries) -> String {
    let mut page = format!(
        "# Saved queries\n\n\
         <!-- Made from queries/*.sql by `UPDATE_QUERIES=1 cargo test queries`; a test compares. -->\n\n\
         {} questions that responders and auditors ask, each a file of SQL over the tables of\n\
         [columns.md](columns.md). `aksentry hunt --list` lists them, `aksentry hunt --show NAME` shows one.\n\
         The range of time and the cluster belong to the command: `--since`, `--until`, `--cluster`.\n\
         Every command below can be tried on the samples; what they give is in `tests/queries/`.\n\n",
        queries.all.len()
    );
    let of = |topic: &'static str| queries.all.iter().filter(move |q| q.topic.as_deref() == Some(topic));
    for (topic, question) in TOPICS {
        writeln!(page, "**{question}**\n").unwrap();
        for query in of(topic) {
            writeln!(page, "- [{}](../queries/{}.sql): {}", query.id, query.id, query.title).unwrap();
        }
        page.push('\n');
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    for (topic, question) in TOPICS {
        write!(page, "\n## {question}\n").unwrap();
        of(topic).for_each(|query| entry(&mut page, query));
    }
    page
}

#[test]
fn the_page_says_what_the_headers_say() {
    let (_, queries) = pack();
    let (made, file) = (page(&queries), root("docs/queries.md"));
    if update() {
        fs::write(&file, &made).unwrap();
    }
    let held = fs::read_to_string(&file).unwrap_or_default();
    let other = made.lines().zip(held.lines()).find(|(made, held)| made != held);
    assert!(
        held == made,
        "docs/queries.md is out of date, run UPDATE_QUERIES=1 cargo test queries; first difference: {other:?}"
    );
}
