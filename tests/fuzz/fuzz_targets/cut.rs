//! The text of an audit event, cut anywhere, inside a sound envelope: one record in, one out, and its
//! neighbour unharmed. The first two bytes say where the cut is.
#![no_main]

use aksentry::decode::Decoder;
use aksentry::event::RawBatch;
use libfuzzer_sys::fuzz_target;
use serde_json::json;

const NEIGHBOUR: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"neighbour","stage":"ResponseComplete","verb":"get","user":{"username":"ana"}}"#;

fuzz_target!(|data: &[u8]| {
    let [high, low, event @ ..] = data else { return };
    let cut = usize::from(u16::from_be_bytes([*high, *low])).min(event.len());
    let record = |log: &str| json!({"category": "kube-audit", "time": "2026-03-01T10:00:00Z", "properties": {"log": log}});
    let text = String::from_utf8_lossy(&event[..cut]);
    let body = json!({"records": [record(&text), record(NEIGHBOUR)]}).to_string();
    let decoded = Decoder::default().decode(&RawBatch { bodies: vec![body.into()] });
    assert!(decoded.counts.balanced(), "{:?}", decoded.counts);
    assert_eq!(decoded.counts.records, 2, "{:?}", decoded.counts);
    assert!(decoded.counts.events >= 1, "the neighbour is gone: {:?}", decoded.counts);
});
