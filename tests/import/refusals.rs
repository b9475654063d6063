//! What is refused, with place and reason; and what is no rule at all.

use aksentry::import::Reason;
use proptest::prelude::*;

use super::{import, rule};

#[test]
fn each_reason_at_its_place() {
    let cases = [
        ("sel: {objectRef.resourcee: x}", Reason::Field, (6, 9), "did you mean \"objectRef.resource\"?"),
        ("sel: {process.name: x}", Reason::Field, (6, 9), "no field \"process.name\""),
        ("sel: {responseStatus.code: ALLOW}", Reason::Type, (6, 30), "\"ALLOW\" is no integer"),
        ("sel: {responseStatus.code: '4*x'}", Reason::Type, (6, 30), "can be no integer"),
        ("sel: {responseStatus.code: 4.5}", Reason::Type, (6, 30), "no integer"),
        ("sel: {user.username|gt: 5}", Reason::Type, (6, 27), "no order of numbers"),
        ("sel: {responseStatus.code|cidr: 10.0.0.0/8}", Reason::Type, (6, 35), "no address"),
        ("sel: {stageTimestamp: '2026-01-01'}", Reason::Type, (6, 9), "a rule names no time"),
        ("sel: {verb|hour: 3}", Reason::Type, (6, 9), "is no time"),
        ("sel: {verb|contians: x}", Reason::Modifier, (6, 9), "did you mean \"contains\"?"),
        ("sel: {verb|re|contains: x}", Reason::Modifier, (6, 9), "no meaning together"),
        ("sel: {verb|wide: x}", Reason::Modifier, (6, 9), "base64"),
        ("sel: {verb|i: x}", Reason::Modifier, (6, 9), "re|i"),
        ("sel: {verb|re: '('}", Reason::Value, (6, 18), "no regular expression"),
        ("sel: {verb|re: '(?!a)b'}", Reason::Value, (6, 18), "looks ahead"),
        ("sel: {sourceIPs|cidr: 10.0.0.0/99}", Reason::Value, (6, 25), "no CIDR"),
        ("sel: {verb|exists: maybe}", Reason::Value, (6, 22), "true or false"),
        ("sel: {responseStatus.code|gte: many}", Reason::Value, (6, 34), "no number"),
        ("sel: {user.username|expand: '%nobody%'}", Reason::Value, (6, 31), "lists/nobody.csv"),
        ("sel: {user.username|expand: 'x%jump_hosts%'}", Reason::Value, (6, 31), "nothing beside it"),
        ("sel: {user.username|fieldref: nowhere}", Reason::Field, (6, 33), "no field \"nowhere\""),
        ("sel: {user.username|fieldref: responseStatus.code}", Reason::Type, (6, 33), "two texts"),
        ("sel: {verb|base64: 'a*'}", Reason::Value, (6, 22), "wildcard"),
        ("sel: {verb: []}", Reason::Value, (6, 15), "empty list"),
        ("sel: {verb: {a: b}}", Reason::Structure, (6, 15), "a map where a value"),
        ("sel: {}", Reason::Structure, (6, 8), "match everything"),
        ("sel: ['']", Reason::Value, (6, 9), "empty keyword"),
    ];
    for (search, reason, place, said) in cases {
        let outcome = import(&rule("Refused", &format!("{search}\ncondition: sel")));
        assert!(outcome.detections.is_empty(), "{search}");
        let problem = &outcome.refused[0].problems[0];
        assert_eq!((problem.reason, problem.place), (reason, place), "{search}: {}", problem.message);
        assert!(problem.message.contains(said), "{search}: {}", problem.message);
    }
}

#[test]
fn every_problem_of_a_rule() {
    let outcome = import(&rule(
        "Three",
        "sel: {nothing: 1, verb|x: 2}\nother: {responseStatus.code: a}\ncondition: sel",
    ));
    assert_eq!(outcome.refused.len(), 1);
    assert_eq!(outcome.refused[0].problems.len(), 3, "{:?}", outcome.refused);
}

#[test]
fn whole_documents() {
    let good = rule("Good", "sel: {verb: get}\ncondition: sel");
    let source = |source: &str| good.replace("{product: kubernetes, service: audit}", source);
    for (text, reason, said) in [
        (
            source("{product: windows, service: security}"),
            Reason::LogSource,
            "product windows, service security",
        ),
        (source("{product: azure, service: activitylogs}"), Reason::LogSource, "service activitylogs"),
        (
            source("{category: process_creation, product: linux}"),
            Reason::LogSource,
            "audit log of Kubernetes",
        ),
        (source("{product: kubernetes, service: apiserver}"), Reason::LogSource, "another"),
        (good.replace("title: Good\n", ""), Reason::Structure, "no title"),
        (
            "title: x\nlogsource: {product: kubernetes, service: audit}\n".into(),
            Reason::Structure,
            "no detection",
        ),
        (
            "title: x\ndetection: {sel: {verb: get}, condition: sel}\n".into(),
            Reason::Structure,
            "no logsource",
        ),
        (rule("No condition", "sel: {verb: get}"), Reason::Structure, "no condition"),
        (
            rule("Old", "sel: {verb: get}\ncondition: sel | count() by user.username > 5"),
            Reason::Condition,
            "correlation rule",
        ),
        (rule("Old", "sel: {verb: get}\ntimeframe: 5m\ncondition: sel"), Reason::Correlation, "timeframe"),
        (
            rule("Typo", "selection: {verb: get}\ncondition: selektion"),
            Reason::Condition,
            "did you mean \"selection\"?",
        ),
        ("action: global\ntitle: x\n".into(), Reason::Structure, "action: global"),
        ("title: x\nfilter: {rules: [a]}\n".into(), Reason::Structure, "filter"),
        (format!("{good}status: deprecated\n"), Reason::Status, "deprecated"),
        ("- a\n- b\n".into(), Reason::Structure, "no map"),
        ("just text".into(), Reason::Structure, "no map"),
        ("a: [1\nb: 2\n".into(), Reason::Yaml, "broken YAML"),
        ("a: \"x\n".into(), Reason::Yaml, "broken YAML"),
        (format!("{good}title: twice\n"), Reason::Yaml, "\"title\" stands twice"),
        (rule("Twice", "sel:\n  verb: get\n  verb: list\ncondition: sel"), Reason::Yaml, "stands twice"),
    ] {
        let outcome = import(&text);
        let problem = &outcome.refused.first().unwrap_or_else(|| panic!("{text}")).problems[0];
        assert_eq!(problem.reason, reason, "{text}: {}", problem.message);
        assert!(said == "another" || problem.message.contains(said), "{text}: {}", problem.message);
        // Its neighbours in the file are none the worse.
        let outcome = import(&format!("{good}---\n{text}\n---\n{}", good.replace("Good", "Also good")));
        assert_eq!((outcome.detections.len(), outcome.refused.len()), (2, 1), "{text}");
    }
    assert!(import("").refused.is_empty());
    assert!(import("# only a remark\n---\n...\n").refused.is_empty());
}

#[test]
fn a_rule_of_thousands_of_values() {
    let many: Vec<String> = (0..3000).map(|n| format!("name-{n}")).collect();
    let outcome =
        import(&rule("Names", &format!("sel: {{objectRef.name: [{}]}}\ncondition: sel", many.join(", "))));
    assert_eq!(outcome.detections.len(), 1, "one list of exact values is one comparison");
    let outcome = import(&rule(
        "Parts",
        &format!("sel: {{objectRef.name|contains: [{}]}}\ncondition: sel", many.join(", ")),
    ));
    assert!(outcome.refused[0].problems[0].message.contains("more than 1000 comparisons"));
}

/// A few lines that are nearly a rule.
fn lines() -> impl Strategy<Value = String> {
    let parts = [
        "title: x",
        "logsource: {product: kubernetes, service: audit}",
        "detection:",
        "  sel:",
        "    verb: get",
        "    - a",
        "  condition: sel",
        "  condition: not (1 of sel*",
        "---",
        "...",
        "&a",
        "*a",
        "!!binary x",
        "? [k]",
        "{",
        "}",
        "[",
        "]",
        "'",
        "\"",
        "|",
        ">-",
        "\t",
        "%YAML 1.2",
        "correlation:",
        "  type: temporal",
        "  rules: [x, x]",
        "  timespan: 1m",
        "tags: [attack.]",
        "\u{feff}",
        "\u{0}",
        "level: {a: b}",
        ": :",
        "-",
        "    requestObject.spec[*].x|re|i: '('",
        "    ''|all: 5",
        "    '|all': [a]",
        "    user.groups|windash|base64offset|contains: ' -é'",
    ];
    prop::collection::vec(prop::sample::select(parts.to_vec()), 0..14).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_makes_it_panic(text in lines()) {
        let outcome = import(&text);
        for refused in &outcome.refused {
            prop_assert!(!refused.problems.is_empty());
            for problem in &refused.problems {
                prop_assert!(problem.place.0 >= 1 && problem.place.1 >= 1 && !problem.message.is_empty());
            }
        }
        for made in &outcome.detections {
            prop_assert!(aksentry::rules::parse_detection(std::path::Path::new("x"), made.tactic, &made.id, &made.text).is_ok(), "{}", made.text);
        }
    }

    #[test]
    fn not_any_text_either(text in "\\PC{0,80}") {
        import(&text);
    }
}
