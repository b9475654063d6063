//! The text categories: klog lines of the control plane and of guard, one record a line, so that a
//! stack trace or a `Trace[…]` comes as several records of which only the first has a header.

use chrono::{DateTime, Datelike, Timelike};

use super::Scene;

/// A line of a category that is not audit.
#[derive(Debug, Clone)]
pub struct Line {
    /// Microseconds since the epoch.
    pub at: i64,
    pub category: &'static str,
    pub text: String,
}

/// `Lmmdd hh:mm:ss.uuuuuu thread file:line] `.
fn header(at: i64, severity: char, place: &str) -> String {
    let t = DateTime::from_timestamp_micros(at).unwrap_or_default();
    format!(
        "{severity}{:02}{:02} {:02}:{:02}:{:02}.{:06}       1 {place}] ",
        t.month(),
        t.day(),
        t.hour(),
        t.minute(),
        t.second(),
        at.rem_euclid(1_000_000)
    )
}

/// A line with a header.
pub fn line(at: i64, category: &'static str, severity: char, place: &str, message: &str) -> Line {
    Line { at, category, text: header(at, severity, place) + message }
}

/// A line that goes on from the one before, without a header.
pub fn continuation(at: i64, category: &'static str, text: &str) -> Line {
    Line { at, category, text: text.into() }
}

/// An everyday line of some component.
pub fn everyday(scene: &mut Scene) -> Line {
    let at = scene.at;
    let node = scene.cluster.node(scene.random);
    let n = scene.random.below(90_000);
    let (namespace, app) = scene.random.pick(&super::apps::APPS);
    let pod = format!("{app}-{}-{}", scene.random.hex(9), scene.random.suffix(5));
    let version = scene.at / 200_000 - 8_800_000_000;
    match scene.random.below(11) {
        0 | 1 => line(
            at,
            "kube-controller-manager",
            'I',
            "event.go:389",
            &format!(
                "\"Event occurred\" object=\"{namespace}/{app}\" fieldPath=\"\" kind=\"Deployment\" apiVersion=\"apps/v1\" type=\"Normal\" reason=\"ScalingReplicaSet\" message=\"Scaled up replica set {app}-{n} to 3\""
            ),
        ),
        2 => line(
            at,
            "kube-controller-manager",
            'I',
            "replica_set.go:681",
            &format!(
                "\"Finished syncing\" logger=\"replicaset-controller\" kind=\"ReplicaSet\" key=\"{namespace}/{app}\" duration=\"{n}µs\""
            ),
        ),
        3 => line(
            at,
            "kube-scheduler",
            'I',
            "schedule_one.go:314",
            &format!(
                "\"Successfully bound pod to node\" pod=\"{namespace}/{pod}\" node=\"{node}\" evaluatedNodes=3 feasibleNodes=3"
            ),
        ),
        4 => line(
            at,
            "kube-scheduler",
            'W',
            "reflector.go:561",
            &format!(
                "k8s.io/client-go/informers/factory.go:160: watch of *v1.StorageClass ended with: too old resource version: {version} ({})",
                version + 977
            ),
        ),
        5 | 6 => line(
            at,
            "cluster-autoscaler",
            'I',
            "static_autoscaler.go:598",
            &format!("No unschedulable pods; loop took {n}µs"),
        ),
        7 => line(
            at,
            "cluster-autoscaler",
            'I',
            "azure_scale_set.go:241",
            &format!(
                "VMSS: {}, returning in-memory size: 3 (age {n}ms)",
                node.trim_end_matches(|c: char| c.is_ascii_digit())
            ),
        ),
        8 => line(
            at,
            "cloud-controller-manager",
            'I',
            "node_controller.go:425",
            &format!("Successfully updated node {node} with addresses in {n}µs"),
        ),
        9 => line(
            at,
            "csi-azuredisk-controller",
            'I',
            "utils.go:105",
            &format!(
                "GRPC call: /csi.v1.Controller/ControllerPublishVolume request {n} for volume pvc-{}",
                scene.random.uuid()
            ),
        ),
        _ => line(
            at,
            "kube-apiserver",
            'I',
            "controller.go:616",
            &format!("quota admission added evaluator for: {namespace}.{app}.contoso.com after {n}µs"),
        ),
    }
}

/// guard answers the API server's question about an Entra user.
pub fn guard_check(
    at: i64,
    request: &str,
    allowed: bool,
    resource: &str,
    verb: &str,
    namespace: &str,
) -> Line {
    let reason = if allowed {
        "Access allowed by Azure RBAC"
    } else {
        "User does not have access to the resource in Azure. Update role assignment to allow access."
    };
    line(
        at,
        "guard",
        'I',
        "azure.go:202",
        &format!(
            "\"Authorization check completed\" requestID=\"{request}\" allowed={allowed} reason=\"{reason}\" resourceAttributes=\"&ResourceAttributes{{Namespace:{namespace},Verb:{verb},Group:,Version:v1,Resource:{resource},Subresource:,Name:,}}\""
        ),
    )
}

/// Everyday lines of guard.
pub fn guard(scene: &mut Scene) -> Line {
    let at = scene.at;
    let left = 11_000 + scene.random.below(900);
    match scene.random.below(4) {
        0 => line(at, "guard", 'I', "authzhandler.go:39", "Recieved subject access review request"),
        1 => {
            line(at, "guard", 'E', "utils.go:130", "failed to verify token for azure: oidc: token is expired")
        }
        _ => line(
            at,
            "guard",
            'I',
            "rbac.go:652",
            &format!(
                "\"CheckAccess request succeeded\" remainingARMCalls={left} durationSeconds=0.{:03}",
                40 + scene.random.below(300)
            ),
        ),
    }
}

/// A slow request of the API server: a header line and the steps under it.
pub fn slow_request(scene: &mut Scene) -> Vec<Line> {
    const CATEGORY: &str = "kube-apiserver";
    let at = scene.at;
    let id = scene.random.below(1 << 31);
    let time = at.rem_euclid(86_400_000_000) / 1000;
    let clock = |ms: i64| {
        format!("{:02}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
    };
    vec![
        line(
            at,
            CATEGORY,
            'I',
            "trace.go:236",
            &format!(
                "Trace[{id}]: \"Update\" accept:application/json, */*,audit-id:{},client:172.31.20.8,protocol:HTTP/2.0,resource:configmaps,scope:resource,url:/api/v1/namespaces/batch/configmaps/settlement-state,verb:PUT ({}) (total time: 612ms):",
                scene.random.uuid(),
                clock(time - 612)
            ),
        ),
        continuation(
            at + 4,
            CATEGORY,
            &format!("Trace[{id}]: ---\"limitedReadBody succeeded\" len:629048 11ms ({})", clock(time - 601)),
        ),
        continuation(
            at + 8,
            CATEGORY,
            &format!("Trace[{id}]: ---\"Txn call completed\" 588ms ({})", clock(time - 13)),
        ),
        continuation(at + 12, CATEGORY, &format!("Trace[{id}]: [612.4018ms] [612.4018ms] END")),
    ]
}

/// A handler that panicked: the header and then the stack, a line a record.
pub fn stack_trace(at: i64) -> Vec<Line> {
    const CATEGORY: &str = "kube-apiserver";
    const STACK: [&str; 8] = [
        "goroutine 8841207 [running]:",
        "k8s.io/apiserver/pkg/server/filters.(*timeoutHandler).ServeHTTP.func1.1()",
        "\tk8s.io/apiserver/pkg/server/filters/timeout.go:110 +0xd6",
        "panic({0x2a1f3c0?, 0xc0138e4a50?})",
        "\truntime/panic.go:785 +0x132",
        "net/http.(*http2serverConn).runHandler(0xc00b1f6d80?, 0x0?, 0x0?, 0x0?)",
        "\tnet/http/h2_bundle.go:6241 +0xbb",
        "created by net/http.(*http2serverConn).scheduleHandler in goroutine 8840919",
    ];
    let first = line(
        at,
        CATEGORY,
        'E',
        "wrap.go:57",
        "apiserver panic'd on GET /api/v1/namespaces/shop/pods?watch=true",
    );
    let rest =
        STACK.iter().enumerate().map(|(n, text)| continuation(at + 2 * (n as i64 + 1), CATEGORY, text));
    std::iter::once(first).chain(rest).collect()
}
