//! Every function through SQL, over columns of each text type, with nulls and with what is no body.

use arrow::array::ArrayRef;
use arrow::array::{Int64Array, LargeStringArray, RecordBatch, StringArray, StringViewArray};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::{DataFusionError, Result};
use datafusion::prelude::{SessionConfig, SessionContext};
use std::path::Path;

use super::*;

const POD: &str = r#"{"kind":"Pod","spec":{"hostPID":true,"hostNetwork":false,"securityContext":{"runAsUser":0,"runAsNonRoot":false},
 "volumes":[{"name":"a","hostPath":{"path":"/var//run/../run/docker.sock/"}},{"name":"b","emptyDir":{}}],
 "initContainers":[{"name":"setup","image":"busybox","securityContext":{"capabilities":{"add":["cap_net_admin","SYS_ADMIN"]}}}],
 "containers":[{"name":"app","image":"mcr.microsoft.com/app:1","command":["sh","-c"],"args":["id"],"ports":[{"containerPort":80,"hostPort":8080}],
  "securityContext":{"privileged":true,"runAsUser":1000,"allowPrivilegeEscalation":true,"capabilities":{"add":["SYS_ADMIN"]}}}]}}"#;
const CRON: &str = r#"{"spec":{"jobTemplate":{"spec":{"template":{"spec":{"serviceAccountName":"jobs","containers":[{"name":"j","image":"job"}]}}}}}}"#;
const ROLE: &str = r#"{"kind":"ClusterRole","rules":[{"verbs":["get","list"],"apiGroups":[""],"resources":["secrets"],"resourceNames":["x"]},{"verbs":["*"],"nonResourceURLs":["/logs"]}]}"#;
const BINDING: &str = r#"{"roleRef":{"kind":"ClusterRole","name":"cluster-admin"},"subjects":[{"kind":"Group","name":"system:masters"},{"kind":"ServiceAccount","name":"robot","namespace":"ci"}]}"#;

/// Rows of the test table: bodies of each kind, then null and three texts that are no body.
fn bodies() -> Vec<Option<&'static str>> {
    vec![Some(POD), Some(CRON), Some(ROLE), Some(BINDING), None, Some("{\"cut"), Some("[1,2]"), Some("")]
}

fn lists() -> Arc<Lists> {
    let text = "value,reason\nalice,on call\n*-bot,bots\n10.0.0.0/8,office\n";
    let (list, problems) = List::parse("secret_readers", Path::new("x"), text);
    assert_eq!(problems, []);
    Arc::new(Lists::from([("secret_readers".to_string(), Arc::new(list))]))
}

fn session(window_end: Arc<AtomicI64>) -> Result<SessionContext> {
    let config = SessionConfig::new().set_str("datafusion.sql_parser.dialect", "postgresql");
    let mut context = SessionContext::new_with_config(config);
    datafusion_functions_json::register_all(&mut context)?;
    for function in all(&Lookups { lists: lists(), ..Lookups::default() }, window_end) {
        context.register_udf(function);
    }
    let bodies = bodies();
    let views: ArrayRef = Arc::new(bodies.iter().copied().collect::<StringViewArray>());
    let texts: ArrayRef = Arc::new(bodies.iter().copied().collect::<StringArray>());
    let larges: ArrayRef = Arc::new(bodies.iter().copied().collect::<LargeStringArray>());
    let rows: ArrayRef = Arc::new(Int64Array::from_iter_values(0..bodies.len() as i64));
    let batch = RecordBatch::try_from_iter([("n", rows), ("v", views), ("t", texts), ("l", larges)])?;
    context.register_batch("bodies", batch)?;
    Ok(context)
}

/// The rows of a query, each as its values joined by ` | `.
fn query(sql: &str) -> Result<Vec<String>> {
    run(&session(Arc::default())?, sql)
}

fn run(context: &SessionContext, sql: &str) -> Result<Vec<String>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(DataFusionError::IoError)?;
    let batches = runtime.block_on(async { context.sql(sql).await?.collect().await })?;
    let options = FormatOptions::default().with_null("null");
    let mut rows = Vec::new();
    for batch in batches {
        let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options));
        let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            let values: Vec<String> = columns.iter().map(|column| column.value(row).to_string()).collect();
            rows.push(values.join(" | "));
        }
    }
    Ok(rows)
}

/// What a function of a body gives for each row of the table, the same for each type of text.
fn over_bodies(call: &str) -> Result<Vec<String>> {
    let mut results = Vec::new();
    for column in ["v", "t", "l"] {
        results.push(query(&format!("SELECT {} FROM bodies ORDER BY n", call.replace("$", column)))?);
    }
    assert_eq!(results[0], results[1], "{call}: Utf8 and Utf8View differ");
    assert_eq!(results[0], results[2], "{call}: LargeUtf8 and Utf8View differ");
    Ok(results.swap_remove(0))
}

/// Asserts the values for the four bodies; all other rows must be null.
fn assert_bodies(call: &str, expected: [&str; 4]) -> Result<()> {
    let mut all = expected.to_vec();
    all.resize(bodies().len(), "null");
    assert_eq!(over_bodies(call)?, all, "{call}");
    Ok(())
}

#[test]
fn workload_functions() -> Result<()> {
    assert_bodies("container_images($)", ["[mcr.microsoft.com/app:1, busybox]", "[job]", "null", "null"])?;
    assert_bodies("privileged_containers($)", ["[app]", "[]", "null", "null"])?;
    assert_bodies("added_capabilities($)", ["[SYS_ADMIN, NET_ADMIN]", "[]", "null", "null"])?;
    assert_bodies("host_paths($)", ["[/var/run/docker.sock]", "[]", "null", "null"])?;
    assert_bodies("host_namespaces($)", ["[pid]", "[]", "null", "null"])?;
    assert_bodies("pod_service_account($)", ["default", "jobs", "null", "null"])?;
    assert_bodies("pod_spec($) ->> 'hostPID'", ["true", "null", "null", "null"])?;
    Ok(())
}

#[test]
fn containers_as_rows() -> Result<()> {
    let sql = "SELECT c['kind'], c['name'], c['image'], c['privileged'], c['run_as_user'], c['run_as_non_root'],
        c['allow_privilege_escalation'], c['read_only_root_filesystem'], c['capabilities_add'], c['command'], c['args'], c['host_ports']
        FROM (SELECT n, unnest(containers(v)) AS c FROM bodies) ORDER BY n, 2";
    assert_eq!(
        query(sql)?,
        [
            "container | app | mcr.microsoft.com/app:1 | true | 1000 | false | true | null | [SYS_ADMIN] | [sh, -c] | [id] | [8080]",
            "init | setup | busybox | null | 0 | false | null | null | [NET_ADMIN, SYS_ADMIN] | [] | [] | []",
            "container | j | job | null | null | null | null | null | [] | [] | [] | []",
        ]
    );
    assert_bodies("cardinality(containers($))", ["2", "1", "null", "null"])
}

#[test]
fn values_of_lists() -> Result<()> {
    assert_bodies(
        "json_values($, 'spec.containers.image')",
        ["[mcr.microsoft.com/app:1]", "null", "null", "null"],
    )?;
    assert_bodies("json_values($, 'subjects.name')", ["null", "null", "null", "[system:masters, robot]"])?;
    assert_bodies(
        "any_match(json_values($, 'subjects.name'), '(?i)^ROBOT')",
        ["null", "null", "null", "true"],
    )?;
    let any = |call: &str| query(&format!("SELECT any_cidr(ARRAY['x', '10.1.2.3'], '{call}')"));
    assert_eq!((any("10.0.0.0/8")?, any("11.0.0.0/8")?), (vec!["true".into()], vec!["false".into()]));
    for (call, message) in [
        ("any_match(ARRAY['a'], '(')", "is no regular expression"),
        ("any_cidr(ARRAY['a'], '10.0.0.0/99')", "is no CIDR"),
        ("any_match('a', 'b')", "must be a list of text"),
    ] {
        let error = query(&format!("SELECT {call}")).unwrap_err().to_string();
        assert!(error.contains(message), "{call}: {error}");
    }
    Ok(())
}

#[test]
fn role_and_binding_functions() -> Result<()> {
    assert_bodies("role_verbs($)", ["null", "null", "[get, list, *]", "null"])?;
    assert_bodies("role_resources($)", ["null", "null", "[secrets]", "null"])?;
    assert_bodies("role_api_groups($)", ["null", "null", "[]", "null"])?;
    assert_bodies("cardinality(role_api_groups($))", ["null", "null", "1", "null"])?;
    assert_bodies("role_grants($, 'get', 'secrets')", ["null", "null", "true", "null"])?;
    assert_bodies("role_grants($, 'delete', 'secrets')", ["null", "null", "false", "null"])?;
    assert_bodies("role_ref_kind($)", ["null", "null", "null", "ClusterRole"])?;
    assert_bodies("role_ref_name($)", ["null", "null", "null", "cluster-admin"])?;
    assert_bodies(
        "subject_names($)",
        ["null", "null", "null", "[system:masters, system:serviceaccount:ci:robot]"],
    )?;
    assert_eq!(
        query(
            "SELECT r['verbs'], r['resources'], r['resource_names'], r['non_resource_urls'] FROM (SELECT unnest(role_rules(v)) AS r FROM bodies)"
        )?,
        ["[get, list] | [secrets] | [x] | []", "[*] | [] | [] | [/logs]"]
    );
    assert_eq!(
        query(
            "SELECT s['kind'], s['name'], s['namespace'] FROM (SELECT unnest(subjects(v)) AS s FROM bodies)"
        )?,
        ["Group | system:masters | null", "ServiceAccount | robot | ci"]
    );
    Ok(())
}

#[test]
fn results_work_with_the_array_functions() -> Result<()> {
    let sql =
        "SELECT n FROM bodies WHERE array_has_any(added_capabilities(v), make_array('SYS_ADMIN', 'ALL'))";
    assert_eq!(query(sql)?, ["0"]);
    assert_eq!(query("SELECT n FROM bodies WHERE array_has(subject_names(v), 'system:masters')")?, ["3"]);
    assert_eq!(
        query("SELECT n FROM bodies WHERE array_has_all(role_verbs(v), make_array('get', '*'))")?,
        ["2"]
    );
    assert_eq!(query("SELECT n FROM bodies WHERE 'pid' = ANY(host_namespaces(v))")?, ["0"]);
    assert_eq!(query("SELECT n FROM bodies WHERE cardinality(privileged_containers(v)) > 0")?, ["0"]);
    assert_eq!(query("SELECT array_to_string(container_images(v), ',') FROM bodies WHERE n = 1")?, ["job"]);
    assert_eq!(
        query("SELECT n FROM bodies WHERE any_under(host_paths(v), make_array('/var/run', '/etc'))")?,
        ["0"]
    );
    assert_eq!(
        query("SELECT n FROM bodies WHERE any_under(host_paths(v), ARRAY['/var/run/docker'])")?,
        [""; 0]
    );
    assert_eq!(query("SELECT any_under(NULL, make_array('/'))")?, ["null"]);
    Ok(())
}

#[test]
fn request_image_and_address_functions() -> Result<()> {
    for (call, expected) in [
        ("exec_command('/x/exec?command=cat&command=%2Fetc%2Fshadow', NULL)", "cat /etc/shadow"),
        ("exec_command(NULL, '{\"command\":[\"id\",\"-u\"]}')", "id -u"),
        ("exec_command(NULL, NULL)", "null"),
        ("query_param('/x?limit=500&labelSelector=a%3Db', 'labelSelector')", "a=b"),
        ("query_param('/x?limit=500', 'watch')", "null"),
        ("query_param(NULL, 'watch')", "null"),
        ("image_registry('nginx')", "docker.io"),
        ("image_repository('nginx')", "library/nginx"),
        ("image_tag('localhost:5000/a/b:tag@sha256:01')", "tag"),
        ("image_digest('localhost:5000/a/b:tag@sha256:01')", "sha256:01"),
        ("image_tag('nginx')", "null"),
        ("image_registry('not an image')", "null"),
        ("sa_namespace('system:serviceaccount:ci:robot')", "ci"),
        ("sa_name('system:serviceaccount:ci:robot')", "robot"),
        ("sa_name('alice')", "null"),
        ("is_public('8.8.8.8')", "true"),
        ("is_public('10.1.2.3')", "false"),
        ("is_public('nobody')", "null"),
        ("is_public(NULL)", "null"),
        ("cidr_match('10.1.2.3', '10.0.0.0/8')", "true"),
        ("cidr_match('::ffff:10.1.2.3', '10.0.0.0/8')", "true"),
        ("cidr_match('11.1.2.3', '10.0.0.0/8')", "false"),
        ("cidr_match('fd00::1', 'fd00::/8')", "true"),
        ("cidr_match('nobody', '10.0.0.0/8')", "null"),
        ("cidr_match(NULL, '10.0.0.0/8')", "null"),
    ] {
        assert_eq!(query(&format!("SELECT {call}"))?, [expected], "{call}");
    }
    let over_rows = "SELECT cidr_match(a, r) FROM (VALUES ('10.0.0.1','10.0.0.0/8'),('10.0.0.1','x'),('1.1.1.1','1.0.0.0/8')) AS t(a, r)";
    assert_eq!(query(over_rows)?, ["true", "null", "true"]);
    Ok(())
}

#[test]
fn listed_is_never_null() -> Result<()> {
    let sql = "SELECT listed('secret_readers', u), NOT listed('secret_readers', u) FROM
        (VALUES (1,'alice'),(2,'renovate-bot'),(3,'mallory'),(4,'10.2.3.4'),(5,NULL)) AS t(n, u) ORDER BY n";
    assert_eq!(query(sql)?, ["true | false", "true | false", "false | true", "true | false", "false | true"]);
    assert_eq!(
        query("SELECT listed('secret_readers', 'alice'), listed('secret_readers', NULL)")?,
        ["true | false"]
    );
    assert_eq!(query("SELECT n FROM bodies WHERE listed('secret_readers', v)")?, [""; 0]);
    Ok(())
}

#[test]
fn window_end_follows_its_clock() -> Result<()> {
    let clock = Arc::new(AtomicI64::new(1_700_000_000_000_000));
    let context = session(Arc::clone(&clock))?;
    let sql = "SELECT window_end(), window_end() - INTERVAL '1 hour' < window_end()";
    assert_eq!(run(&context, sql)?, ["2023-11-14T22:13:20Z | true"]);
    clock.store(0, std::sync::atomic::Ordering::Release);
    assert_eq!(run(&context, sql)?, ["1970-01-01T00:00:00Z | true"]);
    Ok(())
}

#[test]
fn mistakes_are_found_when_planning_and_said_plainly() {
    for (sql, expected) in [
        (
            "SELECT 1 FROM bodies WHERE listed('secret_reader', v)",
            "no list \"secret_reader\"; did you mean \"secret_readers\"?",
        ),
        ("SELECT 1 FROM bodies WHERE listed('egress', v)", "no list \"egress\"; add lists/egress.csv"),
        (
            "SELECT 1 FROM bodies WHERE listed(v, 'x')",
            "argument 1 of listed must be the name of a list in quotes; write listed('list', value)",
        ),
        (
            "SELECT listed('secret_readers') FROM bodies",
            "listed takes 2 argument(s), not 1; write listed('list', value)",
        ),
        (
            "SELECT containers() FROM bodies",
            "containers takes 1 argument(s), not 0; write containers(object)",
        ),
        (
            "SELECT containers(n) FROM bodies",
            "argument 1 of containers must be text, not Int64; write containers(object)",
        ),
        (
            "SELECT containers(v -> 'spec') FROM bodies",
            "argument 1 of containers must be text; write ->> instead of -> to read JSON as text",
        ),
        (
            "SELECT any_under(v, make_array('/')) FROM bodies",
            "argument 1 of any_under must be a list of text, not Utf8View; write any_under(paths, roots)",
        ),
        (
            "SELECT cidr_match(v, '10.0.0/8') FROM bodies",
            "\"10.0.0/8\" is no CIDR; write one such as '10.0.0.0/8'",
        ),
    ] {
        let message =
            query(sql).err().map(|error| error.find_root().message().into_owned()).unwrap_or_default();
        assert_eq!(message, expected, "{sql}");
    }
}

#[test]
fn the_catalogue_is_complete() {
    let functions = all(&Lookups { lists: lists(), ..Lookups::default() }, Arc::default());
    assert_eq!(functions.len(), catalogue().len());
    for function in &functions {
        let doc = catalogue().iter().find(|doc| doc.name == function.name());
        assert!(
            doc.is_some_and(|doc| doc.signature.starts_with(&format!("{}(", doc.name))),
            "{}",
            function.name()
        );
    }
}

#[test]
fn functions_of_bodies_are_expensive() {
    for name in
        ["containers", "host_paths", "role_grants", "subjects", "exec_command", "json_get", "json_as_text"]
    {
        assert!(is_expensive(name), "{name}");
    }
    for name in ["listed", "is_public", "image_tag", "query_param", "any_under", "window_end", "lower"] {
        assert!(!is_expensive(name), "{name}");
    }
}

#[test]
fn names_of_lists_in_an_expression() -> Result<()> {
    let context = session(Arc::default())?;
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(DataFusionError::IoError)?;
    let sql = "SELECT 1 FROM bodies WHERE NOT listed('secret_readers', v) AND (n > 1 OR listed('secret_readers', t))";
    let plan = runtime.block_on(context.sql(sql))?.into_optimized_plan()?;
    let mut names = Vec::new();
    plan.apply(|node| {
        names.extend(node.expressions().iter().flat_map(list_names));
        Ok(TreeNodeRecursion::Continue)
    })?;
    names.dedup();
    assert_eq!(names, ["secret_readers"]);
    Ok(())
}

#[test]
fn a_body_cut_anywhere_is_no_error() -> Result<()> {
    let context = session(Arc::default())?;
    let cuts =
        [POD, CRON, ROLE, BINDING].into_iter().flat_map(|body| (0..body.len()).map(|end| &body[..end]));
    let cuts: ArrayRef = Arc::new(StringViewArray::from_iter_values(cuts));
    let rows = cuts.len();
    context.register_batch("cuts", RecordBatch::try_from_iter([("v", cuts)])?)?;
    for doc in catalogue().iter().filter(|doc| doc.signature.ends_with("(object)")) {
        let counted = run(
            &context,
            &format!("SELECT count(*), count(f) >= 0 FROM (SELECT {}(v) AS f FROM cuts)", doc.name),
        )?;
        assert_eq!(counted, [format!("{rows} | true")], "{}", doc.name);
    }
    Ok(())
}
