//! The command: streams, files, exit codes.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::rule;
use crate::cli::run_at_root;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

#[test]
fn printed_or_written() {
    let good = rule("Pods Listed", "sel: {verb: list, objectRef.resource: pods}\ncondition: sel");
    let rules = folder(&[
        ("a.yml", &good),
        ("deep/b.yaml", &good.replace("Pods", "All")),
        ("notes.txt", "not: a rule"),
    ]);
    let run = run_at_root(["import", "sigma", &path(&rules, "a.yml")])
        .code(0)
        .says("1 file: imported 1, refused 0");
    assert!(
        run.out.starts_with("-- /// detection\n") && run.out.contains("lower(resource) = 'pods'"),
        "{}",
        run.out
    );
    let run = run_at_root(["import", "sigma", "--format", "ndjson", &path(&rules, "")])
        .code(0)
        .says("2 files: imported 2");
    let items: Vec<serde_json::Value> =
        run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(items[1]["path"], "discovery/sigma-all-listed.sql");

    // The first run writes, a second one finds the same, a third must not lose what somebody changed.
    let out = path(&rules, "out");
    let arguments = ["import", "sigma", "--out", &out, &path(&rules, "a.yml"), &path(&rules, "deep")];
    let file = Path::new(&out).join("discovery/sigma-pods-listed.sql");
    assert_eq!(run_at_root(arguments).code(0).out.lines().count(), 2);
    let written = fs::read_to_string(&file).unwrap();
    run_at_root(arguments).code(0);
    fs::write(&file, "mine").unwrap();
    run_at_root(arguments)
        .code(1)
        .says("is there already and differs; --force writes over it")
        .says("refused 1 (1 the file is there already)");
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    run_at_root(arguments.into_iter().chain(["--force"])).code(0);
    assert_eq!(fs::read_to_string(&file).unwrap(), written);
    let run = run_at_root(["--detections", &out, "check"]).code(0);
    assert!(!run.out.contains("error"), "{}", run.out);
    assert!(run_at_root(["--detections", &out, "rules", "list"]).code(0).out.contains("sigma-all-listed"));
}

#[test]
fn the_run_goes_on() {
    let good = rule("Good One", "sel: {verb: list}\ncondition: sel");
    let many =
        format!("{good}---\ndetection: [\n---\n{}", rule("Bad Field", "sel: {resource: x}\ncondition: sel"));
    let rules = folder(&[
        ("a.yml", &many),
        ("b.yml", "a: \u{1b}[31m: x\n"),
        ("c.yml", &rule("Elsewhere", "s: {a: b}\ncondition: s").replace("kubernetes", "windows")),
    ]);
    fs::write(rules.path().join("d.yml"), b"title: \xff\n").unwrap();
    fs::write(rules.path().join("e.yml"), "a".repeat((1 << 20) + 1)).unwrap();
    let run = run_at_root(["import", "sigma", &path(&rules, "")]).code(1);
    assert!(run.out.contains("Good One"));
    assert!(!run.err.contains('\u{1b}'), "{:?}", run.err);
    let run = run
        .says("a.yml:16:9: no field \"resource\" in an audit event; did you mean \"objectRef.resource\"?")
        .says("product windows, service audit")
        .says("d.yml:1:1: no UTF-8 text (byte 8)")
        .says("e.yml:1:1: longer than 1 MiB");
    assert!(run.err.contains("5 files: imported 1, refused 6 (4 broken YAML, 1 another log source, 1 a field that does not exist)"), "{}", run.err);
}

#[test]
fn wrong_usage() {
    run_at_root(["import", "sigma"]).code(2).says("FILE|DIR");
    run_at_root(["import", "sigma", "no/such/file.yml"])
        .code(2)
        .says("looking for rules at no/such/file.yml");
    run_at_root(["import", "sigma", "--force", "x.yml"]).code(2).says("--out");
    let empty = folder(&[]);
    run_at_root(["import", "sigma", &path(&empty, "")]).code(0).says("0 files: imported 0, refused 0");
}

#[test]
fn lists_are_those_of_the_pack() {
    let rules = folder(&[(
        "a.yml",
        &rule("Readers", "sel: {user.username|expand: '%secret_readers%'}\ncondition: sel"),
    )]);
    let run = run_at_root(["import", "sigma", &path(&rules, "a.yml")]).code(0);
    assert!(run.out.contains("listed('secret_readers', username)"), "{}", run.out);
}
