//! What the decoder must survive, by its own samples. Here: the samples' building blocks and how the
//! tests read the tables; each sibling holds the tests of one subject.

mod cuts;
mod duplicates;
mod envelopes;
mod events;
mod properties;
mod trouble;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use serde_json::{Value, json};

use super::{Decoded, Decoder, time};
use crate::event::{RawBatch, RejectReason};

pub const CLUSTER: &str = "/SUBSCRIPTIONS/1B6F0000-0000-4000-8000-00000000AAAA/RESOURCEGROUPS/RG-SHOP/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/AKS-SHOP";
pub const POD: &str = "kube-apiserver-6c9f7d5b84-x2k9p";

/// Decodes bodies in one batch and checks what must hold for every batch.
pub fn decode(bodies: &[&[u8]]) -> Decoded {
    let raw = RawBatch { bodies: bodies.iter().map(|b| bytes::Bytes::copy_from_slice(b)).collect() };
    let decoded = Decoder::default().decode(&raw);
    check(&decoded);
    decoded
}

pub fn decode_text(body: &str) -> Decoded {
    let decoded = decode(&[body.as_bytes()]);
    check_json(&decoded);
    decoded
}

/// The account and the tables agree.
pub fn check(decoded: &Decoded) {
    let (batch, counts) = (&decoded.batch, &decoded.counts);
    assert!(counts.balanced(), "{counts:?}");
    assert_eq!(batch.audit.num_rows() as u64, counts.events);
    assert_eq!(batch.control_plane.num_rows() as u64, counts.control_plane);
    assert_eq!(batch.audit_ids.len() as u64, counts.events);
    assert_eq!(batch.control_plane_ids.len() as u64, counts.control_plane);
    assert_eq!(decoded.rejects.len() as u64, counts.rejects.values().sum::<u64>());
    assert_eq!(counts.categories.values().sum::<u64>(), counts.records);
}

/// Columns of JSON text hold JSON.
pub fn check_json(decoded: &Decoded) {
    let batch = &decoded.batch;
    for name in ["request_object", "response_object", "object", "annotations", "user_extra"] {
        for row in 0..batch.audit.num_rows() {
            if let Some(value) = text(&batch.audit, row, name) {
                let sound = serde_json::from_str::<serde::de::IgnoredAny>(&value);
                assert!(sound.is_ok(), "{name} is no JSON: {value}");
            }
        }
    }
}

/// A text column's value.
pub fn text(table: &RecordBatch, row: usize, name: &str) -> Option<String> {
    let column = table.column_by_name(name)?.as_string_view_opt()?;
    column.is_valid(row).then(|| column.value(row).to_owned())
}

pub fn audit(decoded: &Decoded, name: &str) -> Option<String> {
    text(&decoded.batch.audit, 0, name)
}

pub fn control(decoded: &Decoded, name: &str) -> Option<String> {
    text(&decoded.batch.control_plane, 0, name)
}

/// A list column's value.
pub fn list(table: &RecordBatch, row: usize, name: &str) -> Option<Vec<String>> {
    let column = table.column_by_name(name)?.as_list_opt::<i32>()?;
    if column.is_null(row) {
        return None;
    }
    let items = column.value(row);
    Some(items.as_string_view_opt()?.iter().flatten().map(str::to_owned).collect())
}

pub fn int(table: &RecordBatch, row: usize, name: &str) -> Option<i64> {
    let column = table.column_by_name(name)?.as_primitive_opt::<Int64Type>()?;
    column.is_valid(row).then(|| column.value(row))
}

/// A time column's value, microseconds.
pub fn micros(table: &RecordBatch, row: usize, name: &str) -> Option<i64> {
    let column = table.column_by_name(name)?.as_primitive_opt::<TimestampMicrosecondType>()?;
    column.is_valid(row).then(|| column.value(row))
}

pub fn flag(table: &RecordBatch, row: usize, name: &str) -> bool {
    table.column_by_name(name).and_then(|c| c.as_boolean_opt()).is_some_and(|c| c.value(row))
}

/// Microseconds of a time written out.
pub fn at(text: &str) -> Option<i64> {
    let time = time::parse(text.as_bytes());
    assert!(time.is_some(), "{text}");
    time
}

pub fn reasons(decoded: &Decoded) -> Vec<RejectReason> {
    decoded.rejects.iter().map(|r| r.reason).collect()
}

/// An event as the API server writes it, keys in its order.
pub fn event() -> Value {
    json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse",
        "auditID": "5a1d7c0e-0001-4c1a-9a55-0123456789ab", "stage": "ResponseComplete",
        "requestURI": "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings?fieldManager=kubectl-create",
        "verb": "create",
        "user": {
            "username": "ana@contoso.example", "uid": "4f2a",
            "groups": ["b0a1c2d3-aaaa-4bbb-8ccc-1234567890ab", "system:authenticated"],
            "extra": {"oid": ["7d9e0000-1111-4222-8333-444455556666"]}
        },
        "impersonatedUser": {"username": "ops \"two\"", "groups": ["breakglass"]},
        "sourceIPs": ["203.0.113.7", "10.0.0.4"],
        "userAgent": "kubectl/v1.31.2 (linux/amd64) kubernetes/5864a46",
        "objectRef": {
            "resource": "rolebindings", "namespace": "shop", "name": "ops-admin", "uid": "9a",
            "apiGroup": "rbac.authorization.k8s.io", "apiVersion": "v1"
        },
        "responseStatus": {"metadata": {}, "code": 201},
        "requestObject": {"kind": "RoleBinding", "metadata": {"name": "ops-admin", "labels": {"a": "b\nc"}},
            "subjects": [{"kind": "User", "name": "ana"}], "roleRef": {"kind": "ClusterRole", "name": "admin"}},
        "responseObject": {"kind": "RoleBinding", "metadata": {"name": "ops-admin", "uid": "9a"}},
        "requestReceivedTimestamp": "2025-05-15T16:14:42.100000Z",
        "stageTimestamp": "2025-05-15T16:14:42.250000Z",
        "annotations": {"authorization.k8s.io/decision": "allow",
            "authorization.k8s.io/reason": "RBAC: allowed by ClusterRoleBinding \"x\""}
    })
}

/// The event without its bodies, as a write at level Metadata.
pub fn metadata_event() -> Value {
    let mut event = event();
    if let Some(map) = event.as_object_mut() {
        for key in ["requestObject", "responseObject", "impersonatedUser"] {
            map.shift_remove(key);
        }
        map.insert("level".into(), "Metadata".into());
        map.insert("verb".into(), "delete".into());
    }
    event
}

/// A record of 2025 around a log text.
pub fn record(category: &str, log: &str) -> Value {
    json!({
        "category": category,
        "operationName": "Microsoft.ContainerService/managedClusters/diagnosticLogs/Read",
        "properties": {"pod": POD, "log": log, "containerID": "77aa", "stream": "stdout"},
        "resourceId": CLUSTER, "serviceBuild": "na", "time": "2025-05-15T16:14:43.957346123Z"
    })
}

/// A kube-audit record of [`event`].
pub fn audit_record() -> Value {
    record("kube-audit", &format!("{}\n", event()))
}

pub fn klog_record(message: &str) -> Value {
    record("kube-scheduler", &format!("W0515 16:14:40.5000001       1 scheduler.go:77] {message}\n"))
}
