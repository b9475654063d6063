//! What Contoso runs on its clusters and what its people and pipeline do with them on a normal day.
//! Also the harmless things that look like an attack to a careless rule.

use serde_json::json;

use super::body::{self, resource_version};
use super::event::{Event, Target};
use super::identity::{ANNA, Actor, BEN, CHIARA};
use super::{Habit, Scene};

/// Applications by namespace; each has a deployment, a service account and a `<app>-db` secret.
pub const APPS: [(&str, &str); 8] = [
    ("payments", "payments-api"),
    ("payments", "ledger"),
    ("shop", "web-frontend"),
    ("shop", "cart"),
    ("shop", "catalog"),
    ("orders", "orders-api"),
    ("batch", "settlement"),
    ("monitoring", "grafana"),
];

const fn habit(weight: u32, heavy: u32, write: bool, make: fn(&mut Scene) -> Event) -> Habit {
    Habit { weight, heavy, write, make }
}

pub const HABITS: &[Habit] = &[
    habit(4, 5, true, flux_deployment),
    habit(0, 2, true, flux_stack),
    habit(3, 5, true, flux_config_map),
    habit(1, 1, true, flux_namespace),
    habit(2, 1, true, cert_manager_lease),
    habit(1, 1, true, cert_manager_secret),
    habit(1, 2, true, injector_webhook),
    habit(2, 2, true, ingress_lease),
    habit(2, 1, false, ingress_secrets),
    habit(1, 1, false, external_secret),
    habit(2, 2, false, flux_source),
];

/// What people do, by day only: see the scenario.
pub const PEOPLE: &[Habit] = &[
    habit(5, 0, false, human_lists_pods),
    habit(3, 0, false, human_reads_logs),
    habit(2, 0, false, human_gets_deployment),
    habit(2, 0, false, human_lists_events),
    habit(1, 0, false, human_can_i),
];

fn flux(scene: &Scene) -> Actor {
    let agent = "kustomize-controller/v0.0.0 (linux/amd64) kubernetes/$Format";
    Actor::service_account(
        scene.cluster,
        "flux-system",
        "kustomize-controller",
        "kustomize-controller",
        agent,
    )
}

/// Flux compares by a dry run and applies what differs; both are patches, most change nothing.
fn flux_query(scene: &mut Scene) -> &'static str {
    match scene.random.below(3) {
        0 => "fieldManager=kustomize-controller&force=true",
        _ => "dryRun=All&fieldManager=kustomize-controller&force=true",
    }
}

fn flux_deployment(scene: &mut Scene) -> Event {
    let (namespace, app) = scene.random.pick(&APPS);
    let build = 100 + scene.random.below(40);
    let response = body::deployment(scene, namespace, app, build);
    let mut pod = body::app_pod(namespace, app, build, "");
    pod.name = app.into();
    let request = body::workload("Deployment", &pod, Some(3));
    let query = flux_query(scene);
    let target = Target::new("apps", "deployments", namespace, app).query(query);
    Event::new(scene, flux(scene), "patch", target).bodies(request, response)
}

/// A workload of several containers and long settings, as monitoring stacks are.
fn flux_stack(scene: &mut Scene) -> Event {
    let mut pod = body::app_pod("monitoring", "prometheus", 3, "");
    pod.name = "prometheus".into();
    pod.containers = ["prometheus", "config-reloader", "thanos-sidecar", "oauth-proxy"]
        .into_iter()
        .map(|name| {
            let mut container = body::container(name, &body::image(name, 3));
            let flags = (0..12).map(|n| format!("--{name}.setting-{n}=/etc/{name}/config-{n}.yaml"));
            container["args"] = flags.collect();
            container
        })
        .collect();
    let request = body::workload("StatefulSet", &pod, Some(2));
    let mut response = request.clone();
    body::stored(scene, &mut response, "prometheus", "kustomize-controller");
    let query = flux_query(scene);
    let target = Target::new("apps", "statefulsets", "monitoring", "prometheus").query(query);
    Event::new(scene, flux(scene), "patch", target).bodies(request, response)
}

fn flux_config_map(scene: &mut Scene) -> Event {
    let (namespace, app) = scene.random.pick(&APPS);
    let target = Target::core("configmaps", namespace, &format!("{app}-settings"))
        .query("fieldManager=kustomize-controller&force=true");
    Event::new(scene, flux(scene), "patch", target)
}

fn flux_namespace(scene: &mut Scene) -> Event {
    let (namespace, _) = scene.random.pick(&APPS);
    flux_applies_namespace(scene, namespace)
}

/// Flux keeps a namespace with its Pod Security label.
pub fn flux_applies_namespace(scene: &mut Scene, namespace: &str) -> Event {
    let response = body::namespace(scene, namespace, Some("restricted"));
    let request = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace,
        "labels": {"pod-security.kubernetes.io/enforce": "restricted", "team": namespace}}});
    let target = Target::core("namespaces", namespace, namespace)
        .query("fieldManager=kustomize-controller&force=true");
    Event::new(scene, flux(scene), "patch", target).bodies(request, response)
}

fn flux_source(scene: &mut Scene) -> Event {
    let agent = "source-controller/v0.0.0 (linux/amd64) kubernetes/$Format";
    let actor =
        Actor::service_account(scene.cluster, "flux-system", "source-controller", "source-controller", agent);
    let target = Target::new("source.toolkit.fluxcd.io", "gitrepositories", "flux-system", "platform");
    Event::new(scene, actor, "get", target)
}

fn cert_manager(scene: &Scene) -> Actor {
    let agent = "cert-manager-certificates-issuing/v1.17.1 (linux/amd64) cert-manager/4b2c7b4";
    Actor::service_account(scene.cluster, "cert-manager", "cert-manager", "cert-manager", agent)
}

fn cert_manager_lease(scene: &mut Scene) -> Event {
    let target = Target::new("coordination.k8s.io", "leases", "kube-system", "cert-manager-controller");
    Event::new(scene, cert_manager(scene), "update", target)
}

fn cert_manager_secret(scene: &mut Scene) -> Event {
    let target = Target::core("secrets", "ingress-nginx", "www-contoso-com-tls")
        .query("fieldManager=cert-manager-certificates-issuing&force=true");
    Event::new(scene, cert_manager(scene), "patch", target)
}

fn injector_webhook(scene: &mut Scene) -> Event {
    let agent = "cert-manager-cainjector/v1.17.1 (linux/amd64) cert-manager/4b2c7b4";
    let actor = Actor::service_account(
        scene.cluster,
        "cert-manager",
        "cert-manager-cainjector",
        "cert-manager-cainjector",
        agent,
    );
    let bundle = scene.random.hex(160);
    let request =
        json!({"webhooks": [{"name": "webhook.cert-manager.io", "clientConfig": {"caBundle": bundle}}]});
    let version = resource_version(scene);
    let response = json!({"kind": "ValidatingWebhookConfiguration", "apiVersion": "admissionregistration.k8s.io/v1",
        "metadata": {"name": "cert-manager-webhook", "uid": scene.random.uuid(), "resourceVersion": version},
        "webhooks": [{"name": "webhook.cert-manager.io", "failurePolicy": "Fail",
            "clientConfig": {"caBundle": bundle, "service": {"namespace": "cert-manager", "name": "cert-manager-webhook", "path": "/validate", "port": 443}},
            "rules": [{"operations": ["CREATE", "UPDATE"], "apiGroups": ["cert-manager.io"], "apiVersions": ["v1"], "resources": ["*/*"]}]}]});
    let target = Target::new(
        "admissionregistration.k8s.io",
        "validatingwebhookconfigurations",
        "",
        "cert-manager-webhook",
    );
    Event::new(scene, actor, "patch", target).bodies(request, response)
}

fn ingress(scene: &Scene) -> Actor {
    let agent = "nginx-ingress-controller/v1.12.1 (linux/amd64) ingress-nginx/51c2b81";
    Actor::service_account(scene.cluster, "ingress-nginx", "ingress-nginx", "ingress-nginx-controller", agent)
}

fn ingress_lease(scene: &mut Scene) -> Event {
    let target = Target::new("coordination.k8s.io", "leases", "ingress-nginx", "ingress-nginx-leader");
    Event::new(scene, ingress(scene), "update", target)
}

/// An ingress controller watches every secret of the cluster, because any may hold a certificate.
fn ingress_secrets(scene: &mut Scene) -> Event {
    let version = resource_version(scene);
    let query = format!(
        "allowWatchBookmarks=true&fieldSelector=type%21%3Dhelm.sh%2Frelease.v1&resourceVersion={version}&watch=true"
    );
    let target = Target::core("secrets", "", "").query(&query);
    Event::new(scene, ingress(scene), "watch", target).started(200)
}

fn external_secret(scene: &mut Scene) -> Event {
    let (namespace, app) = scene.random.pick(&APPS);
    let agent = "external-secrets/v0.0.0 (linux/amd64) kubernetes/$Format";
    let actor = Actor::service_account(
        scene.cluster,
        "external-secrets",
        "external-secrets",
        "external-secrets",
        agent,
    );
    Event::new(scene, actor, "get", Target::core("secrets", namespace, &format!("{app}-db")))
}

fn someone(scene: &mut Scene) -> Actor {
    Actor::person(scene.random.pick(&[ANNA, ANNA, BEN, CHIARA]))
}

fn human_lists_pods(scene: &mut Scene) -> Event {
    let actor = someone(scene);
    let (namespace, _) = scene.random.pick(&APPS);
    Event::new(scene, actor, "list", Target::core("pods", namespace, "").query("limit=500")).at_request()
}

fn human_reads_logs(scene: &mut Scene) -> Event {
    let actor = someone(scene);
    let (namespace, app) = scene.random.pick(&APPS);
    let name = format!("{app}-{}-{}", scene.random.hex(9), scene.random.suffix(5));
    let query = format!("container={app}&tailLines=200");
    Event::new(scene, actor, "get", Target::core("pods", namespace, &name).sub("log").query(&query))
        .at_request()
}

fn human_gets_deployment(scene: &mut Scene) -> Event {
    let actor = someone(scene);
    let (namespace, app) = scene.random.pick(&APPS);
    Event::new(scene, actor, "get", Target::new("apps", "deployments", namespace, app)).at_request()
}

fn human_lists_events(scene: &mut Scene) -> Event {
    let actor = someone(scene);
    let (namespace, _) = scene.random.pick(&APPS);
    Event::new(scene, actor, "list", Target::core("events", namespace, "").query("limit=500"))
}

fn human_can_i(scene: &mut Scene) -> Event {
    let actor = someone(scene);
    let (namespace, _) = scene.random.pick(&APPS);
    let review = |status: serde_json::Value| {
        json!({"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
            "metadata": {"creationTimestamp": null},
            "spec": {"resourceAttributes": {"namespace": namespace, "verb": "get", "resource": "pods"}}, "status": status})
    };
    let (request, response) = (review(json!({"allowed": false})), review(json!({"allowed": true})));
    let target = Target::new("authorization.k8s.io", "selfsubjectaccessreviews", "", "");
    Event::new(scene, actor, "create", target).bodies(request, response)
}

/// The pipeline rolls out a build.
pub fn pipeline_rolls_out(scene: &mut Scene, namespace: &str, app: &str, build: u64) -> Event {
    let response = body::deployment(scene, namespace, app, build);
    let request = json!({"spec": {"template": {"spec": {"$setElementOrder/containers": [{"name": app}],
        "containers": [{"name": app, "image": body::image(app, build)}]}}}});
    let target = Target::new("apps", "deployments", namespace, app)
        .query("fieldManager=kubectl-set&fieldValidation=Strict");
    Event::new(scene, Actor::pipeline(), "patch", target).bodies(request, response)
}
