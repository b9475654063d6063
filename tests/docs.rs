//! `docs/columns.md` and `docs/coverage.md` say what the program does: the one is made from the schema and
//! the functions, the other from detections, queries and `detections/peers.csv`, and both must be what the
//! repository holds. `UPDATE_DOCS=1 cargo test docs` writes them.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use aksentry::decode::principal_classes;
use aksentry::detect::functions::catalogue;
use aksentry::event::schema::{AUDIT, CONTROL_PLANE, Column, values};

use crate::cli::run_at_root;

/// A row of a Markdown table.
fn row(page: &mut String, cells: &[&str]) {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    writeln!(page, "| {} |", cells.join(" | ")).unwrap();
}

fn table<'a>(page: &mut String, head: &[&str], rows: impl IntoIterator<Item = Vec<&'a str>>) {
    row(page, head);
    writeln!(page, "|{}", "---|".repeat(head.len())).unwrap();
    for cells in rows {
        row(page, &cells);
    }
}

fn columns(page: &mut String, name: &str, about: &str, columns: &[Column]) {
    write!(page, "\n## Table `{name}`\n\n{about}\n\n").unwrap();
    let names: Vec<String> = columns.iter().map(|c| format!("`{}`", c.name)).collect();
    let rows = columns.iter().zip(&names).map(|(c, name)| vec![name, c.kind.name(), c.source, c.meaning]);
    table(page, &["column", "type", "from", "meaning"], rows);
}

fn page() -> String {
    let mut page = String::from(
        "# Columns and functions\n\n\
         <!-- Made from the source by `UPDATE_DOCS=1 cargo test docs`; a test compares. -->\n\n\
         What a detection or a hunt can name. [rules.md](rules.md) says how one is written.\n\
         In the column \"from\", `$` is the record of the diagnostic log and `log` the audit event inside it.\n\
         A column is null where its source is absent, a `bool` never is. `json` is text that holds JSON;\n\
         read it with `->` (JSON) and `->>` (text).\n",
    );
    columns(
        &mut page,
        "audit",
        "One row per audit event of the API server (kube-audit and kube-audit-admin), each event once.",
        AUDIT,
    );
    page.push_str(
        "\n### Classes of identities\n\nThe values of `principal_class`; the first that fits counts.\n\n",
    );
    let classes = principal_classes();
    let names: Vec<String> = classes.iter().map(|(name, _)| format!("`{name}`")).collect();
    let rows = classes.iter().zip(&names).map(|((_, who), name)| vec![name.as_str(), who]);
    table(&mut page, &["class", "user names"], rows);
    columns(
        &mut page,
        "control_plane",
        "One row per record of every other category, also of ones that are not known yet.",
        CONTROL_PLANE,
    );
    page.push_str(
        "\n## Functions\n\nEvery function returns NULL for NULL (but `listed`, which is never null, and `exec_command`, which needs only one of its two), and for text that is not what it expects.\n\n",
    );
    let calls: Vec<String> = catalogue().iter().map(|f| format!("`{}`", f.signature)).collect();
    let rows = catalogue().iter().zip(&calls).map(|(f, call)| vec![call, f.returns, f.doc]);
    table(&mut page, &["function", "returns", "what"], rows);
    page
}

/// Holds a file equal to what it is made of, or writes it.
fn hold(file: &str, page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    #[expect(clippy::disallowed_methods, reason = "asked for by whoever runs the tests")]
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, page).unwrap();
    }
    let held = fs::read_to_string(&path).unwrap_or_default();
    let other = page.lines().zip(held.lines()).find(|(made, held)| made != held);
    assert!(
        held == page,
        "{file} is out of date, run UPDATE_DOCS=1 cargo test docs; first difference: {other:?}"
    );
}

#[test]
fn columns_and_functions_are_documented_as_they_are() {
    hold("docs/columns.md", &page());
}

#[test]
fn coverage_is_documented_as_it_is() {
    hold("docs/coverage.md", &run_at_root(["rules", "coverage", "--markdown"]).code(0).out);
}

#[test]
fn the_classes_that_a_column_names_are_those_of_the_table() {
    let column = AUDIT.iter().find(|c| c.name == "principal_class").unwrap();
    for (class, _) in principal_classes() {
        assert!(column.meaning.contains(class), "{class} in \"{}\"", column.meaning);
    }
    let names: Vec<&str> = principal_classes().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, values("principal_class").unwrap(), "what `check` compares with");
}
