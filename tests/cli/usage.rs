//! Help, wrong usage, and who reads which stream.

use std::process::{Command, Stdio};

use super::{Place, record};

#[test]
fn help_and_version_are_data() {
    let place = Place::new();
    let help = place.run("--help").code(0);
    for command in ["replay", "hunt", "check", "test", "rules", "top"] {
        assert!(help.out.contains(command), "{}", help.out);
        assert!(place.run(&format!("{command} --help")).code(0).out.contains("--format"));
    }
    assert!(place.run("--version").code(0).out.starts_with("aksentry "));
}

#[test]
fn wrong_usage_is_2_and_says_what_is_wrong() {
    let place = Place::new();
    place.put("in.json", record("alice", "db", 1));
    for (args, said) in [
        ("", "Usage"),
        ("repaly in.json", "replay"),
        ("replay", "PATH"),
        ("replay --formt json in.json", "--format"),
        ("replay --format xml in.json", "ndjson"),
        ("replay --min-severity urgent in.json", "critical, high, medium"),
        ("replay --threads 0 in.json", "--threads 0"),
        ("replay --since yesterday in.json", "--since yesterday"),
        ("replay --since 2026-02-02 --until 2026-02-01 in.json", "--since must be before --until"),
        ("replay --rule secret-gte in.json", "did you mean \"secret-get\""),
        ("replay --report no/such/x.html in.json", "no/such"),
        ("replay --stats no/such/folder.json in.json", "no/such/folder.json"),
        ("replay --detections nowhere in.json", "nowhere"),
        ("rules show secret-gett", "did you mean \"secret-get\""),
        ("rules list --format none", "replay only"),
        ("hunt in.json", "-e"),
    ] {
        let run = place.run(args).code(2).says(said);
        assert_eq!(run.out, "", "{args}");
    }
}

#[test]
fn a_path_that_names_nothing_is_2_and_named() {
    let place = Place::new();
    place.run("replay nowhere.json").code(2).says("nowhere.json: no such file or folder");
    place.run("replay no*.json").code(2).says("no*.json: no file matches");
    place
        .run("replay az://audit/2026")
        .code(2)
        .says("cannot read az://audit/2026: ")
        .says("AZURE_STORAGE_ACCOUNT_NAME");
}

#[test]
fn quiet_leaves_standard_error_empty() {
    let place = Place::new();
    place.put("in.json", record("alice", "db", 1));
    assert_eq!(place.run("replay --quiet in.json").code(0).err, "");
    assert!(place.run("replay in.json").code(0).err.contains("records"));
}

#[test]
fn no_colour_without_a_terminal_or_with_no_color() {
    let place = Place::new();
    place.put("in.json", record("alice", "db", 1));
    for color in ["", "1"] {
        let output = place
            .command(["replay", "--format", "table", "in.json"])
            .env("NO_COLOR", color)
            .output()
            .unwrap();
        assert!(!output.stdout.contains(&0x1b) && !output.stderr.contains(&0x1b));
    }
}

#[test]
fn a_closed_pipe_is_success() {
    let place = Place::new();
    let lines: Vec<String> = (0..3000).map(|i| record(&format!("user-{i}"), "db", i)).collect();
    place.put("in.json", lines.join("\n"));
    for format in ["ndjson", "json", "csv", "table"] {
        let mut child = Command::new(assert_cmd::cargo::cargo_bin("aksentry"))
            .args(["replay", "--format", format, "in.json"])
            .current_dir(place.path(""))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{format}: {err}");
        assert!(!err.contains("panicked"), "{format}: {err}");
    }
}
