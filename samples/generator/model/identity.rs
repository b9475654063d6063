//! Who makes requests: AKS's own identities, the service accounts of add-ons and applications, the
//! people and the pipeline of Contoso.

use serde_json::{Map, Value, json};

use super::cluster::{Cluster, Envelope};
use super::random::Random;

/// An authenticated identity and how its requests arrive.
#[derive(Debug, Clone)]
pub struct Actor {
    pub username: String,
    pub uid: Option<String>,
    pub groups: Vec<String>,
    pub extra: Vec<(&'static str, String)>,
    pub address: String,
    pub agent: String,
    /// What `authorization.k8s.io/reason` says when it is allowed.
    pub reason: String,
}

/// Contoso's own way to the internet: the egress of its corporate network.
pub const OFFICE: &str = "20.50.118.14";
/// Group of the platform engineers in Entra ID.
pub const PLATFORM_GROUP: &str = "3f6d2c1b-90aa-4d7e-8b13-5a7790c4e201";
/// Group of the developers in Entra ID.
pub const DEVELOPER_GROUP: &str = "b8417e55-02fd-4c39-a1f6-7d20e95b3c44";

const KUBECTL: &str = "kubectl/v1.32.3 (linux/amd64) kubernetes/32cc146";

/// An Entra user: UPN and object id.
pub type Person = (&'static str, &'static str, &'static str);
pub const ANNA: Person =
    ("anna.lindqvist@contoso.com", "0a4be2c7-5d1f-4f0e-9c52-d0b1a7f3e611", PLATFORM_GROUP);
pub const BEN: Person = ("ben.okafor@contoso.com", "c7719f0e-8a25-4b6b-b3f4-2e6d81a09b37", DEVELOPER_GROUP);
pub const CHIARA: Person =
    ("chiara.rossi@contoso.com", "5e20d8a4-6b7c-4ef9-8d01-94cf3b6a2275", DEVELOPER_GROUP);
/// Object id of the service principal that rolls out from the pipeline.
pub const PIPELINE: &str = "91d3f6a8-4c0b-4f77-ae29-60b5d8c2e713";

fn strings(values: &[&str]) -> Vec<String> {
    values.iter().map(|v| (*v).to_owned()).collect()
}

impl Actor {
    /// AKS's own administrator, the identity of most of what the control plane does.
    pub fn aks_service(agent: &str, random: &mut Random) -> Self {
        Self {
            username: "aksService".into(),
            uid: None,
            groups: strings(&["system:masters", "system:authenticated"]),
            extra: Vec::new(),
            address: format!("172.31.{}.{}", 8 + random.below(40), 2 + random.below(250)),
            agent: agent.into(),
            reason: String::new(),
        }
    }

    pub fn node(cluster: &Cluster, name: &str) -> Self {
        Self {
            username: format!("system:node:{name}"),
            uid: None,
            groups: strings(&["system:nodes", "system:authenticated"]),
            extra: Vec::new(),
            address: cluster.egress.into(),
            agent: cluster.agent("kubelet"),
            reason: String::new(),
        }
    }

    /// A service account as a pod of `deployment` uses it.
    pub fn service_account(
        cluster: &Cluster,
        namespace: &str,
        name: &str,
        deployment: &str,
        agent: &str,
    ) -> Self {
        // The pod of a deployment lives for the two days, so its ids follow from its name.
        let mut stable = Random::named(11, &format!("{}/{namespace}/{deployment}", cluster.name));
        let pod = format!("{deployment}-{}-{}", stable.hex(9), stable.suffix(5));
        let node = cluster.node(&mut stable);
        let mut extra = vec![
            ("authentication.kubernetes.io/credential-id", format!("JTI={}", stable.uuid())),
            ("authentication.kubernetes.io/node-name", node),
            ("authentication.kubernetes.io/node-uid", stable.uuid()),
            ("authentication.kubernetes.io/pod-name", pod),
            ("authentication.kubernetes.io/pod-uid", stable.uuid()),
        ];
        if cluster.envelope == Envelope::Second {
            // Kubernetes of that age knew only the pod.
            extra.drain(..3);
        }
        Self {
            username: format!("system:serviceaccount:{namespace}:{name}"),
            uid: Some(Random::named(12, &format!("{}/{namespace}/{name}", cluster.name)).uuid()),
            groups: vec![
                "system:serviceaccounts".into(),
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated".into(),
            ],
            extra,
            address: cluster.egress.into(),
            agent: agent.into(),
            reason: format!(
                "RBAC: allowed by ClusterRoleBinding \"{name}\" of ClusterRole \"{name}\" to ServiceAccount \"{name}/{namespace}\""
            ),
        }
    }

    /// A controller inside kube-controller-manager: a kube-system service account without a pod.
    pub fn controller(cluster: &Cluster, name: &str, random: &mut Random) -> Self {
        let mut actor = Self::service_account(cluster, "kube-system", name, name, "");
        actor.extra.clear();
        actor.address = format!("172.31.{}.{}", 8 + random.below(40), 2 + random.below(250));
        actor.agent =
            format!("{}/system:serviceaccount:kube-system:{name}", cluster.agent("kube-controller-manager"));
        actor.reason = format!(
            "RBAC: allowed by ClusterRoleBinding \"system:controller:{name}\" of ClusterRole \"system:controller:{name}\" to ServiceAccount \"{name}/kube-system\""
        );
        actor
    }

    /// An Entra user, allowed by Azure RBAC through guard.
    pub fn person(person: Person) -> Self {
        let (upn, oid, group) = person;
        Self {
            username: upn.into(),
            uid: None,
            groups: strings(&[group, "system:authenticated"]),
            extra: vec![("oid", oid.into())],
            address: OFFICE.into(),
            agent: KUBECTL.into(),
            reason: "Access allowed by Azure RBAC".into(),
        }
    }

    /// The service principal of the pipeline: an application has its object id for a name.
    pub fn pipeline() -> Self {
        Self {
            username: PIPELINE.into(),
            uid: None,
            groups: strings(&["system:authenticated"]),
            extra: vec![("oid", PIPELINE.into())],
            address: "20.103.218.77".into(),
            agent: "kubectl/v1.31.4 (linux/amd64) kubernetes/a78aa47".into(),
            reason: "Access allowed by Azure RBAC".into(),
        }
    }

    /// The cluster's local administrator: a client certificate, in no directory.
    pub fn local_admin(address: &str, agent: &str) -> Self {
        Self {
            username: "masterclient".into(),
            uid: None,
            groups: strings(&["system:masters", "system:authenticated"]),
            extra: Vec::new(),
            address: address.into(),
            agent: agent.into(),
            reason: String::new(),
        }
    }

    pub fn anonymous(address: &str, agent: &str) -> Self {
        Self {
            username: "system:anonymous".into(),
            uid: None,
            groups: strings(&["system:unauthenticated"]),
            extra: Vec::new(),
            address: address.into(),
            agent: agent.into(),
            reason: String::new(),
        }
    }

    pub fn coming_from(mut self, address: &str, agent: &str) -> Self {
        self.address = address.into();
        self.agent = agent.into();
        self
    }

    /// The `user` object of an audit event.
    pub fn user(&self) -> Value {
        let mut user = Map::new();
        user.insert("username".into(), json!(self.username));
        if let Some(uid) = &self.uid {
            user.insert("uid".into(), json!(uid));
        }
        user.insert("groups".into(), json!(self.groups));
        if !self.extra.is_empty() {
            let extra = self.extra.iter().map(|(k, v)| ((*k).to_owned(), json!([v])));
            user.insert("extra".into(), Value::Object(extra.collect()));
        }
        Value::Object(user)
    }
}
