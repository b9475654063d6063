//! Made-up traffic of one cluster: steady work that raises nothing, and planted positives.
//!
//! Every event of a positive is of an identity of its own, so that each positive has alerts of its own.

use bytes::Bytes;
use serde_json::{Value, json};

/// Microseconds of 2026-05-04T10:00:00Z.
pub const BEGIN: i64 = 1_777_888_800_000_000;
const CLUSTER: &str = "/SUBSCRIPTIONS/3F1D5C60-0000-4000-8000-00000000D001/RESOURCEGROUPS/RG-LIVE/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/AKS-LIVE";
const RECORDS_A_MESSAGE: usize = 50;
/// Secrets that each of the bulk readers asks for.
const READS: usize = 20;

/// Messages, and the identities that must be alerted on.
pub struct Traffic {
    pub messages: Vec<Bytes>,
    pub positives: Vec<String>,
}

fn time(micros: i64) -> String {
    let time = chrono::DateTime::from_timestamp_micros(micros).unwrap();
    time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

/// One audit event as its record.
fn record(n: usize, at: i64, user: &str, verb: &str, object: &Value, uri: &str) -> Value {
    let event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
        "auditID": format!("{n:08x}-0000-4000-8000-000000000000"), "stage": "ResponseComplete",
        "requestURI": uri, "verb": verb,
        "user": {"username": user, "groups": ["system:authenticated"]},
        "sourceIPs": ["20.50.2.10"], "userAgent": "kubectl/v1.31.0",
        "objectRef": object, "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": time(at), "stageTimestamp": time(at + 1500),
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
    });
    json!({
        "time": time(at + 3000), "category": "kube-audit", "resourceId": CLUSTER,
        "operationName": "Microsoft.ContainerService/managedClusters/diagnosticLogs/Read",
        "properties": {"log": format!("{event}\n"), "stream": "stdout", "pod": "kube-apiserver-6d4b"},
    })
}

fn background(n: usize, at: i64) -> Value {
    let namespace = format!("team-{}", n % 7);
    let name = format!("cm-{}", n % 31);
    let uri = format!("/api/v1/namespaces/{namespace}/configmaps/{name}");
    let object = json!({"resource": "configmaps", "namespace": namespace, "name": name, "apiVersion": "v1"});
    record(n, at, &format!("system:serviceaccount:{namespace}:worker"), "get", &object, &uri)
}

fn exec(n: usize, at: i64, user: &str) -> Value {
    let object = json!({"resource": "pods", "subresource": "exec", "namespace": "shop", "name": "web-0", "apiVersion": "v1"});
    let uri = "/api/v1/namespaces/shop/pods/web-0/exec?command=ls&container=web";
    record(n, at, user, "create", &object, uri)
}

fn secret(n: usize, at: i64, user: &str, which: usize) -> Value {
    let name = format!("secret-{which}");
    let object = json!({"resource": "secrets", "namespace": "shop", "name": name, "apiVersion": "v1"});
    record(n, at, user, "get", &object, &format!("/api/v1/namespaces/shop/secrets/{name}"))
}

/// `events` events over an hour; a tenth of the `positives` read secrets in bulk, the others run a
/// command in a pod.
pub fn traffic(events: usize, positives: usize) -> Traffic {
    let step = 3_600_000_000 / events as i64;
    let every = events / positives;
    let mut records: Vec<Value> = Vec::with_capacity(events);
    let mut identities = Vec::new();
    for n in 0..events {
        let at = BEGIN + n as i64 * step;
        let (which, within) = (n / every, n % every);
        let user = format!("planted-{which}@contoso.com");
        let planted = which < positives;
        if planted && within == 0 {
            identities.push(user.clone());
        }
        records.push(match (planted, which % 10) {
            (true, 0) if within % (every / READS) == 0 && within / (every / READS) < READS => {
                secret(n, at, &user, within / (every / READS))
            }
            (true, 1..) if within == 0 => exec(n, at, &user),
            _ => background(n, at),
        });
    }
    let messages = records.chunks(RECORDS_A_MESSAGE).map(|records| json!({"records": records}).to_string());
    Traffic { messages: messages.map(Bytes::from).collect(), positives: identities }
}
