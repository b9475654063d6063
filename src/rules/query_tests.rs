//! What the header of a query may hold, and what is said about one that is wrong.

use super::*;
use crate::rules::ParameterKind;

const GOOD: &str = r#"-- /// query
-- title = "What an identity did"
-- description = """
-- First line.
-- """
-- topic = "identity"
-- section = [1]
-- see_also = ["other"]
-- example = { identity = "anna", verbs = ["get", "watch"], least = 2 }
--
-- [params]
-- identity = { type = "string", description = "whose" }
-- verbs = { type = "string[]", description = "which", default = ["get", "list"] }
-- least = { type = "int", description = "how many", default = 3 }
--
-- [params.near]
-- type = "duration"
-- description = "how close"
-- required = false
-- ///
SELECT username FROM audit WHERE username = $identity ORDER BY username
"#;

fn problems(from: &str, to: &str) -> Vec<String> {
    assert!(GOOD.contains(from), "{from}");
    let parsed = Query::parse(Path::new("queries/x.sql"), "x", &GOOD.replacen(from, to, 1));
    let problems = parsed.err().unwrap_or_default();
    problems.iter().map(|p| p.to_string().trim_start_matches("queries/x.sql:").to_string()).collect()
}

#[test]
fn a_query_with_everything() {
    let query = Query::parse(Path::new("queries/x.sql"), "x", GOOD).unwrap();
    assert_eq!((query.title.as_str(), query.description.as_str()), ("What an identity did", "First line."));
    assert_eq!((query.section, query.see_also), (vec![1], vec!["other".to_string()]));
    let usages: Vec<String> = query.params.iter().map(Parameter::usage).collect();
    assert_eq!(
        usages,
        [
            "identity (string, required)",
            "verbs (string[], default get,list)",
            "least (int, default 3)",
            "near (duration, optional)",
        ]
    );
    assert_eq!(query.topic.as_deref(), Some("identity"));
    let example: Vec<(&str, &str)> = query.example.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(example, [("identity", "anna"), ("least", "2"), ("verbs", "get"), ("verbs", "watch")]);
    assert_eq!(query.params[3].kind, ParameterKind::Duration);
    assert_eq!(query.params[0].place, (12, 4));
    assert!(query.sql.starts_with(&"\n".repeat(20)));
}

#[test]
fn what_is_wrong_with_parameters() {
    for (from, to, said) in [
        (
            "\"string\",",
            "\"strnig\",",
            "12:24: unknown type \"strnig\" of parameter \"identity\"; did you mean \"string\"?",
        ),
        ("default = 3", "default = \"3\"", "default of parameter \"least\": it must be of type int"),
        ("default = [\"get\", \"list\"]", "default = \"get\"", "must be of type string[]: [\"a\", \"b\"]"),
        ("default = 3", "default = 3, required = true", "has a default and is required"),
        (
            "default = 3",
            "defualt = 3",
            "unknown key \"defualt\" of parameter \"least\"; did you mean \"default\"?",
        ),
        (", description = \"whose\"", "", "12:4: parameter \"identity\" has no description"),
        ("identity = {", "Identity = {", "\"Identity\" is no name of a parameter"),
        (
            "identity = { type = \"string\", description = \"whose\" }",
            "identity = \"string\"",
            "must be a table",
        ),
        ("-- /// query", "-- /// detection", "1:1: no header; begin the file with the line \"-- /// query\""),
        ("least = 2 }", "least = \"2\" }", "9:61: example of parameter \"least\": it must be of type int"),
        ("least = 2 }", "last = 2 }", "9:61: example of \"last\", which is no parameter"),
        ("\"identity\"", "\"identitiy\"", "6:12: unknown topic \"identitiy\"; did you mean \"identity\"?"),
        ("title =", "titel =", "unknown key \"titel\"; did you mean \"title\"?"),
    ] {
        let found = problems(from, to);
        assert!(found.iter().any(|problem| problem.contains(said)), "{said}: {found:?}");
    }
}

#[test]
fn a_folder_of_queries() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.sql"), GOOD).unwrap();
    std::fs::write(folder.path().join("otter.sql"), "SELECT 1").unwrap();
    std::fs::write(folder.path().join("README.md"), "no query").unwrap();
    let (queries, problems) = Queries::load(Some(folder.path()));
    assert_eq!(queries.all.iter().map(|q| q.id.as_str()).collect::<Vec<_>>(), ["x"]);
    let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert!(shown[1].ends_with("x.sql:8:16: no query \"other\"; did you mean \"otter\"?"), "{shown:?}");
}
