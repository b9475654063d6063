//! Shapes of bodies and records: generations, encodings of time and of the log, neighbours of other
//! categories. Items 1, 2, 3, 6, 7 and 8 of what the decoder must survive.

use super::*;

#[test]
fn item_01_three_generations_of_the_envelope() {
    let first = json!({
        "operationName": "Read", "category": "kube-audit", "resourceId": CLUSTER,
        "properties": {"log": event().to_string(), "stream": "stdout", "pod": POD, "containerID": "1"},
        "time": "2019-06-24T20:14:59.855Z"
    });
    let second = json!({
        "operationName": "Read", "category": "kube-audit", "ccpNamespace": "5e0", "resourceId": CLUSTER,
        "properties": {"log": event().to_string(), "stream": "stdout", "pod": POD},
        "time": "2021-02-02T15:00:00.0000000Z", "Cloud": "AzureCloud", "Environment": "prod",
        "UnderlayClass": "hcp-underlay", "UnderlayName": "hcp-underlay-westeurope"
    });
    let times = ["2019-06-24T20:14:59.855Z", "2021-02-02T15:00:00Z", "2025-05-15T16:14:43.957346Z"];
    for (record, time) in [first, second, audit_record()].into_iter().zip(times) {
        let decoded = decode_text(&json!({"records": [record]}).to_string());
        let table = &decoded.batch.audit;
        assert_eq!((decoded.counts.messages, decoded.counts.events), (1, 1));
        assert_eq!(micros(table, 0, "record_time"), at(time));
        assert_eq!(audit(&decoded, "cluster"), Some(CLUSTER.to_lowercase()));
        assert_eq!(audit(&decoded, "category").as_deref(), Some("kube-audit"));
        assert_eq!(audit(&decoded, "pod").as_deref(), Some(POD));
        assert_eq!(audit(&decoded, "name").as_deref(), Some("ops-admin"));
    }
}

#[test]
fn item_02_event_time_before_upload_time() {
    let decoded = decode_text(&audit_record().to_string());
    let table = &decoded.batch.audit;
    assert_eq!(micros(table, 0, "time"), at("2025-05-15T16:14:42.25Z"));
    assert_eq!(micros(table, 0, "received_time"), at("2025-05-15T16:14:42.1Z"));
    assert_eq!(micros(table, 0, "record_time"), at("2025-05-15T16:14:43.957346Z"));
    assert_eq!(decoded.counts.hours.get(&(1_747_325_682 / 3600)), Some(&1));

    let mut event = event();
    event["stageTimestamp"] = json!(null);
    let decoded = decode_text(&record("kube-audit", &event.to_string()).to_string());
    assert_eq!(micros(&decoded.batch.audit, 0, "time"), at("2025-05-15T16:14:42.1Z"));

    event["requestReceivedTimestamp"] = json!(17);
    let decoded = decode_text(&record("kube-audit", &event.to_string()).to_string());
    assert_eq!(micros(&decoded.batch.audit, 0, "time"), at("2025-05-15T16:14:43.957346Z"));
    assert!(!flag(&decoded.batch.audit, 0, "truncated"));
}

#[test]
fn item_02_other_services_write_time_differently() {
    let cases = [
        (json!({"time": "1/9/2007 10:41:00 AM +01:00", "category": "X"}), at("2007-01-09T09:41:00Z")),
        (
            json!({"EventTimeString": "11/3/2020 9:06:42 AM +00:00", "category": "X"}),
            at("2020-11-03T09:06:42Z"),
        ),
        (
            json!({"time": "2007-01-09T09:41:00", "EventTimeString": "x", "category": "X"}),
            at("2007-01-09T09:41:00Z"),
        ),
        (json!({"time": 5, "category": "X"}), None),
        (json!({"category": "X"}), None),
    ];
    for (record, time) in cases {
        let decoded = decode_text(&record.to_string());
        assert_eq!(decoded.counts.control_plane, 1, "{record}");
        assert_eq!(micros(&decoded.batch.control_plane, 0, "time"), time, "{record}");
        assert_eq!(decoded.counts.first_event, time, "{record}");
        assert_eq!(control(&decoded, "raw"), Some(record.to_string()));
        assert_eq!(control(&decoded, "message"), None);
    }
}

#[test]
fn item_03_log_as_string_object_and_properties_as_string() {
    let text = event().to_string();
    let slashes = audit_record().to_string().replace('/', "\\/");
    let mut object = audit_record();
    object["properties"]["log"] = event();
    let mut string = audit_record();
    string["properties"] = json!(string["properties"].to_string());
    let mut bare_event = audit_record();
    bare_event["properties"] = event();
    let bodies = [
        record("kube-audit", &text).to_string(),
        record("kube-audit", &format!("{text}\r\n")).to_string(),
        slashes,
        object.to_string(),
        string.to_string(),
        bare_event.to_string(),
    ];
    let ids: Vec<_> = bodies
        .iter()
        .map(|body| {
            let decoded = decode_text(body);
            assert_eq!(decoded.counts.events, 1, "{body}");
            assert!(!flag(&decoded.batch.audit, 0, "truncated"), "{body}");
            let uri = audit(&decoded, "request_uri").unwrap_or_default();
            assert!(uri.starts_with("/apis/rbac.authorization.k8s.io/v1/"), "{uri}");
            assert_eq!(audit(&decoded, "decision").as_deref(), Some("allow"));
            assert_eq!(audit(&decoded, "impersonated_username").as_deref(), Some("ops \"two\""));
            decoded.batch.audit_ids.clone()
        })
        .collect();
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]), "copies of one event share their identity");
}

#[test]
fn item_03_properties_as_a_string_of_text() {
    let line = "I0515 16:14:40.500000       1 main.go:7] started";
    let body = json!({"category": "guard", "properties": line, "time": "2025-05-15T16:15:00Z"});
    let decoded = decode_text(&body.to_string());
    assert_eq!(control(&decoded, "message").as_deref(), Some("started"));
    assert_eq!(control(&decoded, "component").as_deref(), Some("guard"));
}

#[test]
fn item_06_text_of_other_components_becomes_rows() {
    let lines = [
        (
            "E0515 16:14:40.123456       9 main.go:160] broken: [x] y:1] z\n",
            Some("error"),
            "broken: [x] y:1] z",
        ),
        ("Trace[77]: ---\"limitedReadBody succeeded\" len:6 11ms (21:25:16.354)\n", None, ""),
        ("\t/usr/local/go/src/net/http/server.go:2007 +0x213\n", None, ""),
        ("{\"level\":\"info\",\"ts\":1,\"msg\":\"ready\"}", None, ""),
        ("{\"kind\":\"Event\",\"apiVersion\":\"v1\",\"reason\":\"Pulled\"}", None, ""),
        ("", None, ""),
    ];
    let records: Vec<_> = lines.iter().map(|(log, ..)| record("kube-apiserver", log)).collect();
    let decoded = decode_text(&json!({"records": records}).to_string());
    let table = &decoded.batch.control_plane;
    assert_eq!(decoded.counts.control_plane, lines.len() as u64);
    for (row, (log, severity, message)) in lines.into_iter().enumerate() {
        let whole = log.strip_suffix('\n').unwrap_or(log);
        let message = if message.is_empty() { whole } else { message };
        assert_eq!(text(table, row, "raw").as_deref(), Some(log));
        assert_eq!(text(table, row, "message").as_deref(), Some(message));
        assert_eq!(text(table, row, "severity").as_deref(), severity);
        assert_eq!(text(table, row, "component").as_deref(), Some("kube-apiserver"));
        assert_eq!(text(table, row, "stream").as_deref(), Some("stdout"));
    }
    assert_eq!(micros(table, 0, "time"), at("2025-05-15T16:14:40.123456Z"));
    assert_eq!(micros(table, 1, "time"), at("2025-05-15T16:14:43.957346Z"));
    assert_eq!(text(table, 0, "source_file").as_deref(), Some("main.go"));
    assert_eq!((int(table, 0, "source_line"), int(table, 0, "thread")), (Some(160), Some(9)));
}

#[test]
fn item_06_klog_lines_without_an_envelope() {
    let body = "I0109 21:24:54.475590       1 a.go:548] No pods\r\nTrace[7]: ---\"x\" 1ms\nsomething else\n";
    let decoded = decode_text(body);
    assert_eq!((decoded.counts.messages, decoded.counts.control_plane), (3, 2));
    assert_eq!(reasons(&decoded), [RejectReason::NotJson]);
    assert_eq!(control(&decoded, "message").as_deref(), Some("No pods"));
    assert_eq!(control(&decoded, "severity").as_deref(), Some("info"));
    for name in ["category", "cluster", "component"] {
        assert_eq!(control(&decoded, name), None, "{name}");
    }
    assert_eq!(micros(&decoded.batch.control_plane, 0, "time"), None);
    assert_eq!(decoded.counts.first_event, None);
}

#[test]
fn item_07_audit_under_another_category_and_two_categories() {
    let mut other = audit_record();
    other["category"] = json!("kube-apiserver");
    let mut admin = audit_record();
    admin["category"] = json!("kube-audit-admin");
    let decoded = decode_text(&json!({"records": [audit_record(), other, admin]}).to_string());
    assert_eq!(decoded.counts.events, 3);
    assert_eq!(decoded.counts.categories.len(), 3);
    assert_eq!(text(&decoded.batch.audit, 1, "category").as_deref(), Some("kube-apiserver"));
    let ids = &decoded.batch.audit_ids;
    assert!(ids.iter().all(|id| id == &ids[0]));
}

#[test]
fn item_08_shapes_of_a_body() {
    let (one, two) = (audit_record(), klog_record("x"));
    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
    let cases = [
        (format!("\u{FEFF}{one}"), 1, 1),
        (format!("\u{FEFF}{}\r\n", json!({"records": [one, two]})), 1, 2),
        (format!("{one}\r\n{two}\r\n"), 2, 2),
        (format!("{one}{two}"), 2, 2),
        (format!("{one},\n{two},\n"), 2, 2),
        (pretty(&json!([one, two])), 1, 2),
        (pretty(&json!({"records": [one, two]})), 1, 2),
        (pretty(&json!([{"records": [one]}, {"records": [two, one]}])), 1, 3),
        (format!("{}\n{}\n", pretty(&one), pretty(&two)), 2, 2),
        (format!("{}\n{}", json!({"records": [one]}), json!({"records": [two]})), 2, 2),
        (json!({"records": []}).to_string(), 1, 0),
        (" \r\n\t".to_owned(), 0, 0),
    ];
    for (body, messages, records) in cases {
        let decoded = decode_text(&body);
        assert_eq!((decoded.counts.messages, decoded.counts.records), (messages, records), "{body}");
        assert!(decoded.rejects.is_empty(), "{:?}", decoded.rejects);
    }
}

#[test]
fn item_08_keys_of_log_analytics_and_attrs() {
    let row = json!({
        "TenantId": "t", "TimeGenerated": "2022-05-19T09:37:25Z", "ResourceId": CLUSTER,
        "Category": "kube-audit-admin", "log_s": event().to_string(), "pod_s": POD, "stream_s": "stdout",
        "attrs": "{\"io.kubernetes.pod\"=>\"x\", \"ports\"=>\"[{\"a\":1}]\"}"
    });
    let result = json!({"statusCode": 200, "headers": {"a": "b"}, "body": {"value": [row, row]}});
    for body in [result.to_string(), json!({"value": [row, row]}).to_string(), format!("{row}\n{row}")] {
        let decoded = decode_text(&body);
        assert_eq!((decoded.counts.records, decoded.counts.events), (2, 2), "{body}");
        assert_eq!(audit(&decoded, "category").as_deref(), Some("kube-audit-admin"));
        assert_eq!(audit(&decoded, "cluster"), Some(CLUSTER.to_lowercase()));
        assert_eq!(audit(&decoded, "pod").as_deref(), Some(POD));
        assert_eq!(micros(&decoded.batch.audit, 0, "record_time"), at("2022-05-19T09:37:25Z"));
    }
}

#[test]
fn item_08_a_bare_properties_value_and_a_bare_event() {
    let log = "E0512 12:01:36.876768       1 handler.go:160] \\/apis\\n";
    let decoded = decode_text(&format!(r#"{{"pod":"{POD}","stream":"stderr","log":"{log}"}}"#));
    assert_eq!(control(&decoded, "message").as_deref(), Some("/apis"));
    assert_eq!(control(&decoded, "category"), None);
    assert_eq!(decoded.counts.categories.get(""), Some(&1));

    let decoded = decode_text(&format!("{}\n{}", event(), metadata_event()));
    assert_eq!((decoded.counts.messages, decoded.counts.events), (2, 2));
    assert_eq!(micros(&decoded.batch.audit, 0, "record_time"), None);
    assert_eq!(text(&decoded.batch.audit, 1, "verb").as_deref(), Some("delete"));
}
