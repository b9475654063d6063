//! What kind of identity sent a request: the column `principal_class`.
//!
//! Owns the table of classes; it is looked through in order and the first match counts.

/// Identities of the managed control plane.
const AKS: &[&[u8]] = &[
    b"aksService",
    b"hcpService",
    b"acsService",
    b"readinessChecker",
    b"aksProblemDetector",
    b"nodeclient",
    b"kubelet-nodepool-bootstrap",
    b"cloud-controller-manager",
    b"cluster-autoscaler",
];

/// Namespaces whose service accounts belong to the platform.
const SYSTEM_NAMESPACES: &[&[u8]] = &[
    b"kube-system",
    b"kube-public",
    b"kube-node-lease",
    b"gatekeeper-system",
    b"calico-system",
    b"tigera-operator",
    b"app-routing-system",
    b"azure-arc",
    b"aks-command",
];

/// Local accounts: certificates that no directory knows of.
const LOCAL_ADMINS: &[&[u8]] =
    &[b"masterclient", b"clusterAdmin", b"clusterUser", b"admin", b"kubernetes-admin"];

/// The class of a user name. `masters`: whether a group is `system:masters`; `oid`: whether the extra
/// attributes hold an object id.
pub fn class(username: &[u8], masters: impl FnOnce() -> bool, oid: impl FnOnce() -> bool) -> &'static str {
    if let Some(system) = username.strip_prefix(b"system:") {
        if system == b"anonymous" {
            return "anonymous";
        }
        if system.starts_with(b"node:") {
            return "node";
        }
        if let Some(account) = system.strip_prefix(b"serviceaccount:") {
            let namespace = account.split(|b| *b == b':').next().unwrap_or_default();
            let platform = SYSTEM_NAMESPACES.contains(&namespace);
            return if platform { "system-sa" } else { "service-account" };
        }
        return "system";
    }
    if AKS.contains(&username) {
        "aks"
    } else if LOCAL_ADMINS.contains(&username) || masters() {
        "local-admin"
    } else if is_guid(username) {
        "entra-app"
    } else if memchr::memchr(b'@', username).is_some() || oid() {
        "entra-user"
    } else {
        "other"
    }
}

/// Every class, first match first, with the user names that belong to it: the table in the
/// documentation.
pub fn classes() -> Vec<(&'static str, String)> {
    let names = |list: &[&[u8]]| {
        list.iter().map(|n| format!("`{}`", n.escape_ascii())).collect::<Vec<_>>().join(", ")
    };
    vec![
        ("anonymous", "`system:anonymous`".into()),
        ("node", "`system:node:…`".into()),
        (
            "system-sa",
            format!("a service account in a namespace of the platform: {}", names(SYSTEM_NAMESPACES)),
        ),
        ("service-account", "any other service account".into()),
        ("system", "any other name that begins with `system:`".into()),
        ("aks", format!("identities of the managed control plane: {}", names(AKS))),
        (
            "local-admin",
            format!(
                "accounts of the cluster itself, which no directory knows: {}; or the group `system:masters`",
                names(LOCAL_ADMINS)
            ),
        ),
        ("entra-app", "a GUID: the object id of an application or managed identity".into()),
        ("entra-user", "a name with `@`, or with an object id (`oid`) in the extra attributes".into()),
        ("other", "everything else".into()),
    ]
}

fn is_guid(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_names() {
        let cases = [
            ("system:anonymous", false, false, "anonymous"),
            ("aksService", true, false, "aks"),
            ("cluster-autoscaler", false, false, "aks"),
            ("system:node:aks-pool-1", false, false, "node"),
            ("system:serviceaccount:kube-system:coredns", false, false, "system-sa"),
            ("system:serviceaccount:kube-system-x:coredns", false, false, "service-account"),
            ("system:serviceaccount:shop:web", true, true, "service-account"),
            ("system:kube-scheduler", true, false, "system"),
            ("masterclient", false, false, "local-admin"),
            ("someone", true, true, "local-admin"),
            ("0b7c1f0e-1111-4222-8333-9abcdef01234", false, true, "entra-app"),
            ("ana@contoso.example", false, false, "entra-user"),
            ("ana", false, true, "entra-user"),
            ("ana", false, false, "other"),
            ("", false, false, "other"),
        ];
        for (name, masters, oid, expected) in cases {
            assert_eq!(class(name.as_bytes(), || masters, || oid), expected, "{name}");
        }
        let mut classes: Vec<&str> = cases.map(|c| c.3).to_vec();
        classes.sort_unstable();
        classes.dedup();
        let mut documented: Vec<&str> = super::classes().into_iter().map(|(name, _)| name).collect();
        documented.sort_unstable();
        assert_eq!(documented, classes);
    }
}
