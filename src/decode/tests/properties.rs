//! For any input at all: no panic, and every record is accounted for.

use proptest::prelude::*;

use super::*;
use crate::decode::Dedup;

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[ -~\\n\"\\\\é{}\\[\\],:]{0,12}".prop_map(Value::from),
        Just(json!("Event")),
        Just(json!("2025-05-15T16:14:43Z")),
        Just(json!("{\"kind\":\"Event\",\"auditID\":\"x\",\"user\":{\"gro")),
    ];
    let key = prop_oneof![
        Just("records".to_owned()),
        Just("time".to_owned()),
        Just("category".to_owned()),
        Just("properties".to_owned()),
        Just("log".to_owned()),
        Just("kind".to_owned()),
        Just("auditID".to_owned()),
        Just("user".to_owned()),
        Just("sourceIPs".to_owned()),
        Just("objectRef".to_owned()),
        Just("responseStatus".to_owned()),
        Just("annotations".to_owned()),
        Just("requestObject".to_owned()),
        Just("items".to_owned()),
        Just("body".to_owned()),
        Just("value".to_owned()),
        "[a-z\"]{0,4}",
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A sound message with records of several kinds.
fn message() -> Vec<u8> {
    let list = json!({"kind": "EventList", "items": [metadata_event()]}).to_string();
    let records = [audit_record(), klog_record("x\ny"), record("kube-audit", &list), metadata_event()];
    format!("{}\n{}\n", json!({"records": records}), event()).into_bytes()
}

fn survives(body: &[u8]) -> Result<(), TestCaseError> {
    let decoded = decode(&[body]);
    let decoded = Dedup::new(2).retain(decoded).map_err(|e| TestCaseError::fail(e.to_string()))?;
    check(&decoded);
    prop_assert!(decoded.counts.records > 0 || decoded.counts.events == 0);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes(body in prop::collection::vec(any::<u8>(), 0..400)) {
        survives(&body)?;
    }

    #[test]
    fn bytes_of_json(body in "[{}\\[\\]\",:\\\\nul0-9 \n'a-e]{0,120}") {
        survives(body.as_bytes())?;
    }

    #[test]
    fn arbitrary_json(value in any_json()) {
        survives(value.to_string().as_bytes())?;
        survives(&serde_json::to_vec_pretty(&value).unwrap_or_default())?;
        survives(record("kube-audit", &value.to_string()).to_string().as_bytes())?;
    }

    #[test]
    fn mutated_messages(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..12),
        end in any::<prop::sample::Index>(),
    ) {
        let mut body = message();
        for (index, byte, kind) in edits {
            let at = index.index(body.len());
            match kind {
                0 => body[at] = byte,
                1 => body.insert(at, b"\"{}[],:\\\n'"[usize::from(byte) % 10]),
                _ => drop(body.remove(at)),
            }
        }
        survives(&body)?;
        let end = end.index(body.len());
        survives(&body[..end])?;
    }
}
