//! The break-in, second half: onto the nodes, staying there, taking the guards away, and the cleanup.

use serde_json::{Value, json};

use crate::intrusion::{INTRUDER_TOO, KUBECTL, admin, backdoor, created};
use crate::model::body::{self, Pod, stored, workload};
use crate::model::event::{Event, Target};
use crate::model::identity::{Actor, DEVELOPER_GROUP};
use crate::model::{Scene, apps};
use crate::tale::{MINUTE, SECOND, Tale, moment};

pub fn tell(tale: &mut Tale) {
    escape(tale);
    debug(tale);
    stay(tale);
    disarm(tale);
    expose(tale);
    pad(tale);
    newcomer(tale);
    destroy(tale);
    fall_silent(tale);
}

/// A container with everything switched on.
fn rooted(name: &str) -> Value {
    json!({"name": name, "image": "docker.io/library/alpine:3.20",
        "command": ["/bin/sh", "-c", "sleep 86400"], "resources": {},
        "volumeMounts": [{"name": "host", "mountPath": "/host"}], "stdin": true, "tty": true,
        "imagePullPolicy": "IfNotPresent",
        "securityContext": {"privileged": true, "capabilities": {"add": ["SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE"]}}})
}

fn node_pod(name: &str) -> Pod {
    Pod {
        namespace: "kube-system".into(),
        name: name.into(),
        app: "node-health".into(),
        containers: vec![rooted("check")],
        volumes: vec![json!({"name": "host", "hostPath": {"path": "/", "type": ""}})],
        spec: vec![
            ("hostPID", json!(true)),
            ("hostIPC", json!(true)),
            ("hostNetwork", json!(true)),
            ("tolerations", json!([{"operator": "Exists"}])),
        ],
        ..Pod::default()
    }
}

/// Rules that look into a pod specification like [`node_pod`]'s.
const ROOTED: [&str; 6] = [
    "pod-privileged",
    "pod-sensitive-hostpath",
    "pod-hostnetwork",
    "pod-hostpid",
    "pod-hostipc",
    "pod-dangerous-capabilities",
];

fn with<'a>(rules: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [rules, more].concat()
}

/// exec over WebSocket, as kubectl has done it since 1.31: a `get` that is switched over.
fn exec(scene: &mut Scene, actor: Actor, namespace: &str, pod: &str, query: &str) -> Event {
    let target = Target::core("pods", namespace, pod).sub("exec").query(query);
    Event::new(scene, actor, "get", target).at_request().started(101)
}

fn escape(tale: &mut Tale) {
    tale.step(
        "Onto the node",
        "With the new service account: a pod in `kube-system` that is privileged, shares every namespace of the node and has its whole disk mounted; then a shell in it, and through it on the node. The shell's own event has verb `get` and is in kube-audit only.",
    );
    let cluster = tale.cluster;
    let pod = "node-health-7x2kd";
    tale.tell(moment(2, 19, 44, 3), &with(&ROOTED, &["pod-in-system-namespace"]), |s| {
        let (request, response) = node_pod(pod).bodies(s);
        let target = Target::core("pods", "kube-system", pod).query("fieldManager=kubectl-create");
        Event::new(s, backdoor(cluster), "create", target).bodies(request, response)
    });
    let rules = ["pod-exec", "exec-shell-or-tool"];
    let shell = "command=nsenter&command=-t&command=1&command=-m&command=-u&command=-n&command=--&command=%2Fbin%2Fbash&container=check&stdin=true&stdout=true&tty=true";
    tale.tell(moment(2, 19, 47, 15), &rules, |s| exec(s, backdoor(cluster), "kube-system", pod, shell));
    // The same request once more when the session ends, with another stage.
    let opened = tale.steps.last().and_then(|s| s.deeds.last()).map(|d| d.event.clone());
    if let Some(opened) = opened {
        tale.tell(moment(2, 19, 54, 51), &rules, |s| Event {
            stage: "ResponseComplete",
            took: s.at - opened.at + opened.took,
            at: s.at,
            ..opened
        });
    }
    let read = "command=cat&command=%2Fhost%2Fetc%2Fkubernetes%2Fazure.json&container=check&stdout=true";
    tale.tell(moment(2, 19, 52, 40), &["pod-exec"], |s| exec(s, backdoor(cluster), "kube-system", pod, read));
}

fn debug(tale: &mut Tale) {
    tale.step(
        "Into the payments pods",
        "A debugging container is put into a running pod of `payments`, a shell opened in it, and the database reached by a port-forward.",
    );
    let pod = "payments-api-6c9d7b5f48-hx7vq";
    tale.tell(moment(2, 19, 55, 8), &["pod-ephemeral-container", "local-admin-account-used"], |s| {
        let extra = json!({"name": "debugger-q9w2z", "image": "docker.io/nicolaka/netshoot:v0.13", "resources": {},
            "stdin": true, "tty": true, "targetContainerName": "payments-api", "terminationMessagePolicy": "File",
            "imagePullPolicy": "IfNotPresent"});
        let mut shape = body::app_pod("payments", "payments-api", 131, "6c9d7b5f48");
        (shape.name, shape.owner) = (pod.into(), None);
        let (_, mut response) = shape.bodies(s);
        response["spec"]["ephemeralContainers"] = json!([extra]);
        let target = Target::core("pods", "payments", pod).sub("ephemeralcontainers");
        let patch = json!({"spec": {"ephemeralContainers": [extra]}});
        Event::new(s, admin(), "patch", target).bodies(patch, response)
    });
    let shell = "command=sh&container=debugger-q9w2z&stdin=true&stdout=true&tty=true";
    let rules = ["pod-exec", "exec-shell-or-tool", "local-admin-account-used"];
    tale.tell(moment(2, 19, 55, 42), &rules, |s| exec(s, admin(), "payments", pod, shell));
    tale.tell(moment(2, 19, 58, 20), &["pod-portforward", "local-admin-account-used"], |s| {
        let target = Target::core("pods", "payments", "ledger-db-0").sub("portforward").query("ports=5432");
        Event::new(s, admin(), "get", target).at_request().started(101)
    });
}

fn stay(tale: &mut Tale) {
    tale.step(
        "Every node, and every new one",
        "The same pod as a DaemonSet. The pods it leads to are made by AKS's own daemon-set-controller; they are judged at the DaemonSet, not once more at each pod.",
    );
    let cluster = tale.cluster;
    let shape = node_pod("node-health");
    let rules = with(&ROOTED, &["daemonset-created", "pod-in-system-namespace"]);
    tale.tell(moment(2, 20, 4, 11), &rules, |s| {
        let target = Target::new("apps", "daemonsets", "kube-system", "node-health")
            .query("fieldManager=kubectl-create");
        created(s, backdoor(cluster), target, workload("DaemonSet", &shape, None))
    });
    for n in 0..2 {
        tale.tell(moment(2, 20, 4, 12 + n), &[], |s| {
            let mut pod = node_pod("node-health");
            pod.owner = Some(("DaemonSet", "node-health".into()));
            let (request, response) = pod.bodies(s);
            let actor = Actor::controller(s.cluster, "daemon-set-controller", s.random);
            Event::new(s, actor, "create", Target::core("pods", "kube-system", "")).bodies(request, response)
        });
    }
}

fn disarm(tale: &mut Tale) {
    tale.step(
        "Taking the guards away",
        "The Pod Security label of `payments` (which Flux had set again shortly before), Azure Policy's admission webhook, and the network policy that kept other namespaces out. Flux puts the label back a quarter of an hour later.",
    );
    let local = "local-admin-account-used";
    tale.tell(moment(2, 20, 3, 30), &["psa-label-removed"], |s| apps::flux_applies_namespace(s, "payments"));
    tale.tell(moment(2, 20, 12, 9), &["psa-label-removed", local], |s| {
        let response = body::namespace(s, "payments", None);
        let target = Target::core("namespaces", "payments", "payments").query("fieldManager=kubectl-label");
        let patch = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": null}}});
        Event::new(s, admin(), "patch", target).bodies(patch, response)
    });
    let gone = |s: &mut Scene, group: &'static str, resource: &'static str, namespace: &str, name: &str| {
        let answer = body::deleted(s, resource, name);
        let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"});
        Event::new(s, admin(), "delete", Target::new(group, resource, namespace, name))
            .bodies(options, answer)
    };
    tale.tell(moment(2, 20, 14, 22), &["webhook-config-changed", local], |s| {
        let name = "gatekeeper-validating-webhook-configuration";
        gone(s, "admissionregistration.k8s.io", "validatingwebhookconfigurations", "", name)
    });
    tale.tell(moment(2, 20, 16, 5), &["netpol-deleted", local], |s| {
        gone(s, "networking.k8s.io", "networkpolicies", "payments", "default-deny-ingress")
    });
    tale.tell(moment(2, 20, 27, 44), &[], |s| apps::flux_applies_namespace(s, "payments"));
}

fn expose(tale: &mut Tale) {
    tale.step(
        "A way in from outside",
        "A load balancer with a public address in front of the database, and a port on every node.",
    );
    let local = "local-admin-account-used";
    tale.tell(moment(2, 20, 22, 6), &["svc-public-loadbalancer", local], |s| {
        let target =
            Target::core("services", "payments", "ledger-relay").query("fieldManager=kubectl-expose");
        let request = body::service("payments", "ledger-relay", "LoadBalancer", 5432, json!({}));
        created(s, admin(), target, request)
    });
    tale.tell(moment(2, 20, 22, 52), &[], |s| {
        let patch =
            json!({"status": {"loadBalancer": {"ingress": [{"ip": "20.31.88.140", "ipMode": "VIP"}]}}});
        let mut response = body::service("payments", "ledger-relay", "LoadBalancer", 5432, json!({}));
        stored(s, &mut response, "ledger-relay", "cloud-controller-manager");
        response["status"] = patch["status"].clone();
        let mut actor = Actor::aks_service(&s.cluster.agent("cloud-controller-manager"), s.random);
        actor.username = "cloud-controller-manager".into();
        let target = Target::core("services", "payments", "ledger-relay").sub("status");
        Event::new(s, actor, "patch", target).bodies(patch, response)
    });
    tale.tell(moment(2, 20, 24, 31), &["svc-nodeport", local], |s| {
        let target =
            Target::core("services", "monitoring", "node-health").query("fieldManager=kubectl-expose");
        let request = body::service("monitoring", "node-health", "NodePort", 4444, json!({}));
        created(s, admin(), target, request)
    });
}

fn pad(tale: &mut Tale) {
    tale.step(
        "A record made too long",
        "A pod with 20 KB of annotations, so that its record is cut after 16 KiB: the specification behind them, the times and the verdict never arrive. Who, what and where do.",
    );
    let rules = ["audit-record-truncated", "local-admin-account-used"];
    tale.tell(moment(2, 20, 31, 17), &rules, |s| {
        let mut pod = node_pod("cache-warmer");
        pod.namespace = "payments".into();
        let padding = "bWV0cmljcy1jYWNoZS13YXJtZXItc3RhdGU6".repeat(570);
        pod.annotations.push(("cache.contoso.com/state", padding));
        let (request, response) = pod.bodies(s);
        let target = Target::core("pods", "payments", "cache-warmer").query("fieldManager=kubectl-create");
        Event::new(s, admin(), "create", target).bodies(request, response)
    });
}

fn newcomer(tale: &mut Tale) {
    tale.step(
        "A colleague nobody has seen here",
        "A phished guest account of the directory signs in from the intruder's second address. It has the developers' rights and has never been on this cluster.",
    );
    let guest = || Actor {
        username: "j.meyer_fabrikam.example#EXT#@contoso.com".into(),
        uid: None,
        groups: vec![DEVELOPER_GROUP.into(), "system:authenticated".into()],
        extra: vec![("oid", "e9b3d1f4-71c8-4a06-bd2e-8f40a95c7712".into())],
        address: INTRUDER_TOO.into(),
        agent: KUBECTL.into(),
        reason: "Access allowed by Azure RBAC".into(),
    };
    for (second, resource, namespace) in
        [(4, "namespaces", ""), (29, "pods", "payments"), (58, "services", "payments")]
    {
        tale.tell(moment(2, 20, 45, second), &["entra-user-first-seen"], |s| {
            let target = Target::core(resource, namespace, "").query("limit=500");
            Event::new(s, guest(), "list", target).at_request()
        });
    }
}

fn destroy(tale: &mut Tale) {
    tale.step(
        "Covering it with noise",
        "Twenty-six pods are deleted in three minutes, among them the ones that were used; the events of the namespace follow.",
    );
    let local = "local-admin-account-used";
    let start = moment(2, 21, 2, 0);
    for n in 0..26 {
        tale.tell(start + n * 7 * SECOND, &["pods-mass-deleted", local], |s| {
            let (namespace, app) = apps::APPS[n as usize % apps::APPS.len()];
            let name = match n {
                25 => "node-health-7x2kd".into(),
                _ => format!("{app}-{}-{}", s.random.hex(9), s.random.suffix(5)),
            };
            let namespace = if n == 25 { "kube-system" } else { namespace };
            let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0, "propagationPolicy": "Background"});
            Event::new(s, admin(), "delete", Target::core("pods", namespace, &name)).request(options)
        });
    }
    tale.tell(start + 5 * MINUTE, &[local], |s| {
        Event::new(s, admin(), "deletecollection", Target::core("events", "payments", ""))
    });
}

fn fall_silent(tale: &mut Tale) {
    tale.step(
        "Silence",
        "At 21:47 the cluster's diagnostic setting is removed in Azure, with the credentials from `azure.json`. That request is not in the cluster's logs; that there are none any more is all that can be seen, while the other two clusters go on to midnight: `cluster-silent` after its interval.",
    );
}
