//! The mistakes of rule authors: `tests/wrong` holds one file a mistake, `tests/doubtful` what is allowed and
//! does nothing, and every one is told in one run.

use crate::cli::run_at_root;

#[test]
fn every_mistake_has_its_message_all_in_one_run() {
    let run = run_at_root(["check", "--detections", "tests/wrong"]).code(1);
    // That these files have no cases is not their mistake.
    let said: Vec<&str> = run.out.lines().filter(|line| !line.contains(": warning: ")).collect();
    let expected: Vec<&str> = include_str!("wrong/expected.txt").lines().collect();
    for message in &expected {
        assert!(said.contains(message), "not said: {message}\nsaid:\n{}", said.join("\n"));
    }
    assert_eq!(said, expected);
    let mut files: Vec<&str> = said.iter().filter_map(|line| line.split(':').next()).collect();
    files.dedup();
    assert!(files.len() >= 20, "{} files", files.len());
    assert!(run.err.contains(&format!("{} errors", said.len())), "{}", run.err);
}

#[test]
fn what_does_nothing_is_told_and_is_no_failure() {
    let run = run_at_root(["check", "--detections", "tests/doubtful"]).code(0).says("0 errors");
    // That most of these files have no cases is not what they are about.
    let said: Vec<&str> = run.out.lines().filter(|line| !line.contains(" case; add ")).collect();
    let expected: Vec<&str> = include_str!("doubtful/expected.txt").lines().collect();
    assert_eq!(said, expected);
    let told = |file: &str| said.iter().any(|line| line.contains(file));
    assert!(told("/body-without-case.sql") && !told("/body-with-case.sql"));
}
