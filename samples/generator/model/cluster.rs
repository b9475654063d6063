//! The three clusters of Contoso, each with another age of the envelope and other log categories on.

use super::random::Random;

/// How the diagnostic pipeline of the cluster's region wraps a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Envelope {
    /// 2020 to 2023: `ccpNamespace`, `Cloud`, `Underlay*`; times without their fraction.
    Second,
    /// Since 2025: `serviceBuild`, times to the nanosecond.
    Third,
    /// The same, with every slash of the log escaped, as another serializer does.
    ThirdEscaped,
}

/// A cluster and the names of the machinery that writes its logs.
#[derive(Debug, Clone)]
pub struct Cluster {
    pub name: &'static str,
    pub envelope: Envelope,
    /// Whether kube-audit is on.
    pub audit: bool,
    /// Whether kube-audit-admin is on.
    pub admin: bool,
    /// Whether Entra users come in through guard.
    pub guard: bool,
    pub resource_id: String,
    pub ccp_namespace: String,
    /// Version of kubelets and control plane, with its commit as user agents show it.
    pub version: &'static str,
    pub commit: &'static str,
    /// API-server pods and the ids of their containers.
    pub apiservers: Vec<(String, String)>,
    /// Suffix and container id of the pods of the other components.
    pub component: (String, String),
    pub nodes: Vec<String>,
    /// Public address the nodes leave by.
    pub egress: &'static str,
}

struct Plan {
    name: &'static str,
    group: &'static str,
    subscription: &'static str,
    envelope: Envelope,
    categories: (bool, bool, bool),
    version: (&'static str, &'static str),
    pool: (&'static str, u32),
    egress: &'static str,
}

const PLANS: [Plan; 3] = [
    Plan {
        name: "aks-payments-prod-weu",
        group: "rg-payments-prod",
        subscription: "5B7C9A10-3D42-4E8F-9A61-0C2D4E6F8A10",
        envelope: Envelope::Third,
        categories: (true, true, true),
        version: ("v1.33.5", "c9aa5b8"),
        pool: ("aks-user-21874036-vmss", 4),
        egress: "20.76.143.18",
    },
    Plan {
        name: "aks-shop-prod-neu",
        group: "rg-shop-prod",
        subscription: "5B7C9A10-3D42-4E8F-9A61-0C2D4E6F8A10",
        envelope: Envelope::ThirdEscaped,
        categories: (true, false, true),
        version: ("v1.32.9", "4b1a7de"),
        pool: ("aks-nodepool1-40918822-vmss", 3),
        egress: "20.166.52.201",
    },
    Plan {
        name: "aks-batch-eus",
        group: "rg-batch",
        subscription: "E1F0A3B2-7788-4C1D-8E55-19283746AB0C",
        envelope: Envelope::Second,
        categories: (false, true, false),
        version: ("v1.24.9", "9710807"),
        pool: ("aks-agentpool-33017265-vmss", 3),
        egress: "20.121.7.64",
    },
];

/// The clusters, always the same three. The first is the one that is broken into.
pub fn clusters() -> Vec<Cluster> {
    PLANS.iter().map(build).collect()
}

fn build(plan: &Plan) -> Cluster {
    let mut random = Random::named(7, plan.name);
    let set = random.hex(9) + &random.suffix(1);
    let apiservers =
        (0..2).map(|_| (format!("kube-apiserver-{set}-{}", random.suffix(5)), random.hex(64))).collect();
    let nodes = (0..plan.pool.1).map(|n| format!("{}{n:06}", plan.pool.0)).collect();
    let (audit, admin, guard) = plan.categories;
    Cluster {
        name: plan.name,
        envelope: plan.envelope,
        audit,
        admin,
        guard,
        resource_id: format!(
            "/SUBSCRIPTIONS/{}/RESOURCEGROUPS/{}/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/{}",
            plan.subscription,
            plan.group.to_uppercase(),
            plan.name.to_uppercase()
        ),
        ccp_namespace: random.hex(24),
        version: plan.version.0,
        commit: plan.version.1,
        apiservers,
        component: (format!("{}-{}", random.hex(9), random.suffix(5)), random.hex(64)),
        nodes,
        egress: plan.egress,
    }
}

impl Cluster {
    pub fn node(&self, random: &mut Random) -> String {
        self.nodes[random.below(self.nodes.len() as u64) as usize].clone()
    }

    /// User agent of a Kubernetes component of the cluster's own version.
    pub fn agent(&self, component: &str) -> String {
        format!("{component}/{} (linux/amd64) kubernetes/{}", self.version, self.commit)
    }
}
