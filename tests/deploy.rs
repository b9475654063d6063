//! What is deployed agrees with what is sent.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use aksentry::sink::sentinel::COLUMNS;
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn template() -> Value {
    let text = fs::read_to_string(root().join("deploy/sentinel/azuredeploy.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The only resource of a type.
fn resource(template: &Value, kind: &str) -> Value {
    let resources = template["resources"].as_array().unwrap();
    let mut of_kind = resources.iter().filter(|resource| resource["type"] == kind);
    let found = of_kind.next().unwrap_or_else(|| panic!("no {kind}"));
    assert!(of_kind.next().is_none(), "several of {kind}");
    found.clone()
}

fn columns(value: &Value) -> Vec<(String, String)> {
    let text = |column: &Value, name: &str| column[name].as_str().unwrap().to_owned();
    value.as_array().unwrap().iter().map(|column| (text(column, "name"), text(column, "type"))).collect()
}

#[test]
fn every_json_file_is_json() {
    let files: Vec<_> =
        glob::glob(root().join("deploy/**/*.json").to_str().unwrap()).unwrap().map(Result::unwrap).collect();
    assert!(!files.is_empty());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let json: Result<Value, _> = serde_json::from_str(&text);
        assert!(json.is_ok(), "{}: {}", file.display(), json.unwrap_err());
    }
}

#[test]
fn the_stream_has_the_columns_that_are_sent_and_the_table_those_that_it_may_have() {
    let template = template();
    let rule = resource(&template, "Microsoft.Insights/dataCollectionRules");
    assert_eq!(rule["kind"], "Direct");
    let sent: Vec<(String, String)> =
        COLUMNS.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned())).collect();
    let stream = &rule["properties"]["streamDeclarations"]["Custom-AksentryAlerts"]["columns"];
    assert_eq!(columns(stream), sent);

    let table = resource(&template, "Microsoft.OperationalInsights/workspaces/tables");
    let name = template["variables"]["table"].as_str().unwrap();
    assert!(name.ends_with("_CL") && name.len() <= 45, "{name}");
    // The transformation renames what the table may not have.
    let flow = &rule["properties"]["dataFlows"][0];
    assert_eq!(flow["transformKql"], "source | project-rename AlertTitle = Title");
    assert_eq!(flow["outputStream"], format!("Custom-{name}"));
    let mut renamed = sent;
    for (name, _) in &mut renamed {
        if name == "Title" {
            *name = "AlertTitle".to_owned();
        }
    }
    assert_eq!(columns(&table["properties"]["schema"]["columns"]), renamed);
    let reserved = ["_ResourceId", "id", "_SubscriptionId", "TenantId", "Type", "UniqueId", "Title"];
    for (name, _) in renamed {
        assert!(!reserved.iter().any(|word| word.eq_ignore_ascii_case(&name)), "{name} is reserved");
    }
}

#[test]
fn the_identity_may_send_and_nothing_else() {
    let template = template();
    let role = resource(&template, "Microsoft.Authorization/roleAssignments");
    let publisher = &template["variables"]["monitoringMetricsPublisher"];
    assert_eq!(publisher, "3913510d-42f4-4e42-8a64-420c390055eb");
    let definition = role["properties"]["roleDefinitionId"].as_str().unwrap();
    assert!(definition.contains("variables('monitoringMetricsPublisher')"), "{definition}");
    assert!(role["scope"].as_str().unwrap().contains("Microsoft.Insights/dataCollectionRules"));
}

#[test]
fn the_analytics_rule_raises_what_the_query_file_says() {
    let template = template();
    let rule = resource(&template, "Microsoft.SecurityInsights/alertRules");
    let rule = &rule["properties"];
    let query = fs::read_to_string(root().join("deploy/sentinel/raise-alerts.kql")).unwrap();
    assert_eq!(rule["query"], query);
    assert!(query.len() <= 10_000, "Sentinel takes no longer query");
    // A run looks at what arrived since the one before.
    assert_eq!(rule["queryFrequency"], "PT5M");
    assert!(query.contains("let every = 5m;") && query.contains("by AlertId"));
    assert_eq!(rule["eventGroupingSettings"]["aggregationKind"], "AlertPerResult");
    for folder in fs::read_dir(root().join("detections")).unwrap() {
        let folder = folder.unwrap();
        let tactic = folder.file_name().into_string().unwrap();
        if folder.path().is_dir() && tactic != "lists" {
            assert!(query.contains(&format!("\"{tactic}\":")), "the query does not know {tactic}");
        }
    }
    // Columns that the rule names exist in the table or are made by the query.
    let table = resource(&template, "Microsoft.OperationalInsights/workspaces/tables");
    let mut known: Vec<String> =
        columns(&table["properties"]["schema"]["columns"]).into_iter().map(|(name, _)| name).collect();
    let made = query.lines().filter_map(|line| line.split_once(" = "));
    known.extend(made.map(|(name, _)| name.trim().trim_start_matches("| extend ").to_owned()));
    let details = &rule["alertDetailsOverride"];
    let mut named: Vec<String> = Vec::new();
    named.extend(rule["customDetails"].as_object().unwrap().values().map(text));
    named.extend([text(&details["alertSeverityColumnName"]), text(&details["alertTacticsColumnName"])]);
    named.extend(details["alertDynamicProperties"].as_array().unwrap().iter().map(|p| text(&p["value"])));
    for format in ["alertDisplayNameFormat", "alertDescriptionFormat"] {
        named.push(text(&details[format]).replace("{{", "").replace("}}", ""));
    }
    for mapping in rule["entityMappings"].as_array().unwrap() {
        named.extend(mapping["fieldMappings"].as_array().unwrap().iter().map(|f| text(&f["columnName"])));
    }
    for name in named {
        let is_made = name == "AccountSuffix" && query.contains(", AccountSuffix = ");
        assert!(is_made || known.contains(&name), "no column {name} in {known:?}");
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[test]
fn severities_are_mapped_to_those_of_sentinel() {
    let query = fs::read_to_string(root().join("deploy/sentinel/raise-alerts.kql")).unwrap();
    let line = query.lines().find(|line| line.contains("AlertSeverity = case(")).unwrap();
    let words: Vec<&str> = line.split('"').skip(1).step_by(2).collect();
    let groups = [(["critical", "high"].as_slice(), "High"), (&["medium"], "Medium"), (&["low"], "Low")];
    let mut rest = words.as_slice();
    let mut mapped = BTreeMap::new();
    for (ours, theirs) in groups {
        let (left, right) = rest.split_at(ours.len() + 1);
        assert_eq!(left, [ours, &[theirs]].concat());
        mapped.extend(ours.iter().map(|word| (*word, theirs)));
        rest = right;
    }
    assert_eq!(rest, ["Informational"]);
    // Everything else is what the last word is for.
    let others = aksentry::alert::Severity::ALL.map(|s| s.as_str());
    let unmapped: Vec<_> = others.iter().filter(|word| !mapped.contains_key(*word)).collect();
    assert_eq!(unmapped, [&"informational"]);
}

fn bicep() -> String {
    fs::read_to_string(root().join("deploy/sentinel/main.bicep")).unwrap()
}

/// The columns between `var columns = [` and its end, in order.
fn bicep_columns(text: &str) -> Vec<(String, String)> {
    let list = text.split_once("var columns = [\n").unwrap().1.split_once("\n]").unwrap().0;
    let column = |line: &str| {
        let quoted: Vec<&str> = line.split('\'').skip(1).step_by(2).collect();
        let [name, kind] = quoted[..] else { panic!("{line}") };
        assert_eq!(line.trim(), format!("{{ name: '{name}', type: '{kind}' }}"));
        (name.to_owned(), kind.to_owned())
    };
    list.lines().map(column).collect()
}

#[test]
fn bicep_and_template_have_the_columns_that_are_sent() {
    let sent: Vec<(String, String)> =
        COLUMNS.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned())).collect();
    let text = bicep();
    assert_eq!(bicep_columns(&text), sent);
    let stream = &resource(&template(), "Microsoft.Insights/dataCollectionRules")["properties"]["streamDeclarations"]
        ["Custom-AksentryAlerts"]["columns"];
    assert_eq!(columns(stream), sent);
    // The table's are made from the stream's.
    assert!(text.contains("name: column.name == 'Title' ? 'AlertTitle' : column.name, type: column.type"));
    assert_eq!(text.matches("columns: columns").count() + text.matches("columns: tableColumns").count(), 2);
}

/// Every text of a JSON value that is no expression of the template's.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) if !text.starts_with('[') => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(members) => members.values().for_each(|member| texts(member, found)),
        _ => {}
    }
}

#[test]
fn bicep_makes_what_the_template_makes() {
    let (source, template) = (bicep(), template());
    let resources = template["resources"].as_array().unwrap();
    for resource in resources {
        let (kind, version) = (resource["type"].as_str().unwrap(), resource["apiVersion"].as_str().unwrap());
        assert!(source.contains(&format!("'{kind}@{version}' = ")), "{kind}@{version}");
    }
    let made = source.lines().filter(|line| line.starts_with("resource ") && !line.contains(" existing "));
    assert_eq!(made.count(), resources.len());
    let mut values = Vec::new();
    let is_query = |name: &str| name == "query";
    for resource in resources {
        let mut resource = resource.clone();
        if let Some(properties) = resource["properties"].as_object_mut() {
            properties.retain(|name, _| !is_query(name));
        }
        for name in ["type", "apiVersion"] {
            resource.as_object_mut().unwrap().remove(name);
        }
        texts(&resource, &mut values);
    }
    values.extend(template["variables"].as_object().unwrap().values().map(self::text));
    assert!(values.len() > 60, "{}", values.len());
    for value in values {
        assert!(source.contains(&format!("'{value}'")), "no '{value}' in main.bicep");
    }
    assert!(source.contains("query: loadTextContent('raise-alerts.kql')"));
    for name in template["parameters"].as_object().unwrap().keys() {
        assert!(source.contains(&format!("\nparam {name} ")), "no parameter {name}");
    }
    for name in template["outputs"].as_object().unwrap().keys() {
        assert!(source.contains(&format!("\noutput {name} string = ")), "no output {name}");
    }
}
