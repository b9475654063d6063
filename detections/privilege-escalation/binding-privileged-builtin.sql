-- /// detection
-- title = "Someone was bound to a powerful built-in role"
-- severity = "high"
-- status = "stable"
-- attack = ["T1098.006"]
-- section = [1]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} bound {subjects} to {role} through {resource} {name} of {cluster}, from {client_ip}"
--
-- description = """
-- The roles of the control plane (system:node, system:controller:…, aks-service) read every secret or write any pod, and
-- admin or edit for the whole cluster or in a system namespace soon become cluster-admin; none of them looks like it in a
-- review. Admin and edit in an ordinary namespace are daily work and silent. Creates, updates and patches count, dry runs
-- do not. Without a body (level Metadata, or cut before roleRef) the role is not known and the rule stays silent;
-- binding-created still records the binding. Ask who needs it; take the binding away, then look at what its subjects did.
-- """
-- false_positives = [
--   "GitOps and cluster tooling that owns bindings: add the identity to lists/rbac_managers.csv",
--   "A platform team given edit for the whole cluster on purpose",
-- ]
-- follow_up = ["object-history", "identity-timeline", "cluster-admins-by-bindings"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    namespace,
    name,
    role_ref_name(object) AS role,
    array_to_string(subject_names(object), ', ') AS subjects,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource IN ('clusterrolebindings', 'rolebindings')
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('rbac_managers', username)
    AND role_ref_kind(object) = 'ClusterRole'
    AND (
        regexp_like(
            role_ref_name(object),
            '^(system:(controller:.+|kube-controller-manager|kube-scheduler|node|node-proxier|kubelet-api-admin|persistent-volume-provisioner|certificates\.k8s\.io:.+)|aks-service)$'
        )
        OR (
            regexp_like(role_ref_name(object), '^(system:aggregate-to-)?(admin|edit)$')
            AND (namespace IS NULL OR listed('system_namespaces', namespace))
        )
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
