//! What a header may hold, where its values stand, and what is said about one that is wrong.

use std::path::Path;

use super::*;
use crate::rules::Kind;

const GOOD: &str = r#"-- /// detection
-- title = "One identity read many secrets"
-- severity = "high"
-- status = "stable"
-- attack = ["T1552.007", "T1078"]
-- section = [4, 1]
-- window = "10m"
-- step = "30s"
-- suppress = "1h"
-- key = ["cluster", "username"]
-- summary = "{username} read {secrets} of {{many}}"
--
-- description = """
-- First line.
-- Second line.
-- """
-- follow_up = ["identity-timeline"]
-- ///

SELECT cluster, username, count(*) AS secrets
FROM audit GROUP BY cluster, username
"#;

fn parse(text: &str) -> Result<Detection, Vec<String>> {
    super::parse(Path::new("detections/credential-access/x.sql"), "credential-access", "x", text)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

/// The messages about [`GOOD`] after a change, without the path.
fn problems(from: &str, to: &str) -> Vec<String> {
    assert!(GOOD.contains(from), "{from}");
    let problems = parse(&GOOD.replacen(from, to, 1)).err().unwrap_or_default();
    problems.iter().map(|p| p.trim_start_matches("detections/credential-access/x.sql:").to_string()).collect()
}

#[test]
fn a_good_header() -> Result<(), Vec<String>> {
    let rule = parse(GOOD)?;
    assert_eq!((rule.id.as_str(), rule.tactic.as_str()), ("x", "credential-access"));
    assert_eq!(rule.title, "One identity read many secrets");
    assert_eq!((rule.severity, rule.status), (Severity::High, Status::Stable));
    assert_eq!(rule.attack, ["T1552.007", "T1078"]);
    assert_eq!(rule.section, [4, 1]);
    assert_eq!(rule.key, ["cluster", "username"]);
    assert_eq!(rule.description, "First line.\nSecond line.");
    assert_eq!(rule.window, Some(TimeDelta::minutes(10)));
    assert_eq!(rule.step, Some(TimeDelta::seconds(30)));
    assert_eq!(rule.learn, TimeDelta::days(7));
    assert_eq!(rule.kind(), Kind::Window);
    assert_eq!(rule.summary_columns(), ["username", "secrets"]);
    assert_eq!(rule.render_summary(str::to_uppercase), "USERNAME read SECRETS of {many}");
    assert_eq!(rule.text, GOOD);
    Ok(())
}

#[test]
fn sql_keeps_its_place() -> Result<(), Vec<String>> {
    let rule = parse(GOOD)?;
    for (sql, file) in rule.sql.lines().zip(GOOD.lines()).skip(18) {
        assert_eq!(sql, file);
    }
    assert_eq!(rule.sql.lines().count(), GOOD.lines().count());
    assert!(rule.sql.lines().take(18).all(str::is_empty));
    Ok(())
}

#[test]
fn positions_of_values() -> Result<(), Vec<String>> {
    let rule = parse(GOOD)?;
    for (name, place) in [
        ("detection", (1, 1)),
        ("title", (2, 12)),
        ("severity", (3, 15)),
        ("key", (10, 10)),
        ("key.0", (10, 11)),
        ("key.1", (10, 22)),
        ("summary", (11, 14)),
        ("summary.username", (11, 16)),
        ("summary.secrets", (11, 32)),
        ("description", (13, 18)),
        ("follow_up.0", (17, 17)),
        ("sql", (20, 1)),
        ("no such thing", (1, 1)),
    ] {
        assert_eq!(rule.position(name), place, "{name}");
    }
    Ok(())
}

#[test]
fn carriage_returns_and_a_mark_change_nothing() -> Result<(), Vec<String>> {
    let rule = parse(&format!("\u{feff}{}", GOOD.replace('\n', "\r\n")))?;
    assert_eq!(rule.positions, parse(GOOD)?.positions);
    assert_eq!(rule.description, "First line.\nSecond line.");
    Ok(())
}

#[test]
fn all_problems_of_a_file_are_reported_at_once() {
    let text = "-- /// detection\n-- tittle = \"x\"\n-- severity = \"hihg\"\n-- status = \"live\"\n-- key = []\n-- summary = \"{x\"\n-- description = 7\n-- ///\n";
    let messages = parse(text).err().unwrap_or_default().join("\n");
    let expected = r#"detections/credential-access/x.sql:1:1: missing key "title"; add a line such as title = "One identity read many secrets"
detections/credential-access/x.sql:2:4: unknown key "tittle"; did you mean "title"?
detections/credential-access/x.sql:3:15: unknown severity "hihg"; did you mean "high"?
detections/credential-access/x.sql:4:13: unknown status "live"; use stable, shadow or draft
detections/credential-access/x.sql:5:10: key is empty; name the columns that say whose alert it is, such as "username"
detections/credential-access/x.sql:6:14: summary has "{" without "}"; close it, or write "{{" for a brace
detections/credential-access/x.sql:7:18: description must be a text in quotes, such as description = "why it matters and what to do"
detections/credential-access/x.sql:8:1: no statement; write one SELECT behind the header"#;
    assert_eq!(messages, expected);
}

#[test]
fn each_wrong_value_has_its_message() {
    for (from, to, expected) in [
        ("\"high\"", "\"HIGH\"", "3:15: unknown severity \"HIGH\"; did you mean \"high\"?"),
        (
            "\"high\"",
            "\"urgent\"",
            "3:15: unknown severity \"urgent\"; use critical, high, medium, low or informational",
        ),
        ("\"stable\"", "\"stabel\"", "4:13: unknown status \"stabel\"; did you mean \"stable\"?"),
        (
            "\"T1078\"",
            "\"1078\"",
            "5:27: \"1078\" in attack is no ATT&CK technique; write it as \"T1552\" or \"T1552.007\"",
        ),
        (
            "\"T1078\"",
            "1078",
            "5:27: attack must be a list of texts in quotes, such as attack = [\"T1552.007\"]",
        ),
        ("[4, 1]", "[4, 10]", "6:18: section must be a list of numbers from 1 to 9, such as section = [4]"),
        ("[4, 1]", "4", "6:14: section must be a list of numbers from 1 to 9, such as section = [4]"),
        ("[4, 1]", "[4, 4]", "6:18: 4 stands twice in section; remove one"),
        (
            "\"10m\"",
            "\"10 min\"",
            "7:13: \"10 min\" is no duration; write a whole number and s, m, h or d, such as \"10m\"",
        ),
        ("\"10m\"", "10", "7:13: window must be a duration in quotes, such as window = \"10m\""),
        ("\"10m\"", "\"401d\"", "7:13: window is longer than 400 days; write at most \"400d\""),
        (
            "\"30s\"",
            "\"11m\"",
            "8:11: step is longer than window; events between two windows would be seen by none",
        ),
        ("window = \"10m\"", "", "8:11: step means nothing without window; add window or remove step"),
        ("step = \"30s\"", "baseline = \"30d\"", "8:15: window and baseline exclude each other; keep one"),
        (
            "step = \"30s\"",
            "learn = \"1d\"",
            "8:12: learn means nothing without baseline; add baseline or remove learn",
        ),
        ("\"username\"]", "\"cluster\"]", "10:22: \"cluster\" stands twice in key; remove one"),
        (
            "\"username\"]",
            "\" \"]",
            "10:22: \" \" in key is no column; write a column of the SELECT, such as \"username\"",
        ),
        (
            "follow_up = [\"identity-timeline\"]",
            "follow_up = [\"Identity\"]",
            "17:17: \"Identity\" in follow_up is no id of a query; ids have lower case letters, digits and dashes",
        ),
        (
            "follow_up = [\"identity-timeline\"]",
            "references = [\"T1552\"]",
            "17:18: \"T1552\" in references is no address; write one that begins with https://",
        ),
        (
            "follow_up = [\"identity-timeline\"]",
            "categories = [\"\"]",
            "17:18: \"\" in categories is no log category; write one such as \"kube-audit\"",
        ),
        (
            "-- follow_up = [\"identity-timeline\"]",
            "-- [extra]\n-- x = 1",
            "17:5: unknown key \"extra\"; remove it, or see the keys in docs/rules.md",
        ),
        ("\"One identity read many secrets\"", "\"one\\ntwo\"", "2:12: title has several lines; write one"),
        ("\"One identity read many secrets\"", "\" \"", "2:12: title is empty"),
    ] {
        assert_eq!(problems(from, to), [expected], "{from} -> {to}");
    }
}

#[test]
fn a_syntax_error_is_told_once_and_hides_no_other_problem() {
    let severity = "-- severity = \"high\"";
    let messages = problems(severity, "-- severity = high\n-- thin = 4");
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(messages[0].starts_with("3:15: header: "), "{messages:?}");
    assert!(messages[1].starts_with("4:11: thin must be a duration"), "{messages:?}");
    let messages = problems(severity, "-- severity \"high\"");
    assert!(messages.len() == 1 && messages[0].starts_with("3:"), "{messages:?}");
    let messages = problems(severity, "-- severity = \"high\"\n-- severity = \"low\"");
    assert!(messages.len() == 1 && messages[0].starts_with("4:4: header: duplicate key"), "{messages:?}");
}

#[test]
fn file_and_folder_names() {
    let check = |tactic: &str, id: &str| {
        let problems = super::parse(Path::new("p"), tactic, id, GOOD).err().unwrap_or_default();
        problems.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(check("impact", "a-1"), [""; 0]);
    assert_eq!(
        check("impcat", "a"),
        ["p:1:1: folder \"impcat\" is no ATT&CK tactic; did you mean \"impact\"?"]
    );
    assert!(check("stuff", "a").concat().contains("use one of initial-access, execution"));
    assert_eq!(
        check("impact", "A_b"),
        ["p:1:1: \"A_b\" is no id; name the file with lower case letters, digits and dashes"]
    );
}

/// Whatever the text, reading it ends with a rule or with problems at places that exist.
fn read_or_refused(text: &str) {
    if let Err(problems) = super::parse(Path::new("p"), "impact", "x", text) {
        assert!(!problems.is_empty(), "{text}");
        for problem in problems {
            let line = text.split('\n').nth(problem.line.wrapping_sub(1));
            let width = line.map_or(0, |line| line.chars().count());
            assert!(line.is_some() && (1..=width + 1).contains(&problem.column), "{problem}\n{text}");
        }
    }
}

#[test]
fn a_header_cut_anywhere_or_with_a_character_missing() {
    for (at, character) in GOOD.char_indices() {
        read_or_refused(&GOOD[..at]);
        read_or_refused(&format!("{}{}", &GOOD[..at], &GOOD[at + character.len_utf8()..]));
    }
}

proptest::proptest! {
    #[test]
    fn any_header_is_read_or_refused(lines in proptest::collection::vec("(title|key|window|summary|[a-zé])( = )?[\"\\[\\]{}'#=\\\\a-zé0-9 ]{0,12}", 0..8)) {
        let header: String = lines.iter().map(|line| format!("-- {line}\n")).collect();
        read_or_refused(&format!("-- /// detection\n{header}-- ///\nSELECT 1\n"));
        read_or_refused(&lines.join("\n"));
    }
}
