//! Harmless things that look like an attack to a careless rule: AKS reconciling its own bindings,
//! an internal load balancer, refusals of one kind only, a namespace taken down. None may fire.

use serde_json::{Value, json};

use crate::model::body::{self, node_agent, resource_version, stored, workload};
use crate::model::event::{Event, Target};
use crate::model::identity::{ANNA, Actor, BEN, CHIARA};
use crate::model::{Scene, apps};
use crate::tale::{MINUTE, SECOND, Tale, moment};

const RBAC: &str = "rbac.authorization.k8s.io";
const RBAC_V1: &str = "rbac.authorization.k8s.io/v1";

/// Both days have the ones AKS does by itself; the first day has the people's too.
pub fn tell(tale: &mut Tale, day: i64) {
    tale.step("Harmless", "Looks like an attack and is none.");
    reconcile(tale, day);
    nodes(tale, day);
    roll_out(tale, day);
    if tale.cluster.guard {
        refusals(tale, day);
    }
    if day == 1 {
        takedown(tale);
    }
    if day == 1 && tale.cluster.guard {
        people(tale);
    }
}

/// An object that is written as it is: request and response are the same but for the server's part.
fn written(scene: &mut Scene, actor: Actor, verb: &'static str, target: Target, object: Value) -> Event {
    let mut response = object.clone();
    let name = target.name.clone();
    stored(scene, &mut response, &name, "kubectl-client-side-apply");
    Event::new(scene, actor, verb, target).bodies(object, response)
}

fn addon_manager(scene: &mut Scene) -> Actor {
    let agent = scene.cluster.agent("kubectl");
    let mut actor = Actor::aks_service(&agent, scene.random);
    actor.address = "127.0.0.1".into();
    actor
}

fn bind(name: &str, role: &str, subject: Value) -> Value {
    json!({"kind": "ClusterRoleBinding", "apiVersion": RBAC_V1, "metadata": {"name": name},
        "subjects": [subject], "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role}})
}

fn reconcile(tale: &mut Tale, day: i64) {
    tale.tell(moment(day, 2, 14, 5), &[], |s| {
        let object = bind(
            "aks-cluster-admin-binding",
            "cluster-admin",
            json!({"kind": "User", "apiGroup": RBAC, "name": "clusterAdmin"}),
        );
        let target = Target::new(RBAC, "clusterrolebindings", "", "aks-cluster-admin-binding");
        let actor = addon_manager(s);
        written(s, actor, "update", target, object)
    });
    tale.tell(moment(day, 2, 14, 7), &[], |s| {
        let object = json!({"kind": "ClusterRole", "apiVersion": RBAC_V1, "metadata": {"name": "aks-service"},
            "rules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]});
        let actor = addon_manager(s);
        written(s, actor, "update", Target::new(RBAC, "clusterroles", "", "aks-service"), object)
    });
    tale.tell(moment(day, 2, 14, 9), &[], |s| {
        let object = bind(
            "system:discovery",
            "system:discovery",
            json!({"kind": "Group", "apiGroup": RBAC, "name": "system:authenticated"}),
        );
        let mut actor = addon_manager(s);
        (actor.username, actor.address) = ("system:apiserver".into(), "::1".into());
        let target = Target::new(RBAC, "clusterrolebindings", "", "system:discovery");
        written(s, actor, "update", target, object)
    });
    tale.tell(moment(day, 2, 15, 31), &[], |s| {
        let mut pod = node_agent("ama-logs", "any");
        pod.spec.retain(|(key, _)| *key != "affinity");
        let actor = addon_manager(s);
        let target = Target::new("apps", "daemonsets", "kube-system", "ama-logs")
            .query("fieldManager=kubectl-client-side-apply");
        written(s, actor, "create", target, workload("DaemonSet", &pod, None))
    });
    tale.tell(moment(day, 3, 40, 12), &[], |s| {
        let node = s.cluster.node(s.random);
        let name = format!("csr-{}", s.random.suffix(5));
        let object = json!({"kind": "CertificateSigningRequest", "apiVersion": "certificates.k8s.io/v1",
            "metadata": {"name": name}, "spec": {"signerName": "kubernetes.io/kubelet-serving",
                "usages": ["digital signature", "server auth"], "username": format!("system:node:{node}")},
            "status": {"conditions": [{"type": "Approved", "status": "True", "reason": "AutoApproved",
                "message": "Auto approving kubelet serving certificate."}]}});
        let actor = Actor::controller(s.cluster, "certificate-controller", s.random);
        let target =
            Target::new("certificates.k8s.io", "certificatesigningrequests", "", &name).sub("approval");
        written(s, actor, "update", target, object)
    });
}

fn nodes(tale: &mut Tale, day: i64) {
    if day == 1 || tale.cluster.guard {
        // A kubelet reports every image of its node: too long, and cut. No news, no alert.
        tale.tell(moment(day, 4, 22, 48), &[], |s| {
            let node = s.cluster.node(s.random);
            let images: Vec<_> = (0..130)
                .map(|n| json!({"names": [format!("contosoprod.azurecr.io/app-{n}@sha256:{}", s.random.hex(64)),
                    format!("contosoprod.azurecr.io/app-{n}:2026.3.{n}")], "sizeBytes": 41_000_000 + n * 7919}))
                .collect();
            let target = Target::core("nodes", "", &node).sub("status").query("timeout=10s");
            let actor = Actor::node(s.cluster, &node);
            Event::new(s, actor, "patch", target).request(json!({"status": {"images": images}}))
        });
    }
    tale.tell(moment(day, 5, 31, 9), &[], |s| {
        let node = s.cluster.node(s.random);
        let actor = addon_manager(s);
        let target = Target::core("nodes", "", &node).query("fieldManager=kubectl-label");
        let skipped = json!("skipped-too-big-size-object");
        Event::new(s, actor, "patch", target).bodies(skipped.clone(), skipped)
    });
}

/// A developer opens a dashboard: refused again and again, but always the same kind of object.
fn refusals(tale: &mut Tale, day: i64) {
    for (n, namespace) in
        ["flux-system", "cert-manager", "ingress-nginx", "kube-system", "external-secrets", "default"]
            .into_iter()
            .enumerate()
    {
        tale.tell(moment(day, 9, 12, 4) + n as i64 * 3 * SECOND, &[], |s| {
            let target = Target::core("pods", namespace, "").query("limit=500");
            Event::new(s, Actor::person(BEN), "list", target).denied()
        });
    }
    tale.tell(moment(day, 11, 47, 33), &[], |s| {
        let target = Target::core("pods", "", "");
        Event::new(s, Actor::anonymous("20.199.104.9", "Mozilla/5.0 zgrab/0.x"), "list", target).denied()
    });
}

fn roll_out(tale: &mut Tale, day: i64) {
    let (namespace, app) = match tale.cluster.guard {
        true => ("payments", "payments-api"),
        false => ("batch", "settlement"),
    };
    for (hour, minute) in [(9, 41), (13, 22), (15, 57)] {
        let build = (110 + day * 10 + hour / 4).unsigned_abs();
        tale.tell(moment(day, hour, minute, 12), &[], |s| apps::pipeline_rolls_out(s, namespace, app, build));
    }
}

/// A preview namespace goes: its controller and the garbage collector delete a lot, policies too.
fn takedown(tale: &mut Tale) {
    let at = moment(1, 14, 3, 0);
    for (n, (group, resource)) in
        [("networking.k8s.io", "networkpolicies"), ("", "pods"), ("", "secrets")].into_iter().enumerate()
    {
        tale.tell(at + n as i64 * SECOND, &[], |s| {
            let actor = Actor::controller(s.cluster, "namespace-controller", s.random);
            Event::new(s, actor, "deletecollection", Target::new(group, resource, "preview-118", ""))
        });
    }
    let pods = if tale.cluster.admin { 4 } else { 24 };
    for n in 0..pods {
        tale.tell(at + (4 + n) * SECOND, &[], |s| {
            let name = format!("preview-118-{}", s.random.suffix(5));
            let actor = Actor::controller(s.cluster, "generic-garbage-collector", s.random);
            Event::new(s, actor, "delete", Target::core("pods", "preview-118", &name))
        });
    }
}

fn people(tale: &mut Tale) {
    for (n, person) in [ANNA, BEN, CHIARA].into_iter().enumerate() {
        tale.tell(moment(1, 7, 50, 0) + n as i64 * 4 * MINUTE, &[], |s| {
            let target = Target::core("namespaces", "", "").query("limit=500");
            Event::new(s, Actor::person(person), "list", target).at_request()
        });
    }
    tale.tell(moment(1, 10, 5, 20), &[], |s| {
        let annotations = json!({"service.beta.kubernetes.io/azure-load-balancer-internal": "true"});
        let object = body::service("orders", "orders-internal", "LoadBalancer", 443, annotations);
        let target =
            Target::core("services", "orders", "orders-internal").query("fieldManager=kubectl-create");
        written(s, Actor::person(ANNA), "create", target, object)
    });
    tale.tell(moment(1, 10, 31, 2), &[], |s| {
        let object = json!({"kind": "ClusterRole", "apiVersion": RBAC_V1, "metadata": {"name": "metrics-reader"},
            "rules": [{"verbs": ["get"], "nonResourceURLs": ["/metrics", "/metrics/*"]},
                {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "pods/log"]}]});
        let target = Target::new(RBAC, "clusterroles", "", "metrics-reader").query("fieldManager=kubectl-create");
        written(s, Actor::person(ANNA), "create", target, object)
    });
    tale.tell(moment(1, 10, 31, 40), &[], |s| {
        let subject =
            json!({"kind": "Group", "apiGroup": RBAC, "name": "b8417e55-02fd-4c39-a1f6-7d20e95b3c44"});
        let target = Target::new(RBAC, "clusterrolebindings", "", "developers-view")
            .query("fieldManager=kubectl-create");
        written(s, Actor::person(ANNA), "create", target, bind("developers-view", "view", subject))
    });
    for n in 0..3 {
        tale.tell(moment(1, 11, 2, 10) + n * 20 * SECOND, &[], |s| {
            let name = format!("cart-{}-{}", s.random.hex(9), s.random.suffix(5));
            let options =
                json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"});
            Event::new(s, Actor::person(ANNA), "delete", Target::core("pods", "shop", &name)).request(options)
        });
    }
    // An audit of rights: impersonation of an ordinary person.
    tale.tell(moment(1, 15, 20, 8), &[], |s| {
        let target = Target::core("pods", "shop", "").query("limit=500");
        let mut event = Event::new(s, Actor::person(ANNA), "list", target).at_request();
        event.impersonated =
            Some(json!({"username": CHIARA.0, "groups": ["b8417e55-02fd-4c39-a1f6-7d20e95b3c44", "system:authenticated"]}));
        event
    });
    tale.tell(moment(1, 16, 12, 51), &[], |s| {
        let version = resource_version(s);
        let patch = json!({"metadata": {"labels": {"cost-center": "4711"}, "resourceVersion": version}});
        let response = body::namespace(s, "shop", Some("restricted"));
        let target = Target::core("namespaces", "shop", "shop").query("fieldManager=kubectl-label");
        Event::new(s, Actor::person(ANNA), "patch", target).bodies(patch, response)
    });
}
