//! Rows drawn at random for tests, and rules to try on them.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, ListBuilder, StringViewBuilder};
use arrow::datatypes::{DataType, Field};
use arrow::record_batch::RecordBatch;

use crate::event::{Batch, Table};
use crate::rules::{Detection, parse_detection};

/// A rule of these header lines beside those that all have.
pub fn rule(header: &str, sql: &str) -> Detection {
    let common = "/// detection\ntitle = \"x\"\nseverity = \"low\"\nstatus = \"draft\"\n\
                  summary = \"a row\"\ndescription = \"x\"\n";
    let lines = format!("{common}{header}\n///");
    let header: String = lines.lines().map(|line| format!("-- {line}\n")).collect();
    let path = Path::new("detections/execution/x.sql");
    parse_detection(path, "execution", "x", &format!("{header}{sql}")).expect("a sound rule")
}

/// What values of a column are drawn from, null among them: those that rules ask for, and others.
fn pool(column: &str) -> &'static [Option<&'static str>] {
    const VERBS: &[Option<&str>] =
        &[Some("get"), Some("list"), Some("create"), Some("patch"), Some("delete"), None];
    const RESOURCES: &[Option<&str>] = &[
        Some("secrets"),
        Some("pods"),
        Some("clusterrolebindings"),
        Some("configmaps"),
        Some("nodes"),
        Some("networkpolicies"),
        None,
    ];
    const PARTS: &[Option<&str>] = &[None, None, Some("exec"), Some("token"), Some("status")];
    const PEOPLE: &[Option<&str>] = &[
        Some("alice@contoso.com"),
        Some("system:anonymous"),
        Some("masterclient"),
        Some("system:serviceaccount:shop:web"),
        Some("system:node:aks-1"),
        None,
    ];
    const CLASSES: &[Option<&str>] =
        &[Some("entra-user"), Some("anonymous"), Some("local-admin"), Some("service-account"), Some("node")];
    const PLACES: &[Option<&str>] =
        &[Some("203.0.113.9"), Some("10.0.0.4"), Some("2001:db8::1"), Some("?"), None];
    const SPACES: &[Option<&str>] = &[Some("kube-system"), Some("shop"), Some("default"), None];
    const BODIES: &[Option<&str>] = &[
        None,
        Some(
            r#"{"roleRef":{"kind":"ClusterRole","name":"cluster-admin"},"subjects":[{"kind":"User","name":"x"}]}"#,
        ),
        Some(
            r#"{"spec":{"hostNetwork":true,"containers":[{"name":"c","image":"evil.io/xmrig","securityContext":{"privileged":true}}]}}"#,
        ),
        Some(r#"{"data":{"password":"x"}}"#),
        Some("{cut"),
    ];
    const LINES: &[Option<&str>] = &[
        Some("Unable to authenticate the request"),
        Some("scale-up: node group is not ready"),
        Some("TLS handshake error from 203.0.113.9:1: EOF"),
        None,
    ];
    match column {
        "verb" => VERBS,
        "resource" => RESOURCES,
        "subresource" => PARTS,
        "username" | "impersonated_username" => PEOPLE,
        "principal_class" => CLASSES,
        "client_ip" => PLACES,
        "namespace" => SPACES,
        "stage" => &[Some("ResponseComplete"), Some("ResponseStarted"), Some("RequestReceived"), None],
        "level" => &[Some("Metadata"), Some("Request"), Some("RequestResponse")],
        "user_agent" => &[Some("kubectl/v1.30"), Some("curl/8"), Some("Go-http-client/2.0"), None],
        "object" | "request_object" | "response_object" => BODIES,
        "decision" => &[Some("allow"), Some("forbid"), None],
        "category" => {
            &[Some("kube-audit"), Some("guard"), Some("kube-apiserver"), Some("cluster-autoscaler")]
        }
        "message" | "raw" => LINES,
        "request_uri" => &[Some("/api/v1/secrets?watch=true"), Some("/healthz"), Some("/api"), None],
        _ => &[Some("x"), Some("aks-managed"), Some("a text that is longer than a view holds"), None],
    }
}

/// Rows of both tables, drawn at random.
pub fn drawn(rows: usize, seed: u64) -> Batch {
    let mut state = seed;
    let mut draw = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut table = |table: Table| {
        let column = |field: &Arc<Field>| -> ArrayRef {
            let pool = pool(field.name());

            match field.data_type() {
                DataType::Utf8View => Arc::new(
                    (0..rows).map(|_| pool[draw(pool.len())]).collect::<arrow::array::StringViewArray>(),
                ),
                DataType::Int64 => Arc::new(
                    (0..rows)
                        .map(|_| [Some(200), Some(201), Some(403), Some(401), None][draw(5)])
                        .collect::<arrow::array::Int64Array>(),
                ),
                DataType::Boolean => {
                    Arc::new((0..rows).map(|_| Some(draw(8) == 0)).collect::<arrow::array::BooleanArray>())
                }
                DataType::Timestamp(..) => Arc::new(
                    (0..rows)
                        .map(|row| (draw(20) > 0).then_some(1_780_272_000_000_000 + row as i64))
                        .collect::<arrow::array::TimestampMicrosecondArray>()
                        .with_timezone("+00:00"),
                ),
                _ => {
                    let mut lists = ListBuilder::new(StringViewBuilder::new());
                    for _ in 0..rows {
                        for _ in 0..draw(3) {
                            lists.values().append_option(pool[draw(pool.len())]);
                        }
                        lists.append(draw(4) > 0);
                    }
                    Arc::new(lists.finish())
                }
            }
        };
        let schema = table.schema();
        let columns = schema.fields().iter().map(column).collect();
        RecordBatch::try_new(schema.clone(), columns).unwrap()
    };
    let (audit, control_plane) = (table(Table::Audit), table(Table::ControlPlane));
    let ids: Vec<u64> = (0..rows as u64).collect();
    let block = arrow::buffer::Buffer::from_vec(Vec::<u8>::new());
    Batch { audit, audit_ids: ids.clone(), control_plane, control_plane_ids: ids, block }
}
