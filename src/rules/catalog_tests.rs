//! Folders of detections, lists and cases: what is found, and what is said about the rest.

use std::fs;
use std::io;

use super::*;
use crate::rules::{Case, Level};

const RULE: &str = "-- /// detection\n-- title = \"t\"\n-- severity = \"low\"\n-- status = \"stable\"\n-- key = [\"username\"]\n-- summary = \"s\"\n-- description = \"d\"\n-- ///\nSELECT username FROM audit\n";

/// A folder with these files; a name that ends in `/` is a folder.
fn folder(files: &[(&str, &str)]) -> io::Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    for (name, text) in files {
        let path = folder.path().join(name);
        if name.ends_with('/') {
            fs::create_dir_all(path)?;
            continue;
        }
        fs::create_dir_all(path.parent().unwrap_or(folder.path()))?;
        fs::write(path, text)?;
    }
    Ok(folder)
}

/// Messages with the temporary folder taken out.
fn shown(folder: &tempfile::TempDir, problems: &[Diagnostic]) -> Vec<String> {
    let root = format!("{}/", folder.path().display());
    problems.iter().map(|p| p.to_string().replace(&root, "")).collect()
}

fn ids(catalog: &Catalog) -> Vec<&str> {
    catalog.detections.iter().map(|d| d.id.as_str()).collect()
}

#[test]
fn rules_lists_and_their_order() -> io::Result<()> {
    let folder = folder(&[
        ("detections/impact/a.sql", RULE),
        ("detections/execution/b.sql", RULE),
        ("detections/execution/README.md", "text"),
        ("detections/execution/b/fires-x.ndjson", "{}"),
        ("detections/.hidden/x.sql", "text"),
        ("detections/lists/readers.csv", "value,reason\nx,y\n"),
        ("detections/lists/notes.txt", "text"),
    ])?;
    let (catalog, problems) = Catalog::load_beside(folder.path(), &Sources::default());
    assert_eq!(problems, []);
    assert_eq!(ids(&catalog), ["a", "b"]);
    assert_eq!(catalog.detections[0].path, folder.path().join("detections/impact/a.sql"));
    assert_eq!(catalog.origin, Some(folder.path().join("detections")));
    assert!(catalog.lists.get("readers").is_some_and(|list| list.contains("x", None)));
    assert_eq!(catalog.lists.len(), 1);
    Ok(())
}

#[test]
fn own_lists_lie_over_those_the_detections_come_with() -> io::Result<()> {
    let folder = folder(&[
        ("detections/lists/both.csv", "value,reason\na,inside\n"),
        ("detections/lists/inside.csv", "value,reason\n"),
        ("lists/both.csv", "value,reason\na,beside\n"),
        ("lists/beside.csv", "value,reason\n"),
        ("given/given.csv", "value,reason\n"),
    ])?;
    let names = |sources: &Sources| {
        let (catalog, problems) = Catalog::load_beside(folder.path(), sources);
        assert_eq!(problems, []);
        let reason =
            catalog.lists["both"].entries().iter().map(|entry| entry.reason.clone()).collect::<String>();
        (reason, catalog.lists.into_keys().collect::<Vec<_>>().join(" "))
    };
    let told = |reason: &str, names: &str| (reason.to_owned(), names.to_owned());
    assert_eq!(names(&Sources::default()), told("beside", "beside both inside"));
    let given = Sources { lists: Some(folder.path().join("given")), ..Sources::default() };
    assert_eq!(names(&given), told("inside", "both given inside"));
    fs::remove_dir_all(folder.path().join("lists"))?;
    assert_eq!(names(&Sources::default()), told("inside", "both inside"));
    Ok(())
}

#[test]
fn without_folders_the_compiled_pack_is_used() -> io::Result<()> {
    let folder = folder(&[])?;
    let (catalog, problems) = Catalog::load_beside(folder.path(), &Sources::default());
    assert!(problems.iter().all(|problem| problem.level == Level::Warning), "{problems:?}");
    assert_eq!(catalog.origin, None);
    for detection in &catalog.detections {
        assert!(detection.path.starts_with("detections"), "{}", detection.path.display());
        let (_, problems) = catalog.cases(detection);
        assert_eq!(problems, [], "{}", detection.id);
    }
    Ok(())
}

#[test]
fn a_bad_file_costs_only_itself() -> io::Result<()> {
    let folder = folder(&[
        ("top.sql", RULE),
        ("execution/a.sql", RULE),
        ("execution/bad.sql", "SELECT 1"),
        ("execution/folder.sql/", ""),
        ("execution/a/deep.sql", RULE),
        ("impact/a.sql", RULE),
        ("impact/gone/fires-x.ndjson", "{}"),
        ("lists/x.csv", "value,reason\na\n"),
    ])?;
    fs::write(folder.path().join("impact/latin.sql"), b"-- ok\n-- \xe9")?;
    let sources = Sources { detections: Some(folder.path().into()), lists: None };
    let (catalog, problems) = Catalog::load_beside(Path::new("no such folder"), &sources);
    assert_eq!(ids(&catalog), ["a"]);
    let execution = folder.path().join("execution/a.sql");
    assert_eq!(
        shown(&folder, &problems),
        [
            "lists/x.csv:2:1: no reason for \"a\"; write behind a comma why it is on the list".to_string(),
            "top.sql:1:1: a detection lies in the folder of its tactic; move it to one such as execution/top.sql".into(),
            "execution/bad.sql:1:1: no header; begin the file with the line \"-- /// detection\"".into(),
            "execution/a/deep.sql:1:1: a detection lies in the folder of its tactic; move it to execution/deep.sql".into(),
            "execution/folder.sql:1:1: warning: no detection folder.sql.sql beside this folder; add it or remove the cases".into(),
            format!("impact/a.sql:1:1: id \"a\" is taken by {}; rename one of the files", execution.display())
                .replace(&format!("{}/", folder.path().display()), ""),
            "impact/latin.sql:2:4: not UTF-8; save the file as UTF-8".into(),
            "impact/gone:1:1: warning: no detection gone.sql beside this folder; add it or remove the cases".into(),
        ]
    );
    Ok(())
}

#[test]
fn a_folder_that_does_not_exist_is_said() -> io::Result<()> {
    let folder = folder(&[])?;
    let sources = Sources { detections: Some(folder.path().join("d")), lists: Some(folder.path().join("l")) };
    let (catalog, problems) = Catalog::load(&sources);
    assert!(catalog.detections.is_empty());
    let messages = shown(&folder, &problems);
    assert_eq!(messages.len(), 2);
    assert!(messages[0].starts_with("l:1:1: cannot read the folder: "), "{messages:?}");
    assert!(messages[1].starts_with("d:1:1: cannot read the folder: "), "{messages:?}");
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_loop_of_links_ends() -> io::Result<()> {
    let folder = folder(&[("execution/a.sql", RULE)])?;
    std::os::unix::fs::symlink(folder.path(), folder.path().join("execution/loop"))?;
    let sources = Sources { detections: Some(folder.path().into()), lists: None };
    let (catalog, problems) = Catalog::load(&sources);
    assert_eq!(ids(&catalog), ["a"]);
    assert_eq!(problems.len(), 1);
    Ok(())
}

#[test]
fn cases_and_what_is_none() -> io::Result<()> {
    let folder = folder(&[
        ("execution/a.sql", RULE),
        ("execution/a/fires-one.ndjson", "{}\n"),
        ("execution/a/fires-one.alerts.json", "[1]"),
        ("execution/a/silent-two.ndjson", "{}"),
        ("execution/a/fires-.ndjson", "{}"),
        ("execution/a/silent-gone.alerts.json", "[]"),
        ("execution/a/notes.txt", "x"),
        ("impact/b.sql", RULE),
        ("impact/b/fires-one.ndjson", "{}"),
        ("impact/c.sql", RULE),
    ])?;
    let sources = Sources { detections: Some(folder.path().into()), lists: None };
    let (catalog, problems) = Catalog::load(&sources);
    assert_eq!(problems, []);
    let (cases, problems) = catalog.cases(&catalog.detections[0]);
    let path = folder.path().join("execution/a/fires-one.ndjson");
    assert_eq!(cases.len(), 2);
    assert_eq!(
        cases[0],
        Case {
            rule: "a".into(),
            name: "fires-one".into(),
            path,
            expects_alerts: true,
            input: b"{}\n".to_vec(),
            expected: Some("[1]".into()),
        }
    );
    assert!(!cases[1].expects_alerts && cases[1].expected.is_none());
    assert_eq!(cases[1].expected_path(), folder.path().join("execution/a/silent-two.alerts.json"));
    let odd = "neither a case nor its alerts; name it fires-<why>.ndjson or silent-<why>.ndjson";
    assert_eq!(
        shown(&folder, &problems),
        [
            format!("execution/a/fires-.ndjson:1:1: warning: {odd}"),
            format!("execution/a/notes.txt:1:1: warning: {odd}"),
            "execution/a/silent-gone.alerts.json:1:1: warning: no case silent-gone.ndjson for these alerts; add it or remove them".into(),
        ]
    );
    let silent = "no silent case; add b/silent-<why>.ndjson beside the rule";
    assert_eq!(
        shown(&folder, &catalog.cases(&catalog.detections[1]).1),
        [format!("impact/b.sql:1:1: warning: {silent}")]
    );
    assert_eq!(catalog.cases(&catalog.detections[2]).1.len(), 2);
    Ok(())
}

#[test]
fn the_wrong_files_of_the_tests_get_their_messages() {
    let sources = Sources { detections: Some("tests/wrong".into()), lists: None };
    let (catalog, mut problems) = Catalog::load(&sources);
    problems.sort_by(|a, b| (&a.path, a.line, a.column).cmp(&(&b.path, b.line, b.column)));
    let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
    // What stands about a file that loads is for the planner to say.
    let planned = |line: &str| {
        let path = line.split(':').next().unwrap_or_default();
        catalog.detections.iter().any(|detection| detection.path == Path::new(path))
    };
    let expected = include_str!("../../tests/wrong/expected.txt").lines().filter(|line| !planned(line));
    assert_eq!(said, expected.collect::<Vec<_>>());
    assert!(said.len() >= 25, "{}", said.len());
}
