//! The commands beside replay, and the forms data comes in.

use serde_json::Value;

use super::{Place, record};

fn place() -> Place {
    let place = Place::new();
    place.put(
        "in.json",
        [record("=alice", "db", 1), record("bob", "db", 2), record("gitops", "db", 3)].join("\n"),
    );
    place
}

#[test]
fn alerts_come_in_every_format() {
    let place = place();
    let alerts: Vec<Value> =
        serde_json::from_str(&place.run("replay --format json in.json").code(0).out).unwrap();
    assert_eq!(alerts.len(), 2);
    assert_eq!(alerts[0]["rule"], "secret-get");
    assert_eq!(alerts[0]["summary"], "=alice read secret db");
    let lines = place.run("replay --format ndjson in.json").code(0).out;
    let each: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(each, alerts);
    assert_eq!(place.run("replay in.json").code(0).out, lines, "ndjson is the default of a pipe");
    let csv = place.run("replay --format csv in.json").code(0).out;
    assert!(csv.starts_with("id,rule,title,") && csv.contains(",'=alice read secret db,"), "{csv}");
    let table = place.run("replay --format table in.json").code(0).out;
    assert!(table.contains("bob read secret db") && table.contains("prod"), "{table}");
    assert_eq!(place.run("replay --format none in.json").code(0).says("secret-get").out, "");
}

#[test]
fn fail_on_alert_is_1_only_with_an_alert() {
    let place = place();
    place.put("quiet.json", record("gitops", "db", 1));
    place.run("replay --fail-on-alert --format none in.json").code(1);
    place.run("replay --fail-on-alert quiet.json").code(0);
    place.run("replay --fail-on-alert --min-severity critical in.json").code(0);
    place.run("replay --fail-on-alert --rule secret-get in.json").code(1);
}

#[test]
fn check_reports_each_problem_at_its_place() {
    let place = place();
    let good = "detections/credential-access/secret-get";
    place.put(&format!("{good}/fires-read.ndjson"), record("alice", "db", 1));
    place.put(&format!("{good}/silent-list.ndjson"), record("gitops", "db", 1));
    let run = place.run("check").code(0);
    assert_eq!(run.out, "");
    let text = place.read(&format!("{good}.sql"));
    place.put("detections/impact/wrong-column.sql", text.replace("resource = ", "resuorce = "));
    place.put("detections/impact/wrong-header.sql", text.replace("severity = \"high\"", "severity = \"hi\""));
    let run = place.run("check").code(1).says("errors");
    let problems: Vec<&str> = run.out.lines().collect();
    let at = |place: &str| problems.iter().find(|line| line.contains(place)).copied().unwrap_or_default();
    assert!(at("wrong-column.sql:14:7: ").contains("did you mean \"resource\"?"), "{}", run.out);
    assert!(at("wrong-header.sql:3:").contains("hi"), "{}", run.out);
    let files = problems.iter().map(|line| line.split(':').next().unwrap_or_default());
    assert!(files.is_sorted(), "{}", run.out);
    let items: Vec<Value> = serde_json::from_str(&place.run("check --format json").code(1).out).unwrap();
    assert_eq!(items.len(), problems.len());
    // The same mistakes keep a replay from starting, unless it needs the other rule only.
    place.run("replay in.json").code(2).says("wrong-column.sql:14:7").says("wrong-header.sql:3");
    place.run("replay --rule secret-get in.json").code(0);
}

#[test]
fn cases_pass_fail_and_are_blessed() {
    let place = place();
    let folder = "detections/credential-access/secret-get";
    place.put(&format!("{folder}/fires-read.ndjson"), record("alice", "db", 1));
    place.put(&format!("{folder}/silent-reader.ndjson"), record("gitops", "db", 1));
    place.run("test --bless").code(0);
    assert!(place.read(&format!("{folder}/fires-read.alerts.json")).contains("alice read secret db"));
    let run = place.run("test --junit junit.xml").code(0).says("2 cases, 0 failed");
    assert_eq!(run.out, "");
    assert!(place.read("junit.xml").contains("name=\"fires-read\""));
    place.put(&format!("{folder}/fires-read.ndjson"), record("mallory", "db", 1));
    let run = place.run("test secret-get --junit junit.xml").code(1).says("1 failed");
    assert!(run.out.starts_with("FAIL secret-get/fires-read: "), "{}", run.out);
    assert!(run.out.contains("mallory"), "{}", run.out);
    assert!(place.read("junit.xml").contains("<failure"));
    place.run("test nothing-like-it").code(2).says("nothing-like-it");
    place.run(&format!("test {folder}.sql")).code(1);
}

#[test]
fn rules_are_listed_as_the_contract_says() {
    let place = place();
    let rules: Value = serde_json::from_str(&place.run("rules list --format json").code(0).out).unwrap();
    let rule = &rules[0];
    let keys: Vec<&String> = rule.as_object().unwrap().keys().collect();
    let contract = [
        "id",
        "title",
        "severity",
        "status",
        "kind",
        "tactic",
        "attack",
        "section",
        "categories",
        "window",
        "path",
    ];
    assert_eq!(keys, contract);
    assert_eq!((&rule["id"], &rule["kind"]), (&"secret-get".into(), &"stateless".into()));
    assert_eq!((&rule["window"], &rule["tactic"]), (&Value::Null, &"credential-access".into()));
    let page = place.run("rules show secret-get --format table").code(0).out;
    for part in ["A secret was read", "T1552.007", "4 secrets", "lists/readers.csv", "FROM audit"] {
        assert!(page.contains(part), "{part} in {page}");
    }
}

#[test]
fn coverage_names_the_rules_that_are_blind() {
    let place = place();
    place.put(
        "guard.json",
        "{\"category\":\"guard\",\"time\":\"2026-03-01T10:00:00Z\",\"properties\":{\"log\":\"x\"}}",
    );
    let lines = |args: &str| -> Vec<Value> {
        let out = place.run(args).code(0).out;
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let pack = lines("rules coverage");
    let secrets = pack.iter().find(|l| l["by"] == "section" && l["value"] == "4").unwrap();
    assert_eq!((&secrets["name"], &secrets["rules"]), (&"secrets".into(), &1.into()));
    let blind = |lines: &[Value]| lines.iter().filter(|l| l["by"] == "blind").count();
    assert_eq!(
        (blind(&pack), blind(&lines("rules coverage in.json")), blind(&lines("rules coverage guard.json"))),
        (0, 0, 1)
    );
}

#[test]
fn coverage_counts_queries_and_what_a_category_feeds() {
    let place = place();
    place.put("queries/reads.sql", "-- /// query\n-- title = \"Reads\"\n-- description = \"d\"\n-- section = [4, 6]\n-- ///\nSELECT verb FROM audit ORDER BY verb\n");
    let out = place.run("rules coverage").code(0).out;
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let find = |by: &str, value: &str| {
        lines
            .iter()
            .find(|line| line["by"] == by && line["value"] == value)
            .unwrap_or_else(|| panic!("{by} {value}"))
    };
    assert_eq!(find("section", "4")["query_ids"], serde_json::json!(["reads"]));
    assert_eq!((&find("section", "6")["rules"], &find("section", "6")["queries"]), (&0.into(), &1.into()));
    assert_eq!(find("reads", "kube-audit-admin")["ids"], serde_json::json!(["secret-get"]));
    assert_eq!(find("peers", "all")["name"], "1 of 134 detections that another product has");
    let falco = find("peer", "Falco")["name"].as_str().unwrap();
    assert!(falco.starts_with("1 of ") && falco.ends_with(" rules covered, 1 out of reach"), "{falco}");
}

#[test]
fn coverage_is_a_layer_a_page_or_a_table_of_peers() {
    let place = place();
    place.run("rules coverage --navigator layer.json").code(0).says("layer.json written");
    let text = place.read("layer.json");
    assert_eq!(place.run("rules coverage --navigator -").code(0).out, text);
    let layer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&layer["versions"]["layer"], &layer["domain"]), (&"4.5".into(), &"enterprise-attack".into()));
    assert_eq!(layer["techniques"][1]["comment"], "secret-get");
    place
        .run("rules coverage --navigator none/layer.json")
        .code(2)
        .says("writing the layer to none/layer.json");
    place.run("rules coverage --navigator - --peers").code(2).says("cannot be used with");

    let page = place.run("rules coverage --markdown").code(0).out;
    assert!(
        page.contains("| [T1552.007](https://attack.mitre.org/techniques/T1552/007/) | 1 | [secret-get]"),
        "{page}"
    );

    let ours =
        "peer,rule,detections,note\nA,read,secret-get,\nA,both,secret-get other,why\nA,arm,,elsewhere\n";
    place.put("detections/peers.csv", ours);
    let out = place.run("rules coverage --peers --format csv").code(0).out;
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "peer,rule,state,detections,missing,note");
    assert!(lines[1].starts_with("A,read,covered,") && lines[2].contains(",partly covered,"), "{out}");
    assert!(lines[3].starts_with("A,arm,out of reach,") && lines[3].ends_with(",elsewhere"), "{out}");
    place.put("detections/peers.csv", "peer,rule\nA,read,,\n");
    place.run("rules coverage --peers").code(2).says("detections/peers.csv:2:1: no detections for \"read\"");
    assert!(place.run("check").code(1).out.contains("detections/peers.csv:1:1: the table begins with"));
}

#[test]
fn hunt_prints_rows_and_refuses_what_is_no_query() {
    let place = place();
    let hunt = |sql: &str, format: &str| place.run_args(["hunt", "-e", sql, "in.json", "--format", format]);
    let sql = "SELECT username, count(*) AS n FROM audit GROUP BY username ORDER BY username";
    let expected = "{\"username\":\"=alice\",\"n\":1}\n{\"username\":\"bob\",\"n\":1}\n{\"username\":\"gitops\",\"n\":1}\n";
    assert_eq!(hunt(sql, "ndjson").code(0).says("3 rows").out, expected);
    assert_eq!(hunt(sql, "csv").code(0).out, "username,n\r\n'=alice,1\r\nbob,1\r\ngitops,1\r\n");
    assert_eq!(hunt("SELECT username FROM audit WHERE false", "json").code(0).out, "[]\n");
    for (sql, said) in
        [("SELECT usernam FROM audit", "usernam"), ("SELEC 1", "SELEC"), ("DROP TABLE audit", "")]
    {
        let run = hunt(sql, "ndjson").code(2).says(said);
        assert_eq!(run.out, "");
        assert!(!run.err.contains("panicked"));
    }
}
