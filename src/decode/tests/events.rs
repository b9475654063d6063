//! Contents of audit events. Items 5, 10, 11, 12 and 13 of what the decoder must survive, and the
//! columns derived from several fields.

use super::*;

/// Decodes one event in a kube-audit record.
fn decode_event(event: &Value) -> Decoded {
    let decoded = decode_text(&record("kube-audit", &event.to_string()).to_string());
    assert_eq!(decoded.counts.events, 1, "{event}: {:?}", decoded.rejects);
    decoded
}

#[test]
fn every_column_of_a_full_event() {
    let decoded = decode_event(&event());
    let table = &decoded.batch.audit;
    let expected = [
        ("audit_id", "5a1d7c0e-0001-4c1a-9a55-0123456789ab"),
        ("level", "RequestResponse"),
        ("stage", "ResponseComplete"),
        ("verb", "create"),
        ("username", "ana@contoso.example"),
        ("user_uid", "4f2a"),
        ("user_extra", r#"{"oid":["7d9e0000-1111-4222-8333-444455556666"]}"#),
        ("principal_class", "entra-user"),
        ("impersonated_username", "ops \"two\""),
        ("client_ip", "203.0.113.7"),
        ("user_agent", "kubectl/v1.31.2 (linux/amd64) kubernetes/5864a46"),
        ("api_group", "rbac.authorization.k8s.io"),
        ("api_version", "v1"),
        ("resource", "rolebindings"),
        ("namespace", "shop"),
        ("name", "ops-admin"),
        ("object_uid", "9a"),
        ("decision", "allow"),
        ("decision_reason", "RBAC: allowed by ClusterRoleBinding \"x\""),
    ];
    for (column, value) in expected {
        assert_eq!(audit(&decoded, column).as_deref(), Some(value), "{column}");
    }
    for column in ["subresource", "status_reason", "status_message"] {
        assert_eq!(audit(&decoded, column), None, "{column}");
    }
    let groups = ["b0a1c2d3-aaaa-4bbb-8ccc-1234567890ab", "system:authenticated"].map(str::to_owned);
    assert_eq!(list(table, 0, "groups"), Some(groups.to_vec()));
    assert_eq!(list(table, 0, "impersonated_groups"), Some(vec!["breakglass".to_owned()]));
    assert_eq!(list(table, 0, "source_ips"), Some(vec!["203.0.113.7".to_owned(), "10.0.0.4".to_owned()]));
    assert_eq!(int(table, 0, "status_code"), Some(201));
    assert_eq!(audit(&decoded, "request_object"), Some(event()["requestObject"].to_string()));
    assert_eq!(audit(&decoded, "response_object"), Some(event()["responseObject"].to_string()));
    assert_eq!(audit(&decoded, "object"), audit(&decoded, "request_object"));
    assert!(!flag(table, 0, "truncated") && !flag(table, 0, "body_skipped"));
}

#[test]
fn item_05_skipped_bodies() {
    let mut skipped = event();
    skipped["requestObject"] = json!("skipped-too-big-size-object");
    let decoded = decode_event(&skipped);
    assert!(flag(&decoded.batch.audit, 0, "body_skipped"));
    assert_eq!(audit(&decoded, "request_object"), None);
    assert_eq!(audit(&decoded, "object"), audit(&decoded, "response_object"));

    let mut annotated = metadata_event();
    annotated["annotations"]["audit.k8s.io/truncated"] = json!("true");
    let decoded = decode_event(&annotated);
    assert!(flag(&decoded.batch.audit, 0, "body_skipped") && !flag(&decoded.batch.audit, 0, "truncated"));
    assert_eq!(audit(&decoded, "decision").as_deref(), Some("allow"));

    let mut null = event();
    null["requestObject"] = json!(null);
    null["responseObject"] = json!("another string");
    let decoded = decode_event(&null);
    assert!(!flag(&decoded.batch.audit, 0, "body_skipped"));
    assert_eq!(audit(&decoded, "request_object"), None);
    assert_eq!(audit(&decoded, "response_object").as_deref(), Some("\"another string\""));
}

#[test]
fn item_10_odd_events() {
    let mut no_version = event();
    let map = no_version.as_object_mut().expect("an object");
    map.shift_remove("apiVersion");
    map.shift_remove("objectRef");
    map.shift_remove("annotations");
    map.insert("sourceIPs".into(), json!([]));
    let decoded = decode_event(&no_version);
    assert_eq!(audit(&decoded, "resource"), None);
    assert_eq!(audit(&decoded, "name").as_deref(), Some("ops-admin"), "from the response body");
    assert_eq!(list(&decoded.batch.audit, 0, "source_ips"), Some(vec![]));
    assert_eq!(audit(&decoded, "client_ip"), None);

    let beta = json!({
        "metadata": {"creationTimestamp": "2018-10-09T11:00:00Z"}, "timestamp": "2018-10-09T11:00:01Z",
        "auditID": "b1", "kind": "Event", "apiVersion": "audit.k8s.io/v1beta1", "stage": "RequestReceived",
        "verb": "get", "user": {"username": "system:kube-scheduler"}, "sourceIPs": null
    });
    let decoded = decode_event(&beta);
    assert_eq!(micros(&decoded.batch.audit, 0, "time"), at("2018-10-09T11:00:01Z"));
    assert_eq!(micros(&decoded.batch.audit, 0, "received_time"), at("2018-10-09T11:00:01Z"));
    assert_eq!(list(&decoded.batch.audit, 0, "source_ips"), None);
    assert_eq!(audit(&decoded, "principal_class").as_deref(), Some("system"));

    decode_event(&json!({"kind": "Event"}));
    let decoded = decode_text(&record("kube-audit", r#"{"kind":0}"#).to_string());
    assert_eq!(reasons(&decoded), [RejectReason::NotAnAuditEvent]);
    assert_eq!(decoded.counts.categories.get("kube-audit"), Some(&1));
}

#[test]
fn item_10_lists_of_events() {
    let list = json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {},
        "items": [event(), metadata_event(), 5, {"kind": 0}]});
    let cases = [list.to_string(), record("kube-audit", &list.to_string()).to_string()];
    for body in cases {
        let decoded = decode_text(&body);
        assert_eq!(
            (decoded.counts.messages, decoded.counts.records, decoded.counts.events),
            (1, 4, 2),
            "{body}"
        );
        assert_eq!(reasons(&decoded), [RejectReason::NotAnObject, RejectReason::NotAnAuditEvent]);
        assert_eq!(text(&decoded.batch.audit, 1, "verb").as_deref(), Some("delete"));
    }
    let cut = list.to_string();
    let decoded = decode(&[&cut.as_bytes()[..cut.len() / 2]]);
    assert!(
        decoded.counts.events >= 1
            && flag(&decoded.batch.audit, decoded.batch.audit.num_rows() - 1, "truncated")
    );
    let empty = json!({"kind": "EventList", "items": []}).to_string();
    assert_eq!(reasons(&decode_text(&empty)), [RejectReason::NotAnAuditEvent]);
}

#[test]
fn item_10_wrong_types_are_null_or_text() {
    let odd = json!({
        "kind": "Event", "auditID": 17, "stage": {}, "verb": true, "requestURI": null, "level": [],
        "user": {"username": ["x"], "groups": "system:masters", "uid": 4.5, "extra": "none"},
        "impersonatedUser": "who", "sourceIPs": [1, null, {"a": 2}, "10.0.0.1"], "objectRef": [],
        "responseStatus": {"code": "404", "reason": 5, "message": {"a": 1}}, "annotations": "x",
        "requestReceivedTimestamp": {}, "stageTimestamp": "soon"
    });
    let decoded = decode_event(&odd);
    let table = &decoded.batch.audit;
    for (column, value) in [("audit_id", "17"), ("verb", "true"), ("user_uid", "4.5"), ("status_reason", "5")]
    {
        assert_eq!(audit(&decoded, column).as_deref(), Some(value), "{column}");
    }
    for column in
        ["stage", "request_uri", "username", "user_extra", "principal_class", "annotations", "resource"]
    {
        assert_eq!(audit(&decoded, column), None, "{column}");
    }
    assert_eq!(int(table, 0, "status_code"), Some(404));
    assert_eq!(list(table, 0, "source_ips"), Some(vec!["1".to_owned(), "10.0.0.1".to_owned()]));
    assert_eq!(list(table, 0, "groups"), Some(vec!["system:masters".to_owned()]));
    assert!(!flag(table, 0, "truncated"));
}

#[test]
fn item_11_exec_over_websocket() {
    let mut exec = metadata_event();
    exec["verb"] = json!("get");
    exec["stage"] = json!("ResponseStarted");
    exec["responseStatus"] = json!({"metadata": {}, "code": 101});
    exec["objectRef"] =
        json!({"resource": "pods", "namespace": "shop", "name": "web-0", "subresource": "exec"});
    exec["requestURI"] = json!("/api/v1/namespaces/shop/pods/web-0/exec?command=sh&stdin=true");
    let decoded = decode_event(&exec);
    assert_eq!(int(&decoded.batch.audit, 0, "status_code"), Some(101));
    assert_eq!(audit(&decoded, "subresource").as_deref(), Some("exec"));
    assert_eq!(audit(&decoded, "api_group"), None);
}

#[test]
fn item_12_no_bodies_at_level_metadata() {
    let decoded = decode_event(&metadata_event());
    for column in ["request_object", "response_object", "object"] {
        assert_eq!(audit(&decoded, column), None, "{column}");
    }
    assert!(!flag(&decoded.batch.audit, 0, "body_skipped"));
}

#[test]
fn item_13_stages_of_one_request_differ() {
    let records: Vec<_> = ["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"]
        .iter()
        .map(|stage| {
            let mut event = event();
            event["stage"] = json!(stage);
            record("kube-audit", &event.to_string())
        })
        .collect();
    let decoded = decode_text(&json!({"records": records}).to_string());
    let mut ids = decoded.batch.audit_ids.clone();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

#[test]
fn name_and_object_depend_on_the_verb() {
    let mut generated = event();
    generated["objectRef"] = json!({"resource": "pods", "namespace": "shop", "name": "", "apiGroup": ""});
    generated["requestObject"] = json!({"metadata": {"generateName": "web-"}});
    generated["responseObject"] = json!({"metadata": {"name": "web-\u{1F600}x7\""}});
    let decoded = decode_event(&generated);
    assert_eq!(audit(&decoded, "name").as_deref(), Some("web-\u{1F600}x7\""));
    assert_eq!(audit(&decoded, "api_group"), None);

    generated["responseObject"] = json!({"metadata": {}});
    generated["requestObject"] = json!({"metadata": {"name": "asked"}});
    assert_eq!(audit(&decode_event(&generated), "name").as_deref(), Some("asked"));

    generated["verb"] = json!("patch");
    let decoded = decode_event(&generated);
    assert_eq!(audit(&decoded, "name"), None);
    assert_eq!(audit(&decoded, "object"), audit(&decoded, "response_object"));
}

#[test]
fn text_with_escapes_and_bad_bytes() {
    let mut odd = event();
    odd["userAgent"] = json!("tab\tquote\" \u{1F600} \\u0041");
    odd["user"]["groups"] = json!(["a\"b", "c\\d"]);
    let decoded = decode_event(&odd);
    assert_eq!(audit(&decoded, "user_agent").as_deref(), Some("tab\tquote\" \u{1F600} \\u0041"));
    assert_eq!(list(&decoded.batch.audit, 0, "groups"), Some(vec!["a\"b".to_owned(), "c\\d".to_owned()]));

    let mut body = audit_record().to_string().into_bytes();
    let at = memchr::memmem::find(&body, b"kubectl/").expect("the user agent");
    body[at] = 0xFF;
    let decoded = decode(&[&body]);
    assert_eq!(
        audit(&decoded, "user_agent").as_deref(),
        Some("\u{FFFD}ubectl/v1.31.2 (linux/amd64) kubernetes/5864a46")
    );
}
