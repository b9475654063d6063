//! Cut text at every byte: item 4 of what the decoder must survive.

use super::*;

/// Events whose keys come in the API server's order, an older one, and one with text of several bytes.
fn events() -> Vec<Value> {
    let mut wide = event();
    wide["userAgent"] = json!("агент 😀 \"q\" \\u00e9");
    wide["requestObject"]["data"] = json!({"ключ": "значение", "n": -12.5e3, "t": [true, null, {}]});
    let mut late = event();
    if let Some(map) = late.as_object_mut() {
        let bodies = [map.shift_remove("requestObject"), map.shift_remove("user")];
        map.insert("requestObject".into(), json!(bodies[0]));
        map.insert("user".into(), json!(bodies[1]));
    }
    let mut skipped = event();
    skipped["requestObject"] = json!("skipped-too-big-size-object");
    vec![event(), metadata_event(), wide, late, skipped]
}

/// What must be there as soon as the text holds it: column, and the text of its member.
const MARKS: &[(&str, &[&str])] = &[
    ("audit_id", &["auditID"]),
    ("verb", &["verb"]),
    ("username", &["user", "username"]),
    ("client_ip", &["sourceIPs"]),
    ("user_agent", &["userAgent"]),
    ("resource", &["objectRef", "resource"]),
    ("namespace", &["objectRef", "namespace"]),
    ("name", &["objectRef", "name"]),
    ("decision", &["annotations", "authorization.k8s.io/decision"]),
];

/// The columns of a table row that stand for [`MARKS`], and the value each must have.
fn marks(event: &Value) -> Vec<(&'static str, String, String)> {
    MARKS
        .iter()
        .filter_map(|(column, path)| {
            let value = path.iter().try_fold(event, |node, key| node.get(key))?;
            let value = if value.is_array() { value.get(0)? } else { value };
            let shown = value.as_str()?.to_owned();
            Some((*column, format!("\"{}\":", path[path.len() - 1]), shown))
        })
        .collect()
}

/// Checks the row made of `event` when its JSON text ends at `kept` bytes.
fn check_row(decoded: &Decoded, event: &Value, text: &str, kept: usize, context: &str) {
    check_json(decoded);
    let read = text.as_bytes().get(..kept).unwrap_or(text.as_bytes());
    for (column, key, shown) in marks(event) {
        let quoted = json!(shown).to_string();
        // The key that carries this value, not another one of the same name.
        let ends: Vec<_> = [format!("{key}{quoted}"), format!("{key}[{quoted}")]
            .iter()
            .filter_map(|needle| {
                memchr::memmem::find(text.as_bytes(), needle.as_bytes()).map(|at| at + needle.len())
            })
            .collect();
        let Some(end) = ends.into_iter().min() else { continue };
        let value = audit(decoded, column);
        if end <= read.len() {
            assert_eq!(value.as_deref(), Some(shown.as_str()), "{column} {context}");
        } else if let Some(value) = value {
            assert_eq!(value, shown, "{column} must not be shortened, {context}");
        }
    }
    for column in ["groups", "source_ips"] {
        for item in list(&decoded.batch.audit, 0, column).unwrap_or_default() {
            assert!(text.contains(&json!(item).to_string()), "{column} {item} {context}");
        }
    }
}

#[test]
fn item_04_inner_json_cut_at_every_byte() {
    for event in events() {
        let text = event.to_string();
        for end in 1..=text.len() {
            let inner = String::from_utf8_lossy(&text.as_bytes()[..end]).into_owned();
            let decoded = decode_text(&record("kube-audit", &inner).to_string());
            assert_eq!((decoded.counts.records, decoded.counts.events), (1, 1), "cut at {end}");
            let context = format!("cut at {end} of {text}");
            let table = &decoded.batch.audit;
            assert_eq!(flag(table, 0, "truncated"), end < text.len(), "{context}");
            assert_eq!(decoded.counts.truncated, u64::from(end < text.len()));
            check_row(&decoded, &event, &text, end, &context);
            let own = [at("2025-05-15T16:14:42.1Z"), at("2025-05-15T16:14:42.25Z")];
            let time = micros(table, 0, "time");
            assert!(own.contains(&time) || time == at("2025-05-15T16:14:43.957346Z"), "{context}");
        }
    }
}

#[test]
fn item_04_outer_body_cut_at_every_byte() {
    for (number, event) in events().into_iter().enumerate() {
        let text = event.to_string();
        let mut spread = audit_record();
        spread["properties"] = json!({"log": text, "pod": POD});
        let mut object = audit_record();
        object["properties"] = json!({"log": event});
        let mut string = audit_record();
        string["properties"] = json!(spread["properties"].to_string());
        // The rarer shapes of a record once with plain text and once with text of several bytes.
        let shapes = if number % 2 == 0 && number < 4 { 3 } else { 1 };
        for record in [spread, object, string].into_iter().take(shapes) {
            let body = json!({"records": [record]}).to_string();
            for end in 1..body.len() {
                let decoded = decode(&[&body.as_bytes()[..end]]);
                let context = format!("cut at {end} of {body}");
                assert_eq!((decoded.counts.messages, decoded.counts.records), (1, 1), "{context}");
                if decoded.counts.events == 1 {
                    // What is left of the log is a prefix of the event's text: find how long it is.
                    let kept = longest(&body.as_bytes()[..end], &text);
                    check_row(&decoded, &event, &text, kept, &context);
                }
            }
        }
    }
}

/// How much of `text` a cut body holds at least, however it is escaped there.
fn longest(body: &[u8], text: &str) -> usize {
    let once = json!(text).to_string();
    let twice = json!(once).to_string();
    for (form, factor) in [(text, 1), (once.trim_matches('"'), 2), (twice.trim_matches('"'), 4)] {
        let head = form.as_bytes().get(..24).unwrap_or(form.as_bytes());
        if let Some(at) = memchr::memmem::find(body, head) {
            let there = body.get(at..).unwrap_or_default();
            let same = there.iter().zip(form.as_bytes()).take_while(|(a, b)| a == b).count();
            return if factor == 1 { same } else { unescaped_length(&there[..same], factor) };
        }
    }
    0
}

fn unescaped_length(escaped: &[u8], factor: usize) -> usize {
    let mut text = escaped.to_vec();
    let mut rounds = factor;
    while rounds > 1 {
        let mut out = Vec::new();
        crate::event::json::unescape(&text, &mut out);
        text = out;
        rounds /= 2;
    }
    // Less what an escape that is cut itself may have added.
    text.len().saturating_sub(2)
}

#[test]
fn item_04_bare_line_cut_at_every_byte() {
    for event in events() {
        let text = event.to_string();
        for end in 1..=text.len() {
            let decoded = decode(&[&text.as_bytes()[..end]]);
            let context = format!("cut at {end} of {text}");
            assert_eq!((decoded.counts.messages, decoded.counts.records), (1, 1), "{context}");
            if text.as_bytes()[..end].windows(9).any(|w| w == b"auditID\":") && decoded.counts.events == 1 {
                assert_eq!(flag(&decoded.batch.audit, 0, "truncated"), end < text.len(), "{context}");
                check_row(&decoded, &event, &text, end, &context);
            }
            let id_end = text.find("\",\"stage\"").unwrap_or(text.len()) + 1;
            assert!(end < id_end || decoded.counts.events == 1, "{context}");
        }
    }
}

#[test]
fn item_04_records_before_the_cut_are_whole() {
    let records: Vec<_> = (0..3).map(|_| audit_record()).collect();
    let body = json!({"records": records}).to_string();
    let decoded = decode(&[&body.as_bytes()[..body.len() - 300]]);
    assert_eq!((decoded.counts.events, decoded.counts.truncated), (3, 1));
    assert_eq!(audit(&decoded, "decision").as_deref(), Some("allow"));
}

#[test]
fn item_04_cut_bodies_are_closed() {
    let text = event().to_string();
    let at = text.find("\"roleRef\"").unwrap_or_default();
    let decoded = decode_text(&record("kube-audit", &text[..at + 30]).to_string());
    let body = audit(&decoded, "request_object").unwrap_or_default();
    assert!(body.ends_with("\"subjects\":[{\"kind\":\"User\",\"name\":\"ana\"}],\"roleRef\":{}}"), "{body}");
    assert_eq!(audit(&decoded, "object"), Some(body));

    let at = text.find("authorization.k8s.io/reason").unwrap_or_default();
    let decoded = decode_text(&record("kube-audit", &text[..at]).to_string());
    assert_eq!(audit(&decoded, "decision").as_deref(), Some("allow"));
    assert_eq!(
        audit(&decoded, "annotations").as_deref(),
        Some(r#"{"authorization.k8s.io/decision":"allow"}"#)
    );
}
