//! Who may import whom, and how long a file may be.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A part of `src` and the parts it may name as `crate::…`. Whatever is not listed is a new part: decide
/// here what it may know.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("event", &[]),
    ("alert", &["event"]),
    ("rules", &["event", "alert"]),
    ("import", &["event", "alert", "rules"]),
    ("identity", &[]),
    ("telemetry", &[]),
    ("store", &["identity"]),
    ("checkpoint", &["event", "store"]),
    ("source", &["event", "identity", "checkpoint", "store", "telemetry"]),
    ("archive", &["event", "store", "telemetry"]),
    ("outbox", &["event", "alert", "telemetry"]),
    ("sink", &["event", "alert", "identity", "outbox", "telemetry"]),
    ("hub", &["event", "identity"]),
    ("decode", &["event"]),
    ("detect", &["event", "rules", "alert"]),
    (
        "pipeline",
        &[
            "event",
            "alert",
            "rules",
            "source",
            "decode",
            "detect",
            "archive",
            "checkpoint",
            "outbox",
            "store",
            "telemetry",
        ],
    ),
    ("hunt", &["event", "rules", "detect", "source", "archive", "pipeline"]),
    ("report", &["event", "alert", "rules", "source", "pipeline"]),
    ("config", &["event", "alert", "rules", "identity", "store", "source", "sink", "telemetry"]),
    (
        "cli",
        &[
            "event",
            "alert",
            "rules",
            "identity",
            "store",
            "checkpoint",
            "source",
            "archive",
            "outbox",
            "sink",
            "hub",
            "decode",
            "detect",
            "pipeline",
            "hunt",
            "import",
            "report",
            "config",
            "telemetry",
        ],
    ),
];

const MAX_LINES: usize = 500;

fn rust_files(folder: &str) -> Vec<PathBuf> {
    let pattern = format!("{}/{folder}/**/*.rs", env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<PathBuf> = glob::glob(&pattern).unwrap().map(Result::unwrap).collect();
    files.retain(|file| !file.starts_with(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/target")));
    files
}

/// The part a file of `src` belongs to: its first folder, or its own name.
fn part_of(file: &Path) -> String {
    let inside = file.strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// Names behind every `crate::` of a text, those of a braced list too.
fn imports(text: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let behind = &text[at + "crate::".len()..];
        assert!(
            !behind.starts_with('{'),
            "write one `use crate::part::…` a line, so that this test can read it"
        );
        names.extend(behind.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next());
    }
    names
}

#[test]
fn parts_import_only_what_they_may() {
    let mut seen = BTreeSet::new();
    for file in rust_files("src") {
        let part = part_of(&file);
        let text = fs::read_to_string(&file).unwrap();
        if part == "main" || part == "lib" {
            continue;
        }
        let row = MAY_IMPORT.iter().find(|(name, _)| *name == part);
        let (_, may) = row.unwrap_or_else(|| panic!("\"{part}\" is not in the table of {}", file!()));
        for name in imports(&text) {
            assert!(name == part || may.contains(&name), "{} imports crate::{name}", file.display());
        }
        seen.insert(part);
    }
    assert_eq!(seen.len(), MAY_IMPORT.len(), "a part in the table is gone: {seen:?}");
}

#[test]
fn a_file_is_a_chapter() {
    for folder in ["src", "tests", "benches", "samples/generator"] {
        for file in rust_files(folder) {
            let text = fs::read_to_string(&file).unwrap();
            let lines = text.lines().count();
            assert!(lines <= MAX_LINES, "{} has {lines} lines; divide it", file.display());
            assert!(text.starts_with("//!"), "{} does not begin with what it is about", file.display());
        }
    }
}
