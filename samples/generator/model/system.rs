//! What AKS itself does all day: leases, node reports, tokens for pods, access reviews, controllers.
//! These identities write most of any audit log, and none of it is an alert.

use serde_json::json;

use super::body::{self, node_agent, resource_version};
use super::event::{Event, Target, seconds};
use super::identity::Actor;
use super::{Habit, Scene};

const fn habit(weight: u32, heavy: u32, write: bool, make: fn(&mut Scene) -> Event) -> Habit {
    Habit { weight, heavy, write, make }
}

pub const HABITS: &[Habit] = &[
    habit(30, 24, true, control_plane_lease),
    habit(14, 12, true, node_lease),
    habit(8, 5, true, node_status),
    habit(7, 4, true, pod_status),
    habit(9, 8, true, pod_token),
    habit(5, 7, true, access_review),
    habit(3, 4, true, token_review),
    habit(4, 5, true, endpoint_slice),
    habit(4, 5, true, event_created),
    habit(2, 5, true, replica_pod),
    habit(1, 4, true, agent_pod),
    habit(1, 1, true, garbage_collected),
    habit(1, 2, true, job_created),
    habit(2, 2, true, gatekeeper_webhook),
    habit(2, 2, false, namespaces_listed),
    habit(3, 2, false, coredns_watch),
    habit(3, 2, false, csi_listed),
    habit(2, 2, false, node_manager),
    habit(2, 2, false, kubelet_secret),
    habit(2, 1, false, autoscaler_metrics),
    habit(2, 2, false, monitoring_listed),
    habit(2, 1, false, probe),
];

/// What follows when many pods are replaced.
pub const AFTERMATH: &[Habit] = &[
    habit(4, 0, true, endpoint_slice),
    habit(4, 0, true, pod_status),
    habit(3, 0, true, event_created),
    habit(2, 0, true, pod_token),
    habit(2, 0, true, node_lease),
    habit(1, 0, true, replica_pod),
];

fn lease(scene: &mut Scene, actor: Actor, namespace: &str, name: &str) -> Event {
    let target = Target::new("coordination.k8s.io", "leases", namespace, name);
    Event::new(scene, actor, "update", target)
}

fn control_plane_lease(scene: &mut Scene) -> Event {
    const HOLDERS: [(&str, &str); 7] = [
        ("kube-controller-manager", "kube-controller-manager"),
        ("kube-scheduler", "kube-scheduler"),
        ("cloud-controller-manager", "cloud-controller-manager"),
        ("cluster-autoscaler", "cluster-autoscaler"),
        ("external-attacher-leader-disk-csi-azure-com", "csi-attacher"),
        ("external-resizer-file-csi-azure-com", "csi-resizer"),
        ("snapshot-controller-leader", "snapshot-controller"),
    ];
    let (name, component) = scene.random.pick(&HOLDERS);
    let agent = format!("{}/leader-election", scene.cluster.agent(component));
    let actor = Actor::aks_service(&agent, scene.random);
    lease(scene, actor, "kube-system", name)
}

fn node_lease(scene: &mut Scene) -> Event {
    let node = scene.cluster.node(scene.random);
    lease(scene, Actor::node(scene.cluster, &node), "kube-node-lease", &node)
}

fn node_status(scene: &mut Scene) -> Event {
    let node = scene.cluster.node(scene.random);
    let at = seconds(scene.at);
    let conditions: Vec<_> = ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"]
        .iter()
        .map(|kind| json!({"lastHeartbeatTime": at, "type": kind}))
        .collect();
    let patch = json!({"status": {"$setElementOrder/conditions": [{"type": "MemoryPressure"},
        {"type": "DiskPressure"}, {"type": "PIDPressure"}, {"type": "Ready"}], "conditions": conditions}});
    let target = Target::core("nodes", "", &node).sub("status").query("timeout=10s");
    Event::new(scene, Actor::node(scene.cluster, &node), "patch", target).request(patch)
}

fn pod_status(scene: &mut Scene) -> Event {
    let node = scene.cluster.node(scene.random);
    let (namespace, app) = scene.random.pick(&super::apps::APPS);
    let name = format!("{app}-{}-{}", scene.random.hex(9), scene.random.suffix(5));
    let at = seconds(scene.at);
    let patch = json!({"metadata": {"uid": scene.random.uuid()}, "status": {"conditions": [
        {"lastProbeTime": null, "lastTransitionTime": at, "status": "True", "type": "Ready"}],
        "containerStatuses": [{"containerID": format!("containerd://{}", scene.random.hex(64)),
            "name": app, "ready": true, "restartCount": 0, "started": true, "state": {"running": {"startedAt": at}}}],
        "phase": "Running", "podIP": format!("10.244.{}.{}", scene.random.below(4), 2 + scene.random.below(250))}});
    let target = Target::core("pods", namespace, &name).sub("status");
    Event::new(scene, Actor::node(scene.cluster, &node), "patch", target).request(patch)
}

/// A kubelet gets the token it projects into a pod: by far the most frequent TokenRequest.
fn pod_token(scene: &mut Scene) -> Event {
    let node = scene.cluster.node(scene.random);
    let (namespace, account) = scene.random.pick(&super::apps::APPS);
    let target = Target::core("serviceaccounts", namespace, account).sub("token");
    Event::new(scene, Actor::node(scene.cluster, &node), "create", target)
}

fn access_review(scene: &mut Scene) -> Event {
    let node = scene.cluster.node(scene.random);
    let pod = format!("ama-logs-{}", scene.random.suffix(5));
    let spec = json!({"resourceAttributes": {"verb": "get", "version": "v1", "resource": "nodes",
            "subresource": "proxy", "name": node},
        "user": "system:serviceaccount:kube-system:ama-logs",
        "groups": ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"],
        "extra": {"authentication.kubernetes.io/node-name": [node], "authentication.kubernetes.io/pod-name": [pod]}});
    let review = |allowed: serde_json::Value| {
        json!({"kind": "SubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
            "metadata": {"creationTimestamp": null}, "spec": spec, "status": allowed})
    };
    let request = review(json!({"allowed": false}));
    let response = review(json!({"allowed": true,
        "reason": "RBAC: allowed by ClusterRoleBinding \"ama-logs\" of ClusterRole \"ama-logs-reader\" to ServiceAccount \"ama-logs/kube-system\""}));
    let target = Target::new("authorization.k8s.io", "subjectaccessreviews", "", "");
    Event::new(scene, Actor::node(scene.cluster, &node), "create", target).bodies(request, response)
}

fn token_review(scene: &mut Scene) -> Event {
    let target = Target::new("authentication.k8s.io", "tokenreviews", "", "");
    let agent = "proxy-server/v0.0.0 (linux/amd64) kubernetes/$Format";
    let actor = match scene.random.below(2) {
        0 => Actor::aks_service(agent, scene.random),
        _ => {
            let agent = "metrics-server/v0.8.0 (linux/amd64) kubernetes/$Format";
            Actor::service_account(scene.cluster, "kube-system", "metrics-server", "metrics-server", agent)
        }
    };
    Event::new(scene, actor, "create", target)
}

fn endpoint_slice(scene: &mut Scene) -> Event {
    let (namespace, app) = scene.random.pick(&super::apps::APPS);
    let name = format!("{app}-{}", scene.random.suffix(5));
    let actor = Actor::controller(scene.cluster, "endpointslice-controller", scene.random);
    let target = Target::new("discovery.k8s.io", "endpointslices", namespace, &name);
    Event::new(scene, actor, "update", target)
}

fn event_created(scene: &mut Scene) -> Event {
    let node = scene.cluster.node(scene.random);
    let (namespace, app) = scene.random.pick(&super::apps::APPS);
    let name = format!("{app}-{}.{}", scene.random.suffix(5), scene.random.hex(16));
    Event::new(scene, Actor::node(scene.cluster, &node), "create", Target::core("events", namespace, &name))
}

fn replica_pod(scene: &mut Scene) -> Event {
    let (namespace, app) = scene.random.pick(&super::apps::APPS);
    let set = scene.random.hex(9);
    let build = 100 + scene.random.below(40);
    let (request, response) = body::app_pod(namespace, app, build, &set).bodies(scene);
    let actor = Actor::controller(scene.cluster, "replicaset-controller", scene.random);
    Event::new(scene, actor, "create", Target::core("pods", namespace, ""))
        .bodies(request, response)
        .annotate("pod-security.kubernetes.io/enforce-policy", "restricted:latest")
        .annotate(
            "mutation.webhook.admission.k8s.io/round_0_index_1",
            "{\"configuration\":\"azure-wi-webhook-mutating-webhook-configuration\",\"webhook\":\"mutation.azure-workload-identity.io\",\"mutated\":false}",
        )
}

/// A privileged pod on host paths that is nobody's attack: AKS replaces one of its node agents.
fn agent_pod(scene: &mut Scene) -> Event {
    let node = scene.cluster.node(scene.random);
    let (request, response) = node_agent("csi-azuredisk-node", &node).bodies(scene);
    let actor = Actor::controller(scene.cluster, "daemon-set-controller", scene.random);
    Event::new(scene, actor, "create", Target::core("pods", "kube-system", "")).bodies(request, response)
}

fn garbage_collected(scene: &mut Scene) -> Event {
    let (namespace, app) = scene.random.pick(&super::apps::APPS);
    let name = format!("{app}-{}", scene.random.hex(9));
    let options = json!({"kind": "DeleteOptions", "apiVersion": "apps/v1",
        "preconditions": {"uid": scene.random.uuid()}, "propagationPolicy": "Background"});
    let actor = Actor::controller(scene.cluster, "generic-garbage-collector", scene.random);
    Event::new(scene, actor, "delete", Target::new("apps", "replicasets", namespace, &name)).request(options)
}

fn job_created(scene: &mut Scene) -> Event {
    let name = format!("settlement-{}", scene.at / 60_000_000);
    let mut pod = body::app_pod("batch", "settlement", 12, "");
    pod.name = name.clone();
    let mut request = body::workload("Job", &pod, None);
    request["apiVersion"] = json!("batch/v1");
    let mut response = request.clone();
    body::stored(scene, &mut response, &name, "kube-controller-manager");
    let actor = Actor::controller(scene.cluster, "cronjob-controller", scene.random);
    Event::new(scene, actor, "create", Target::new("batch", "jobs", "batch", &name)).bodies(request, response)
}

/// Azure Policy's gatekeeper renews the certificate in its own webhook.
fn gatekeeper_webhook(scene: &mut Scene) -> Event {
    let name = "gatekeeper-validating-webhook-configuration";
    let agent = "gatekeeper/v3.18.2 (linux/amd64) kubernetes/$Format";
    let actor = Actor::service_account(
        scene.cluster,
        "gatekeeper-system",
        "gatekeeper-admin",
        "gatekeeper-controller",
        agent,
    );
    let version = resource_version(scene);
    let body = json!({"kind": "ValidatingWebhookConfiguration", "apiVersion": "admissionregistration.k8s.io/v1",
        "metadata": {"name": name, "uid": scene.random.uuid(), "resourceVersion": version},
        "webhooks": [{"name": "validation.gatekeeper.sh", "failurePolicy": "Ignore", "timeoutSeconds": 3,
            "clientConfig": {"caBundle": scene.random.hex(160), "service": {"namespace": "gatekeeper-system",
                "name": "gatekeeper-webhook-service", "path": "/v1/admit", "port": 443}},
            "rules": [{"operations": ["CREATE", "UPDATE"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}]}]});
    let target = Target::new("admissionregistration.k8s.io", "validatingwebhookconfigurations", "", name);
    Event::new(scene, actor, "update", target).bodies(body.clone(), body)
}

fn namespaces_listed(scene: &mut Scene) -> Event {
    let agent = scene.cluster.agent("kube-controller-manager");
    let actor = Actor::aks_service(&agent, scene.random);
    Event::new(scene, actor, "list", Target::core("namespaces", "", "").query("limit=500")).at_request()
}

fn coredns_watch(scene: &mut Scene) -> Event {
    let version = resource_version(scene);
    let agent = "coredns/v0.0.0 (linux/amd64) kubernetes/$Format";
    let actor = Actor::service_account(scene.cluster, "kube-system", "coredns", "coredns", agent);
    let query = format!(
        "allowWatchBookmarks=true&resourceVersion={version}&timeout=8m{}s&watch=true",
        scene.random.below(60)
    );
    let target = Target::new("discovery.k8s.io", "endpointslices", "", "").query(&query);
    let event = Event::new(scene, actor, "watch", target);
    if scene.random.below(2) == 0 { event.started(200) } else { event }
}

fn csi_listed(scene: &mut Scene) -> Event {
    let agent = "azuredisk-csi/v0.0.0 (linux/amd64) kubernetes/$Format";
    let actor = Actor::service_account(
        scene.cluster,
        "kube-system",
        "csi-azuredisk-node-sa",
        "csi-azuredisk-node",
        agent,
    );
    let target = Target::new("storage.k8s.io", "csinodes", "", "").query("limit=500&resourceVersion=0");
    Event::new(scene, actor, "list", target)
}

fn node_manager(scene: &mut Scene) -> Event {
    let node = scene.cluster.node(scene.random);
    let agent = "cloud-node-manager/v0.0.0 (linux/amd64) kubernetes/$Format";
    let actor = Actor::service_account(
        scene.cluster,
        "kube-system",
        "cloud-node-manager",
        "cloud-node-manager",
        agent,
    );
    Event::new(scene, actor, "get", Target::core("nodes", "", &node)).at_request()
}

/// A kubelet watches the secrets its pods mount, one by one.
fn kubelet_secret(scene: &mut Scene) -> Event {
    let node = scene.cluster.node(scene.random);
    let (namespace, app) = scene.random.pick(&super::apps::APPS);
    let version = resource_version(scene);
    let query = format!(
        "allowWatchBookmarks=true&fieldSelector=metadata.name%3D{app}-db&resourceVersion={version}&watch=true"
    );
    let target = Target::core("secrets", namespace, &format!("{app}-db")).query(&query);
    Event::new(scene, Actor::node(scene.cluster, &node), "watch", target).started(200)
}

fn autoscaler_metrics(scene: &mut Scene) -> Event {
    let (namespace, app) = scene.random.pick(&super::apps::APPS);
    let actor = Actor::controller(scene.cluster, "horizontal-pod-autoscaler", scene.random);
    let query = format!("labelSelector=app.kubernetes.io%2Fname%3D{app}");
    let target = Target::new("metrics.k8s.io", "pods", namespace, "").query(&query);
    Event::new(scene, actor, "list", target)
}

fn monitoring_listed(scene: &mut Scene) -> Event {
    let agent = "telegraf/v0.0.0 (linux/amd64) kubernetes/$Format";
    let actor = Actor::service_account(scene.cluster, "kube-system", "ama-logs", "ama-logs-rs", agent);
    Event::new(scene, actor, "list", Target::core("pods", "", "").query("limit=1000")).at_request()
}

/// The load balancer asks whether the API server lives; it has no identity.
fn probe(scene: &mut Scene) -> Event {
    let path = scene.random.pick(&["/livez", "/readyz", "/healthz"]);
    let mut actor = Actor::anonymous("168.63.129.16", "kube-probe/1.33");
    actor.reason = "RBAC: allowed by ClusterRoleBinding \"system:public-info-viewer\" of ClusterRole \"system:public-info-viewer\" to Group \"system:unauthenticated\"".into();
    Event::new(scene, actor, "get", Target::path(path))
}
