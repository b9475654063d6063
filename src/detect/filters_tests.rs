//! All filters together keep what each keeps alone.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use arrow::array::{ArrayRef, AsArray, ListBuilder, StringViewBuilder};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Field};
use datafusion::common::DFSchema;

use super::*;
use crate::detect::plan::Planner;
use crate::detect::session::WindowEnd;
use crate::rules::{Catalog, Sources};

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
fn drawn(rows: usize, seed: u64) -> Batch {
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

/// Ids of the rows for which all filters are true, evaluated one by one on everything.
fn kept_by(scan: &PlannedScan, batch: &Batch, state: &SessionState) -> Vec<u64> {
    let (rows, ids) = scan.table.rows(batch);
    let schema = DFSchema::try_from(scan.table.schema().as_ref().clone()).unwrap();
    let mut left = BooleanBuffer::new_set(rows.num_rows());
    for filter in &scan.filters {
        let expr = state.create_physical_expr(unqualified(filter.clone()).unwrap(), &schema).unwrap();
        let value = expr.evaluate(rows).unwrap().into_array(rows.num_rows()).unwrap();
        let is_true = value.as_boolean().iter().map(|value| value == Some(true));
        left = &left & &is_true.collect::<BooleanBuffer>();
    }
    left.set_indices().map(|row| ids[row]).collect()
}

#[test]
fn each_scan_of_the_pack_keeps_what_its_filter_keeps_alone() {
    let (catalog, problems) = Catalog::load(&Sources::default());
    assert!(problems.is_empty());
    let planner = Planner::new(&catalog, WindowEnd::new(AtomicI64::new(0))).unwrap();
    let (mut set, mut scans) = (FilterSet::default(), Vec::new());
    for rule in &catalog.detections {
        let planned = planner.plan(rule).unwrap();
        set.add_rule(&planned.scans, None, planner.state()).unwrap();
        scans.extend(planned.scans);
    }
    let (mut indexes, mut any) = (set.indexes(), 0);
    for batch in (1..20).map(|seed| drawn(400, seed)) {
        let mut matches = Matches::default();
        set.evaluate(&batch, &mut indexes, &mut matches);
        assert!(matches.failed.is_empty(), "{:?}", matches.failed);
        let mut kept: HashMap<ScanId, Rows> = matches.kept.into_iter().collect();
        for (id, scan) in scans.iter().enumerate() {
            let rows = kept.remove(&id);
            let ids: Vec<u64> =
                rows.iter().flat_map(|rows| (0..rows.len()).map(|row| rows.id(row))).collect();
            assert_eq!(ids, kept_by(scan, &batch, planner.state()), "{:?}", scan.filters);
            any += ids.len();
        }
    }
    assert!(any > 1000, "{any}");
}

#[test]
fn a_condition_that_fails_on_a_value_costs_its_own_scan_alone() {
    let batch = drawn(100, 1);
    let planner = Planner::new(&Catalog::default(), WindowEnd::new(AtomicI64::new(0))).unwrap();
    let rule = |sql: &str| {
        let header = [
            "/// detection",
            "title = \"x\"",
            "severity = \"low\"",
            "status = \"draft\"",
            "key = [\"verb\"]",
            "summary = \"{verb}\"",
            "description = \"x\"",
            "///",
        ];
        let text = header.map(|line| format!("-- {line}\n")).concat() + sql;
        let path = std::path::Path::new("detections/execution/x.sql");
        planner.plan(&crate::rules::parse_detection(path, "execution", "x", &text).unwrap()).unwrap()
    };
    let number = rule("SELECT verb FROM audit WHERE CAST(verb AS INT) + 1 > 1").scans;
    let mixed = rule("SELECT verb FROM audit WHERE name = 'no' OR CAST(lower(verb) AS INT) > 1").scans;
    let sound = rule("SELECT verb FROM audit WHERE verb = 'get'").scans;
    let mut set = FilterSet::default();
    set.add_rule(&number, None, planner.state()).unwrap();
    set.add_rule(&sound, None, planner.state()).unwrap();
    set.add_rule(&mixed, None, planner.state()).unwrap();
    let mut matches = Matches::default();
    set.evaluate(&batch, &mut set.indexes(), &mut matches);
    let failed: Vec<ScanId> = matches.failed.iter().map(|(scan, _)| *scan).collect();
    let kept: Vec<ScanId> = matches.kept.iter().map(|(scan, _)| *scan).collect();
    assert_eq!((failed, kept), (vec![0, 2], vec![1]));
}
