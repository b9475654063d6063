//! `docs/columns.md`, `detections/README.md` and `docs/coverage.md` say what there is: they are made from
//! the schema, the functions and the pack, and must be what the repository holds.
//! `UPDATE_DOCS=1 cargo test docs` writes them.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use aksentry::alert::Status;
use aksentry::decode::principal_classes;
use aksentry::detect::functions::catalogue;
use aksentry::event::schema::{AUDIT, CONTROL_PLANE, Column, values};
use aksentry::rules::{Catalog, Kind, Sources};

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

/// The file must hold the page; or gets it, if whoever runs the tests asks for that.
#[track_caller]
fn holds(file: &str, page: &str) {
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
    holds("docs/columns.md", &page());
}

/// As many rules as are named; of more, the number.
const NAMED: usize = 6;

#[test]
fn the_pack_is_documented_as_it_is() {
    let (catalog, problems) = Catalog::load(&Sources::default());
    assert!(problems.is_empty(), "{problems:?}");
    let mut page = String::from(
        "# The pack\n\n\
         <!-- Made from the rules and lists by `UPDATE_DOCS=1 cargo test docs`; a test compares. -->\n\n\
         One file a rule in the folder of its ATT&CK tactic, its cases in the folder of the same name; the format is in\n\
         [docs/rules.md](../docs/rules.md). `aksentry rules list` says the same of any folder of rules, [docs/coverage.md](../docs/coverage.md)\n\
         what they cover.\n\n\
         ## What all rules have in common\n\n\
         - AKS's own identities (`principal_class` `aks`, `system`) are silent but where no identity may do it; `masterclient` never is.\n\
         - High-value rules exempt service accounts of kube-system one by one, in lists, not as a class: a stolen token of one is no excuse.\n\
         - A write is a request that succeeded and was no dry run (Flux and `kubectl diff` send those all day).\n\
         - What happens without a body stands in each description, and a case `*-no-body` holds it where a body matters.\n\
         - `shadow` rules are evaluated and counted, and their alerts are not sent: the text they look for was never seen in an AKS log,\n\
           or a list of yours has to be filled first. `rules list` tells them apart.\n\n",
    );
    writeln!(page, "## {} rules\n", catalog.detections.len()).unwrap();
    let mut rules: Vec<_> = catalog.detections.iter().collect();
    rules.sort_by(|a, b| (&a.tactic, &a.id).cmp(&(&b.tactic, &b.id)));
    let rows: Vec<[String; 5]> = rules
        .iter()
        .map(|rule| {
            let kind = match (rule.kind(), rule.window) {
                (Kind::Stateless, _) => "single events".into(),
                (Kind::Baseline, _) => "baseline".into(),
                (_, Some(window)) => format!("window {}", span(window)),
                (_, None) => "window".into(),
            };
            let severity = match rule.status {
                Status::Shadow => format!("{}, shadow", rule.severity),
                _ => rule.severity.to_string(),
            };
            let link = format!("[{}]({}/{}.sql)", rule.id, rule.tactic, rule.id);
            [rule.tactic.clone(), link, severity, kind, rule.title.clone()]
        })
        .collect();
    let cells = rows.iter().map(|row| row.iter().map(String::as_str).collect());
    table(&mut page, &["tactic", "rule", "severity", "kind", "what"], cells);
    write!(
        page,
        "\n## Lists\n\n\
         `lists/*.csv` hold who and what is exempt, each entry with its reason. Rows whose reason begins with `example` show the form and match\n\
         nothing real. An entry silences only the rules that read the list; what a listed identity does beside that still fires other rules.\n\n"
    )
    .unwrap();
    let rows: Vec<[String; 2]> = catalog
        .lists
        .keys()
        .map(|list| {
            let call = format!("'{list}'");
            let readers: Vec<&str> =
                rules.iter().filter(|rule| rule.sql.contains(&call)).map(|rule| rule.id.as_str()).collect();
            let readers = match readers.len() {
                0..=NAMED => readers.join(", "),
                many => format!("{many} rules"),
            };
            [format!("[{list}](lists/{list}.csv)"), readers]
        })
        .collect();
    let cells = rows.iter().map(|row| row.iter().map(String::as_str).collect());
    table(&mut page, &["list", "read by"], cells);
    holds("detections/README.md", &page);
}

/// A length of time as a header says it.
fn span(window: chrono::TimeDelta) -> String {
    match (window.num_days(), window.num_hours(), window.num_minutes()) {
        (days, ..) if days > 0 => format!("{days}d"),
        (_, hours, _) if hours > 0 => format!("{hours}h"),
        (.., minutes) => format!("{minutes}m"),
    }
}

#[test]
fn coverage_is_documented_as_it_is() {
    holds("docs/coverage.md", &run_at_root(["rules", "coverage", "--markdown"]).code(0).out);
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
