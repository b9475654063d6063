//! Searches and conditions, missing fields among them: what SQL calls null is false here.

use serde_json::json;

use super::{alerts, check, event, import, rule, user};

#[test]
fn conditions() {
    let both = |name: &str, agent: &str| json!({"user": {"username": name}, "userAgent": agent});
    let searches = "a: {user.username: bob}\nb: {userAgent: curl}\nsel_1: {verb: get}\nsel_2: {objectRef.namespace: web}\n";
    let with = |condition: &str| format!("{searches}condition: {condition}");
    let detections: Vec<(String, Vec<_>)> = vec![
        (with("a and b"), vec![(both("bob", "curl"), true), (both("bob", "wget"), false)]),
        (
            with("a or b"),
            vec![(both("bob", "wget"), true), (both("eve", "CURL"), true), (both("eve", "x"), false)],
        ),
        (
            with("a and not b"),
            vec![
                (both("bob", "wget"), true),
                (both("bob", "curl"), false),
                (json!({"user": {"username": "bob"}, "userAgent": null}), true),
            ],
        ),
        (with("not a"), vec![(user("bob"), false), (user("eve"), true), (json!({"user": null}), true)]),
        (
            with("not (a or b)"),
            vec![(json!({"user": null, "userAgent": null}), true), (both("eve", "curl"), false)],
        ),
        (with("not not a"), vec![(user("bob"), true), (json!({"user": null}), false)]),
        (
            with("a or b and sel_1"),
            vec![
                (json!({"user": {"username": "bob"}, "verb": "list"}), true),
                (json!({"userAgent": "curl", "verb": "list"}), false),
            ],
        ),
        (
            with("(a or b) and sel_1"),
            vec![(json!({"user": {"username": "bob"}, "verb": "list"}), false), (user("bob"), true)],
        ),
        (
            with("1 of sel_*"),
            vec![
                (json!({"verb": "list"}), true),
                (json!({"verb": "list", "objectRef": {"namespace": "x"}}), false),
            ],
        ),
        (with("all of sel_*"), vec![(json!({}), true), (json!({"verb": "list"}), false)]),
        (with("all of them"), vec![(both("bob", "curl"), true), (user("bob"), false)]),
        (
            with("1 of them"),
            vec![(json!({"verb": "list", "objectRef": {"namespace": "x"}}), false), (json!({}), true)],
        ),
        (with("3 of them"), vec![(user("bob"), true), (json!({}), false), (both("bob", "curl"), true)]),
        (
            with("a AND NOT 1 of sel_*"),
            vec![
                (
                    json!({"user": {"username": "bob"}, "verb": "list", "objectRef": {"namespace": null}}),
                    true,
                ),
                (user("bob"), false),
            ],
        ),
        (with("[a and b, sel_1 and a]"), vec![(user("bob"), true), (both("eve", "curl"), false)]),
        // Lists of maps are alternatives, maps inside of them are not.
        (
            "sel:\n  - user.username: bob\n    verb: delete\n  - userAgent|contains: nmap\ncondition: sel"
                .into(),
            vec![
                (user("bob"), false),
                (json!({"user": {"username": "bob"}, "verb": "delete"}), true),
                (json!({"userAgent": "x nmap"}), true),
            ],
        ),
        (
            "_part: {user.username: bob}\nsel: {verb: get}\ncondition: all of them".into(),
            vec![(user("eve"), true)],
        ),
    ];
    let cases: Vec<(&str, &[(serde_json::Value, bool)])> =
        detections.iter().map(|(text, events)| (text.as_str(), events.as_slice())).collect();
    check(&cases);
}

#[test]
fn keywords() {
    let command = |text: &str| json!({"requestObject": {"command": ["sh", "-c", text]}});
    check(&[
        (
            "words: [MimiKatz, 'ev?l*day']\ncondition: words",
            &[
                (command("run mimikatz"), true),
                (user("mimikatz"), true),
                (json!({"requestURI": "/evil/some/day"}), true),
                (command("mimi katz"), false),
                (json!({}), false),
                (json!({"user": {"groups": ["a", "xmimikatzx"]}}), true),
            ],
        ),
        (
            "words:\n  '|all': [one, two]\ncondition: words",
            &[(command("one two"), true), (command("one"), false)],
        ),
        (
            "words:\n  '|all|cased': [One]\ncondition: words",
            &[(command("One"), true), (command("one"), false)],
        ),
        (
            "words: 'a.c'\ncondition: words and not other\nother: [stop]",
            &[(command("a.c"), true), (command("abc"), false), (command("a.c stop"), false)],
        ),
        (
            "mixed:\n  - user.username: bob\n  - nmap\ncondition: mixed",
            &[(user("bob"), true), (command("nmap"), true), (user("eve"), false)],
        ),
    ]);
}

#[test]
fn the_sources_of_the_log() {
    for (source, categories) in [
        ("{category: application, product: kubernetes, service: audit}", ""),
        ("{product: kubernetes, category: audit}", ""),
        ("{product: azure, service: kube-audit}", "categories = [\"kube-audit\"]"),
        ("{product: azure, category: kube-audit-admin}", "categories = [\"kube-audit-admin\"]"),
        ("{product: azure, service: aks}", ""),
    ] {
        let text = rule("Source", "sel: {verb: [create, get]}\ncondition: sel")
            .replace("{product: kubernetes, service: audit}", source);
        let outcome = import(&text);
        let made = outcome.detections.first().unwrap_or_else(|| panic!("{source}: {:?}", outcome.refused));
        assert_eq!(
            made.text
                .lines()
                .find(|line| line.contains("categories"))
                .map_or("", |line| line.trim_start_matches("-- ")),
            categories
        );
        assert_eq!(alerts(&outcome, &[event("1", &json!({}))]).len(), 1, "{source}");
    }
    // Only kube-audit carries reads.
    let outcome = import(&rule("Reads", "sel: {verb: [get, list]}\ncondition: sel"));
    assert!(outcome.detections[0].text.contains("categories = [\"kube-audit\"]"));
}

#[test]
fn ids_and_tactics() {
    let one = rule("Same Title!", "sel: {verb: get}\ncondition: sel");
    let outcome = import(&format!(
        "{one}---\n{one}id: abcdef01-0000-0000-0000-000000000000\n---\n{one}---\n{one}id: abcdef01-1\n"
    ));
    let ids: Vec<&str> = outcome.detections.iter().map(|made| made.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "sigma-same-title",
            "sigma-same-title-abcdef01",
            "sigma-same-title-3",
            "sigma-same-title-abcdef01-4"
        ]
    );
    for (tags, tactic, attack) in [
        (
            "[attack.t1552.007, attack.privilege_escalation, attack.persistence]",
            "privilege-escalation",
            "T1552.007",
        ),
        ("[attack.t1613]", "discovery", "T1613"),
        ("[cve.2024-1234]", "execution", ""),
        ("[attack.defense-impairment, attack.G0001]", "defense-evasion", ""),
    ] {
        let outcome = import(&one.replace("[attack.discovery]", tags));
        let made = outcome.detections.first().unwrap();
        assert_eq!(made.tactic, tactic, "{tags}");
        assert_eq!(made.text.contains("attack = "), !attack.is_empty(), "{tags}");
        assert!(made.text.contains(attack), "{tags}");
    }
}

#[test]
fn what_is_likely_a_mistake_is_said() {
    for (detection, said) in [
        ("sel: {verb: replace}\ncondition: sel", "\"replace\" never stands in verb"),
        (
            "sel: {verb: get}\nforgotten: {verb: list}\ncondition: sel",
            "search \"forgotten\" is not in the condition",
        ),
        (
            "sel: {verb: create, objectRef.resource: pods, objectRef.subresource: exec}\ncondition: sel",
            "over WebSocket are a get",
        ),
        ("sel: {objectRef.apiGroup: ''}\ncondition: sel", "the core group is absent"),
    ] {
        let outcome = import(&rule("Warned", detection));
        let warnings = &outcome.detections.first().unwrap().warnings;
        assert!(warnings.iter().any(|(_, message)| message.contains(said)), "{said}: {warnings:?}");
    }
}
