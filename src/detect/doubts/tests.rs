//! Conditions that can never be true, and those that only look like it.

use std::path::Path;

use super::*;
use crate::rules::{Catalog, Queries, parse_detection};

/// What is said of a rule with this header line and this `WHERE`, each as `line:column: message` with
/// the first line of the condition as 1.
fn said(header: &str, from: &str, condition: &str) -> Vec<String> {
    let text = format!(
        "-- /// detection\n-- title = \"t\"\n-- severity = \"low\"\n-- status = \"stable\"\n-- key = [\"cluster\"]\n\
         -- summary = \"s\"\n-- description = \"d\"\n-- {header}\n-- ///\nSELECT cluster FROM {from} WHERE\n{condition}\n"
    );
    let detection = parse_detection(Path::new("x.sql"), "impact", "x", &text).unwrap();
    let told = |problem: &Diagnostic| {
        format!("{}:{}: {}", problem.line as isize - 10, problem.column, problem.message)
    };
    rule(&detection).iter().map(told).collect()
}

fn audit(condition: &str) -> Vec<String> {
    said("suppress = \"1h\"", "audit", condition)
}

#[test]
fn conditions_that_exclude_each_other_are_told() {
    for (condition, at) in [
        ("verb = 'get'\nAND name = 'x'\nAND verb = 'create'", "3:5: never true: what line 11 asks of verb"),
        ("verb IN ('get', 'list') AND NOT verb IN ('list', 'get', 'watch')", "1:33: never true"),
        ("verb = 'get' AND verb <> 'get'", "1:18: never true"),
        ("name IS NULL AND name = 'x'", "1:18: never true"),
        ("name LIKE 'x%' AND name IS NULL", "1:20: never true"),
        ("status_code >= 500 AND status_code < 500", "1:24: never true"),
        ("status_code BETWEEN 200 AND 299 AND status_code = 403", "1:37: never true"),
        ("NOT (status_code < 300 OR verb = 'get') AND status_code = 200", "1:45: never true"),
        ("listed('a', name) AND name = 'x' AND NOT listed('a', name)", "1:42: never true"),
        ("coalesce(name, '-') = 'a' AND coalesce(name, '-') = 'b'", "1:31: never true"),
        ("(verb = 'get' OR verb = 'list') AND verb = 'create'", "1:37: never true"),
        ("name = 'x' OR verb = 'get' AND verb = 'list'", "1:32: never true"),
        ("status_code > 599", "1:1: never true: a status code lies between 100 and 599"),
        ("99 = status_code", "1:6: never true: a status code lies between 100 and 599"),
    ] {
        let said = audit(condition);
        assert!(said.len() == 1 && said[0].starts_with(at), "{condition}: {said:?}");
    }
}

#[test]
fn conditions_that_can_be_true_are_left_alone() {
    for condition in [
        "verb = 'get' OR verb = 'create'",
        "(verb = 'get' AND name = 'x') OR (verb = 'create' AND name = 'y')",
        "verb IN ('get', 'create') AND verb <> 'get'",
        "(verb = 'delete' OR NOT listed('a', username)) AND verb IN ('create', 'delete')",
        "status_code BETWEEN 200 AND 299 OR status_code = 101",
        "status_code >= 400 AND status_code <= 400",
        "(name IS NULL OR name = 'x') AND (name IS NULL OR name = 'y')",
        "name IS NULL OR name <> 'x'",
        "name <> 'x' AND (name = 'y' OR name = 'x')",
        "NOT (verb = 'get' AND name = 'x') AND verb = 'get'",
        "listed('a', name) AND NOT listed('b', name)",
        "subresource IS NULL AND (verb = 'get' OR subresource = 'status')",
        "coalesce(principal_class, 'unknown') NOT IN ('aks', 'unknown')",
        "resource IN ('roles', 'clusterroles') AND namespace = 'x'",
        "resource = 'namespaces' AND namespace = 'x'",
        "stage IN ('RequestReceived', 'ResponseComplete') AND status_code = 200",
        "resource IN ('nodepools', 'ciliumnetworkpolicies', 'roles', 'constrainttemplates')",
    ] {
        assert_eq!(audit(condition), [""; 0], "{condition}");
    }
    let own = "(SELECT cluster, CASE WHEN verb = 'get' THEN 'read' ELSE 'write' END AS decision FROM audit)";
    assert_eq!(said("suppress = \"1h\"", own, "decision = 'read'"), [""; 0]);
}

#[test]
fn words_no_log_has_are_told() {
    for (condition, message) in [
        ("verb = 'GET'", "no log has verb 'GET'; did you mean \"get\"?"),
        ("verb NOT IN ('get', 'lst')", "no log has verb 'lst'; did you mean \"list\"?"),
        ("stage = 'Complete'", "no log has stage 'Complete'; there are RequestReceived, "),
        ("level = 'metadata'", "no log has level 'metadata'; did you mean \"Metadata\"?"),
        ("coalesce(principal_class, 'none') = 'azure'", "no log has principal_class 'azure'; there are "),
        ("decision = 'deny'", "no log has decision 'deny'; there are allow, forbid"),
        ("resource = 'secret'", "no log has resource 'secret'; did you mean \"secrets\"?"),
        (
            "resource = 'networkpolicy'",
            "no log has resource 'networkpolicy'; did you mean \"networkpolicies\"?",
        ),
        ("resource = 'Ingress'", "no log has resource 'Ingress'; did you mean \"ingresses\"?"),
        (
            "resource = 'pods/exec'",
            "no log has resource 'pods/exec'; write resource = 'pods' AND subresource = 'exec'",
        ),
        ("subresource = 'logs'", "no log has subresource 'logs'; did you mean \"log\"?"),
        ("api_group = ''", "no log has api_group ''; the core group is null: write api_group IS NULL"),
        (
            "api_group = 'apps/v1'",
            "no log has api_group 'apps/v1'; the version stands in api_version: write 'apps'",
        ),
        ("category = 'kube-audits'", "no log has category 'kube-audits'; did you mean \"kube-audit\"?"),
        ("namespace = 'Default'", "no log has namespace 'Default'; it is lower case"),
        ("lower(username) = 'Alice'", "never equal: lower() gives lower case, and 'Alice' is not"),
    ] {
        let said = audit(condition);
        assert!(said.len() == 1 && said[0].contains(message), "{condition}: {said:?}");
    }
}

#[test]
fn columns_that_are_null_there_are_told() {
    for (condition, message) in [
        ("stage = 'RequestReceived' AND status_code = 200", "1:31: never true: status_code is null before"),
        (
            "level = 'Metadata' AND array_length(containers(object)) > 0",
            "never true: object is null at level",
        ),
        (
            "level IN ('Metadata', 'Request') AND response_object ->> 'a' = 'b'",
            "response_object is null below",
        ),
        (
            "resource = 'clusterroles' AND namespace = 'kube-system'",
            "namespace is null for objects of the whole",
        ),
    ] {
        let said = audit(condition);
        assert!(said.len() == 1 && said[0].contains(message), "{condition}: {said:?}");
    }
    let joined = "audit AS a JOIN audit AS b ON b.status_code = 200 AND b.time > a.time";
    assert_eq!(said("window = \"1h\"", joined, "a.stage = 'RequestReceived'"), [""; 0]);
}

#[test]
fn a_header_and_its_sql_name_the_same_categories() {
    let reads = "verb IN ('get', 'list') AND resource = 'secrets'";
    let both = said("categories = [\"kube-audit\", \"kube-audit-admin\"]", "audit", reads);
    assert!(both.len() == 1 && both[0].contains("no list; remove it"), "{both:?}");
    for header in ["categories = [\"kube-audit\"]", "suppress = \"1h\""] {
        assert_eq!(said(header, "audit", reads), [""; 0]);
    }
    for (categories, from, condition, message) in [
        ("kube-audit-admin", "audit", "verb = 'list'", "kube-audit-admin has no get and no list"),
        ("guard", "audit", "verb = 'create'", "\"guard\" carries no audit events"),
        ("kube-audit", "control_plane", "message LIKE 'x%'", "\"kube-audit\" is in audit"),
        ("guard", "control_plane", "category = 'kube-apiserver'", "no row of category \"guard\""),
        ("Guard", "control_plane", "message LIKE 'x%'", "no log has category 'Guard'"),
    ] {
        let said = said(&format!("categories = [\"{categories}\"]"), from, condition);
        assert!(said.len() == 1 && said[0].contains(message), "{condition}: {said:?}");
    }
    let forgotten = said("suppress = \"1h\"", "control_plane", "category = 'guard' AND message LIKE 'x%'");
    assert!(forgotten[0].contains("the SQL reads category \"guard\"; add it"), "{forgotten:?}");
}

#[test]
fn a_list_that_nothing_reads_and_one_in_capitals_are_told() {
    let list = |name: &str, text: &str| {
        let path = format!("detections/lists/{name}.csv");
        let (list, problems) = crate::rules::List::parse(name, Path::new(&path), text);
        assert_eq!(problems, []);
        (name.to_owned(), std::sync::Arc::new(list))
    };
    let text = "-- /// detection\n-- title = \"t\"\n-- severity = \"low\"\n-- status = \"stable\"\n-- key = [\"cluster\"]\n\
         -- summary = \"s\"\n-- description = \"d\"\n-- ///\nSELECT cluster FROM audit WHERE listed('lower', concat(cluster, '/', namespace)) \
         AND listed('mixed', username) AND listed('mixed', cluster)\n";
    let detection = parse_detection(Path::new("x.sql"), "impact", "x", text).unwrap();
    let catalog = Catalog {
        detections: vec![detection],
        lists: [
            list("lower", "value,reason\n/sub/a/Default,x\n/sub/b/default,x\n"),
            list("mixed", "value,reason\nAlice,x\n"),
            list("unread", "value,reason\n10.0.0.0/8,x\n10.1.1.1,x\nb\u{200b}ob,x\n"),
        ]
        .into(),
        ..Catalog::default()
    };
    let told = |complete| -> Vec<String> {
        lists(&catalog, &Queries::default(), complete).iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        told(true),
        [
            "detections/lists/lower.csv:2:1: warning: \"/sub/a/Default\" has no effect: rules compare this list with lower case; write \"/sub/a/default\"",
            "detections/lists/unread.csv:3:1: warning: \"10.1.1.1\" has no effect: \"10.0.0.0/8\" in line 2 covers it",
            "detections/lists/unread.csv:4:1: warning: \"b\\u{200b}ob\" has no effect: it holds a blank or sign that cannot be seen; type it anew",
            "detections/lists/unread.csv:1:1: warning: no rule and no query reads this list; write listed('unread', …) or remove it",
        ]
    );
    assert_eq!(told(false).len(), 3, "of what cannot be read nobody knows which lists it reads");
}
