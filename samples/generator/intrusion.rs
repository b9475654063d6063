//! The break-in of the second day, first half: from a leaked service-account token to the rights of a
//! cluster administrator under another name. [`crate::foothold`] has what was done with them.

use serde_json::{Value, json};

use crate::model::Scene;
use crate::model::body::stored;
use crate::model::cluster::Cluster;
use crate::model::event::{Event, Target};
use crate::model::identity::Actor;
use crate::tale::{SECOND, Tale, moment};

/// Where the intruder comes from.
pub const INTRUDER: &str = "185.220.101.34";
/// The intruder's second address, used with the stolen directory account.
pub const INTRUDER_TOO: &str = "185.220.101.51";
/// Version of the intruder's kubectl: WebSocket by default.
pub const KUBECTL: &str = "kubectl/v1.34.1 (linux/amd64) kubernetes/93248f9";
/// When the last record of the cluster was written: logging was switched off in Azure, which is not
/// in the cluster's own logs.
pub const SILENCE: i64 = moment_of_silence();

const fn moment_of_silence() -> i64 {
    crate::tale::DAY_ONE + (24 + 21) * crate::tale::HOUR + 47 * crate::tale::MINUTE
}

/// The service account whose token leaked, out of its pod.
pub fn leaked(cluster: &Cluster) -> Actor {
    let mut actor = Actor::service_account(cluster, "shop", "web-frontend", "web-frontend", KUBECTL);
    actor.reason = "RBAC: allowed by RoleBinding \"web-frontend/shop\" of Role \"web-frontend\" to ServiceAccount \"web-frontend/shop\"".into();
    actor.coming_from(INTRUDER, KUBECTL)
}

/// The stolen administrator's certificate.
pub fn admin() -> Actor {
    Actor::local_admin(INTRUDER, KUBECTL)
}

/// The service account the intruder made.
pub fn backdoor(cluster: &Cluster) -> Actor {
    let mut actor =
        Actor::service_account(cluster, "monitoring", "metrics-collector", "metrics-collector", KUBECTL);
    // A token by TokenRequest without a pod to bind it to.
    actor.extra.retain(|(key, _)| key.ends_with("credential-id"));
    actor.reason = "RBAC: allowed by ClusterRoleBinding \"metrics-collector\" of ClusterRole \"cluster-admin\" to ServiceAccount \"metrics-collector/monitoring\"".into();
    actor.coming_from(INTRUDER, KUBECTL)
}

/// An event of `actor` whose request creates an object as given.
pub fn created(scene: &mut Scene, actor: Actor, target: Target, request: Value) -> Event {
    let mut response = request.clone();
    let name = target.name.clone();
    stored(scene, &mut response, &name, "kubectl-create");
    Event::new(scene, actor, "create", target).bodies(request, response)
}

pub fn tell(tale: &mut Tale) {
    knock(tale);
    discover(tale);
    become_admin(tale);
    sweep(tale);
    hide(tale);
    bind(tale);
    certify(tale);
    open_the_door(tale);
}

fn knock(tale: &mut Tale) {
    tale.step(
        "Knocking",
        "The API server's public address is tried without credentials. `/version` answers, as it does to anyone; everything else is refused. The internet does this all day: a record, and no more until somebody gets in.",
    );
    let at = |s| moment(2, 18, 42, s);
    let anonymous = || Actor::anonymous(INTRUDER, "curl/8.5.0");
    tale.tell(at(3), &[], |s| Event::new(s, anonymous(), "get", Target::path("/version")));
    tale.tell(at(9), &[], |s| Event::new(s, anonymous(), "get", Target::path("/api")).denied());
    tale.tell(at(15), &[], |s| Event::new(s, anonymous(), "list", Target::core("secrets", "", "")).denied());
    tale.tell(at(21), &[], |s| Event::new(s, anonymous(), "list", Target::core("pods", "", "")).denied());
}

fn discover(tale: &mut Tale) {
    tale.step(
        "A leaked token looks around",
        "A kubeconfig with a token of `system:serviceaccount:shop:web-frontend` had been left in a public repository. From outside, with kubectl, it asks for one kind of object after another and is refused on seven kinds; then it reads the one thing its role allows: a secret in its own namespace that somebody had put an administrator's kubeconfig into.",
    );
    let cluster = tale.cluster;
    let at = |minute, second| moment(2, 18, minute, second);
    tale.tell(at(51, 10), &[], |s| {
        let target = Target::new("authorization.k8s.io", "selfsubjectrulesreviews", "", "");
        Event::new(s, leaked(cluster), "create", target)
    });
    let denied: [(&'static str, &'static str, &str); 7] = [
        ("", "nodes", ""),
        ("", "namespaces", ""),
        ("", "pods", "kube-system"),
        ("", "secrets", "kube-system"),
        ("", "configmaps", "kube-system"),
        ("apps", "deployments", "payments"),
        ("rbac.authorization.k8s.io", "clusterrolebindings", ""),
    ];
    for (n, (group, resource, namespace)) in denied.into_iter().enumerate() {
        let rules = ["api-denied-distinct-resources", "seq-recon-then-secret"];
        tale.tell(at(52, 4) + n as i64 * 17 * SECOND, &rules, |s| {
            let target = Target::new(group, resource, namespace, "").query("limit=500");
            Event::new(s, leaked(cluster), "list", target).denied()
        });
    }
    tale.tell(at(58, 31), &["secret-get", "seq-recon-then-secret"], |s| {
        Event::new(s, leaked(cluster), "get", Target::core("secrets", "shop", "ops-kubeconfig"))
    });
}

fn become_admin(tale: &mut Tale) {
    tale.step(
        "The local administrator",
        "The kubeconfig in that secret is the cluster's local admin, `masterclient`: a client certificate in group `system:masters`, which no directory can revoke. `local-admin-account-used` goes for every request of it from here on.",
    );
    let at = |minute, second| moment(2, 19, minute, second);
    tale.tell(at(6, 12), &["local-admin-account-used"], |s| {
        Event::new(s, admin(), "list", Target::core("namespaces", "", "").query("limit=500")).at_request()
    });
    tale.tell(at(6, 40), &["local-admin-account-used"], |s| {
        Event::new(s, admin(), "list", Target::core("nodes", "", "").query("limit=500")).at_request()
    });
}

/// The secrets that are read, in the order they are.
const TAKEN: [(&str, &str); 18] = [
    ("payments", "payments-api-db"),
    ("payments", "ledger-db"),
    ("payments", "psp-api-key"),
    ("payments", "hsm-client-cert"),
    ("shop", "web-frontend-db"),
    ("shop", "cart-db"),
    ("shop", "catalog-db"),
    ("orders", "orders-api-db"),
    ("orders", "servicebus-connection"),
    ("batch", "settlement-db"),
    ("batch", "sftp-bank-key"),
    ("monitoring", "grafana-admin"),
    ("monitoring", "grafana-db"),
    ("flux-system", "platform-git-auth"),
    ("external-secrets", "azure-keyvault-sp"),
    ("ingress-nginx", "www-contoso-com-tls"),
    ("cert-manager", "letsencrypt-prod-key"),
    ("kube-system", "konnectivity-certs"),
];

fn sweep(tale: &mut Tale) {
    tale.step(
        "All the secrets",
        "First the list of the whole cluster, then the lists of six namespaces, then eighteen secrets one by one in ten namespaces, all in under eight minutes.",
    );
    let at = |minute, second| moment(2, 19, minute, second);
    tale.tell(at(9, 2), &["secret-list-cluster-wide", "secret-access-bulk"], |s| {
        Event::new(s, admin(), "list", Target::core("secrets", "", "").query("limit=500"))
    });
    for (n, namespace) in
        ["payments", "shop", "orders", "batch", "monitoring", "flux-system"].into_iter().enumerate()
    {
        let rules = ["secret-list", "secret-access-bulk", "secret-cross-namespace-sweep"];
        tale.tell(at(10, 5) + n as i64 * 9 * SECOND, &rules, |s| {
            Event::new(s, admin(), "list", Target::core("secrets", namespace, "").query("limit=500"))
        });
    }
    for (n, (namespace, name)) in TAKEN.into_iter().enumerate() {
        let rules = ["secret-get", "secret-access-bulk", "secret-cross-namespace-sweep"];
        tale.tell(at(12, 11) + n as i64 * 14 * SECOND, &rules, |s| {
            Event::new(s, admin(), "get", Target::core("secrets", namespace, name))
        });
    }
}

fn hide(tale: &mut Tale) {
    tale.step(
        "Under another name",
        "To see whether the trail can be made to show somebody else, the admin acts as `sre-oncall` in group `system:masters`.",
    );
    let rules = ["impersonation-privileged", "local-admin-account-used"];
    for (second, resource) in [(7, "clusterroles"), (32, "clusterrolebindings")] {
        tale.tell(moment(2, 19, 20, second), &rules, |s| {
            let target = Target::new("rbac.authorization.k8s.io", resource, "", "").query("limit=500");
            let mut event = Event::new(s, admin(), "list", target).at_request();
            event.impersonated =
                Some(json!({"username": "sre-oncall", "groups": ["system:masters", "system:authenticated"]}));
            event
        });
    }
}

/// A binding of a cluster role as kubectl sends it.
fn binding(name: &str, role: &str, subject: Value) -> Value {
    json!({"kind": "ClusterRoleBinding", "apiVersion": "rbac.authorization.k8s.io/v1",
        "metadata": {"name": name, "creationTimestamp": null}, "subjects": [subject],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}})
}

const RBAC: &str = "rbac.authorization.k8s.io";
const CREATE: &str = "fieldManager=kubectl-create&fieldValidation=Strict";

fn bind(tale: &mut Tale) {
    tale.step(
        "A service account of one's own",
        "A service account with a dull name, a role that may do anything and escalate, a binding to `cluster-admin`, and a token that lasts a year.",
    );
    let at = |minute, second| moment(2, 19, minute, second);
    tale.tell(at(24, 5), &["local-admin-account-used"], |s| {
        let target = Target::core("serviceaccounts", "monitoring", "metrics-collector").query(CREATE);
        let request = json!({"kind": "ServiceAccount", "apiVersion": "v1",
            "metadata": {"name": "metrics-collector", "namespace": "monitoring", "creationTimestamp": null}});
        created(s, admin(), target, request)
    });
    tale.tell(at(24, 41), &["role-wildcard", "role-escalation-verbs", "local-admin-account-used"], |s| {
        let target = Target::new(RBAC, "clusterroles", "", "metrics-collector-ext").query(CREATE);
        let request = json!({"kind": "ClusterRole", "apiVersion": "rbac.authorization.k8s.io/v1",
            "metadata": {"name": "metrics-collector-ext", "creationTimestamp": null},
            "rules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
                {"verbs": ["escalate", "bind", "impersonate"], "apiGroups": ["rbac.authorization.k8s.io", ""],
                    "resources": ["clusterroles", "users", "groups", "serviceaccounts"]}]});
        created(s, admin(), target, request)
    });
    tale.tell(at(25, 18), &["cluster-admin-binding", "local-admin-account-used"], |s| {
        let target = Target::new(RBAC, "clusterrolebindings", "", "metrics-collector").query(CREATE);
        let subject =
            json!({"kind": "ServiceAccount", "name": "metrics-collector", "namespace": "monitoring"});
        created(s, admin(), target, binding("metrics-collector", "cluster-admin", subject))
    });
    tale.tell(at(27, 2), &["sa-token-requested", "local-admin-account-used"], |s| {
        let target = Target::core("serviceaccounts", "monitoring", "metrics-collector").sub("token");
        let request = json!({"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"creationTimestamp": null},
            "spec": {"audiences": null, "expirationSeconds": 31_536_000, "boundObjectRef": null},
            "status": {"token": "", "expirationTimestamp": null}});
        Event::new(s, admin(), "create", target).request(request)
    });
}

fn certify(tale: &mut Tale) {
    tale.step(
        "A certificate that outlives the token",
        "A signing request for a client certificate, approved by the one who made it.",
    );
    let at = |minute, second| moment(2, 19, minute, second);
    const GROUP: &str = "certificates.k8s.io";
    let request = |conditions: Value| {
        json!({"kind": "CertificateSigningRequest", "apiVersion": "certificates.k8s.io/v1",
            "metadata": {"name": "backup-operator", "creationTimestamp": null},
            "spec": {"request": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K",
                "signerName": "kubernetes.io/kube-apiserver-client", "expirationSeconds": 31_536_000,
                "usages": ["client auth"], "username": "masterclient",
                "groups": ["system:masters", "system:authenticated"]},
            "status": conditions})
    };
    tale.tell(at(30, 9), &["local-admin-account-used"], |s| {
        let target = Target::new(GROUP, "certificatesigningrequests", "", "backup-operator").query(CREATE);
        created(s, admin(), target, request(json!({})))
    });
    tale.tell(at(30, 44), &["csr-approved", "local-admin-account-used"], |s| {
        let target = Target::new(GROUP, "certificatesigningrequests", "", "backup-operator").sub("approval");
        let body = request(json!({"conditions": [{"type": "Approved", "status": "True",
            "reason": "KubectlApprove", "message": "This CSR was approved by kubectl certificate approve.",
            "lastUpdateTime": "2026-03-11T19:30:44Z", "lastTransitionTime": null}]}));
        let mut response = body.clone();
        stored(s, &mut response, "backup-operator", "kubectl");
        Event::new(s, admin(), "update", target).bodies(body, response)
    });
}

fn open_the_door(tale: &mut Tale) {
    tale.step(
        "The door left open, for half an hour",
        "A binding lets anyone without credentials read the cluster. It is tried out, and taken away again after 33 minutes, before anybody looks.",
    );
    let at = |hour, minute, second| moment(2, hour, minute, second);
    let name = "discovery-compat";
    let rules = ["binding-broad-group", "binding-create-then-delete", "local-admin-account-used"];
    tale.tell(at(19, 33, 12), &rules, |s| {
        let target = Target::new(RBAC, "clusterrolebindings", "", name).query(CREATE);
        let subject = json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:unauthenticated"});
        created(s, admin(), target, binding(name, "view", subject))
    });
    for (second, resource, namespace) in [(2, "pods", ""), (19, "configmaps", "payments")] {
        tale.tell(at(19, 36, second), &["anon-request-allowed"], |s| {
            let mut actor = Actor::anonymous(INTRUDER, "curl/8.5.0");
            actor.reason = "RBAC: allowed by ClusterRoleBinding \"discovery-compat\" of ClusterRole \"view\" to Group \"system:unauthenticated\"".into();
            Event::new(s, actor, "list", Target::core(resource, namespace, ""))
        });
    }
    tale.tell(at(20, 6, 27), &["binding-create-then-delete", "local-admin-account-used"], |s| {
        let target = Target::new(RBAC, "clusterrolebindings", "", name);
        let answer = crate::model::body::deleted(s, "clusterrolebindings", name);
        let options = json!({"kind": "DeleteOptions", "apiVersion": "rbac.authorization.k8s.io/v1",
            "propagationPolicy": "Background"});
        Event::new(s, admin(), "delete", target).bodies(options, answer)
    });
}
