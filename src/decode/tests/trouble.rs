//! Broken bodies: item 9 of what the decoder must survive. One bad record never costs its neighbours.

use super::*;
use RejectReason::{CutBeforeContent, MalformedJson, NotAnAuditEvent, NotAnObject, NotJson, UnknownRecord};

/// Decodes a body and compares rows of both tables and reasons of rejects.
fn expect(body: &str, events: u64, control_plane: u64, rejected: &[RejectReason]) -> Decoded {
    let decoded = decode_text(body);
    let counts = &decoded.counts;
    assert_eq!(
        (counts.events, counts.control_plane),
        (events, control_plane),
        "{body}: {:?}",
        decoded.rejects
    );
    assert_eq!(reasons(&decoded), rejected, "{body}");
    decoded
}

#[test]
fn item_09_single_quotes_keep_the_neighbours() {
    let bad = format!(
        r#"{{"time": "2023-04-11T13:35:20Z", "category": "FunctionAppLogs", "resourceId": "{CLUSTER}", "properties": {{'appName':'x','message':'a, b'}}}}"#
    );
    let (one, two) = (audit_record(), klog_record("x"));
    for body in [
        format!(r#"{{"records":[{one},{bad},{two}]}}"#),
        format!(r#"{{"records": [ {one} , {bad} , {two} ] }}"#),
        format!("[{one},\n{bad},\n{two}]"),
        format!("{one}\n{bad}\n{two}\n"),
        format!("{one}\r\n{bad}\r\n{two}"),
    ] {
        let decoded = expect(&body, 1, 1, &[MalformedJson]);
        let reject = &decoded.rejects[0];
        assert!(reject.body.starts_with(br#"{"time": "2023"#), "{:?}", reject.body);
        assert!(reject.body.ends_with(b"}}") || reject.body.ends_with(b"}} "), "{:?}", reject.body);
        let at = bad.find('\'').unwrap_or_default();
        assert!(reject.detail.contains(&format!("byte {at} ")), "{} {at}", reject.detail);
        assert_eq!(decoded.counts.categories.get("FunctionAppLogs"), Some(&1));
    }
    // As the last record the rest of its message goes with it, but not the next message.
    let body = format!("{{\"records\":[{one},{bad}]}}\n{{\"records\":[{two}]}}");
    let decoded = expect(&body, 1, 1, &[MalformedJson]);
    assert_eq!(decoded.counts.messages, 2);
}

#[test]
fn item_09_raw_newlines_in_strings() {
    let body = format!(
        r#"{{"category":"AppLogs","properties":{{"log":"first
second	line"}},"time":"2023-04-11T13:35:20Z"}}{}"#,
        klog_record("x")
    );
    let decoded = expect(&body, 0, 2, &[]);
    assert_eq!(control(&decoded, "message").as_deref(), Some("first\nsecond\tline"));
}

#[test]
fn item_09_blob_data() {
    let (one, two) = (audit_record(), klog_record("x"));
    let blob = r#"{"time":"2023-04-11T13:35:20Z","properties":[ 227 B blob data ],"category":"AppLogs"}"#;
    expect(&format!(r#"{{"records":[{one},{blob},{two}]}}"#), 1, 1, &[MalformedJson]);
    expect(&format!("{one}\n{blob}\n{two}"), 1, 1, &[MalformedJson]);
    expect(&format!(r#"{{"records":[{one},[ 227 B blob data ],{two}]}}"#), 1, 1, &[NotAnObject]);
    let decoded = expect(&format!("{{\"records\":[ 227 B blob data ]}}\n{two}"), 0, 1, &[MalformedJson]);
    assert_eq!(decoded.counts.messages, 2);
    expect(r#"{"category":"X","properties":[1,2]}"#, 0, 1, &[]);
}

#[test]
fn item_09_items_that_are_no_objects() {
    let one = audit_record();
    let body = format!(r#"{{"records":[1,null,{one},"x",true,[{one}],]}}"#);
    let decoded = expect(&body, 1, 0, &[NotAnObject; 5]);
    assert_eq!(decoded.counts.messages, 1);
    assert_eq!(decoded.rejects[3].body.as_ref(), b"true");
    expect("null", 0, 0, &[NotAnObject]);
    expect("\"text\"\n17", 0, 0, &[NotAnObject, NotAnObject]);
    expect("plain words", 0, 0, &[NotJson]);
}

#[test]
fn item_09_nothing_known() {
    expect(r#"{"a":1}"#, 0, 0, &[UnknownRecord]);
    expect("{}", 0, 0, &[UnknownRecord]);
    expect(r#"{"time":"2023-04-11T13:35:20Z","properties":{"x":1}}"#, 0, 0, &[UnknownRecord]);
    expect(r#"{"kind":"Event"}"#, 0, 0, &[NotAnAuditEvent]);
    expect(r#"{"body":{"value":7}}"#, 0, 0, &[UnknownRecord]);
}

#[test]
fn a_cut_line_does_not_cost_the_next() {
    let (one, two) = (audit_record().to_string(), klog_record("x").to_string());
    // Wherever the first line is cut: inside a string, a number, between keys.
    for end in 1..one.len() {
        if !one.is_char_boundary(end) {
            continue;
        }
        let body = format!("{}\n{two}\n{two}", &one[..end]);
        let decoded = decode_text(&body);
        assert_eq!(decoded.counts.records, 3, "cut at {end}: {body}");
        assert!(decoded.counts.control_plane >= 2, "cut at {end}");
        assert_eq!(decoded.counts.messages, 3, "cut at {end}");
    }
    // The same for bare events, and for a line of text behind the cut one.
    let bare = event().to_string();
    for end in 1..bare.len() {
        let body = format!("{}\n{bare}\nW0515 16:14:40.500000       1 a.go:7] x\n", &bare[..end]);
        let decoded = decode_text(&body);
        assert_eq!(decoded.counts.records, 3, "cut at {end}: {body}: {:?}", decoded.rejects);
        assert!(decoded.counts.events >= 1 && decoded.counts.control_plane == 1, "cut at {end}");
    }
}

#[test]
fn a_cut_message_does_not_cost_the_next() {
    let message = json!({"records": [audit_record(), klog_record("x")]}).to_string();
    for end in 1..message.len() {
        let body = format!("{}\n{message}\n", &message[..end]);
        let decoded = decode_text(&body);
        let counts = &decoded.counts;
        assert_eq!(counts.messages, 2, "cut at {end}: {:?}", decoded.rejects);
        assert!((3..=4).contains(&counts.records), "cut at {end}: {counts:?}");
        assert!(counts.events >= 1 && counts.control_plane >= 1, "cut at {end}");
    }
}

#[test]
fn an_unclosed_string_inside_a_message_costs_one_record() {
    let (one, two) = (audit_record().to_string(), klog_record("x").to_string());
    let cut = one.replacen("\"stream\":\"stdout\"", "\"stream\":\"stdout", 1);
    let decoded = decode_text(&format!(r#"{{"records":[{two},{cut},{two}]}}"#));
    assert_eq!((decoded.counts.records, decoded.counts.control_plane), (3, 2), "{:?}", decoded.rejects);
}

#[test]
fn malformed_and_cut_logs_under_an_audit_category() {
    let cases: &[(&str, u64, u64, &[RejectReason])] = &[
        ("{", 1, 0, &[]),
        ("{\"kind\":\"Ev", 1, 0, &[]),
        ("{'kind':'Event'}", 0, 0, &[MalformedJson]),
        ("{\"kind\":0}", 0, 0, &[NotAnAuditEvent]),
        ("{}", 0, 0, &[NotAnAuditEvent]),
        ("I0515 16:14:40.500000       1 a.go:7] x", 0, 1, &[]),
        ("{\"level\":\"info\",\"msg\":\"x\"}", 0, 1, &[]),
        ("{\"auditID\":\"a\",\"verb\":\"get\",'x':1}", 1, 0, &[]),
    ];
    for (log, events, control_plane, rejected) in cases {
        let decoded = expect(&record("kube-audit-admin", log).to_string(), *events, *control_plane, rejected);
        assert_eq!(decoded.counts.truncated, *events, "{log}");
    }
    let nobody = json!({"properties": {"log": "{\"kind\":\"Ev"}});
    expect(&nobody.to_string(), 0, 1, &[]);
}

#[test]
fn cut_before_anything_was_said() {
    for body in ["{", "{\"rec", "{\"records\":[", "[", "[{", "{\"records\":[{\"ti", "{\"time\":\"2025-01"] {
        expect(body, 0, 0, &[CutBeforeContent]);
    }
}

#[test]
fn depth_and_nesting_are_bounded() {
    let deep = format!("{}{}", "{\"records\":[".repeat(5000), "]}".repeat(5000));
    decode_text(&deep);
    let deep =
        format!("{{\"category\":\"X\",\"properties\":{{\"a\":{}1{}}}}}", "[".repeat(5000), "]".repeat(5000));
    assert_eq!(reasons(&decode_text(&deep)), [MalformedJson]);
    let list = "{\"kind\":\"EventList\",\"items\":[".repeat(300);
    decode_text(&list);
}
