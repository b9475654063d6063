//! The mistakes of rule authors: `tests/wrong` holds one file a mistake, and every one is told in one run.

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
