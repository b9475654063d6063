-- /// detection
-- title = "Someone was bound to cluster-admin"
-- severity = "high"
-- status = "stable"
-- attack = ["T1098.006", "T1078"]
-- section = [1]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} bound {subjects} to cluster-admin through {resource} {name} of {cluster}, from {client_ip}"
--
-- description = """
-- cluster-admin may do anything, so a new binding is the plainest way to keep access. A RoleBinding to it gives the whole
-- of one namespace away, kube-system included. Updates and patches count: they add subjects to a binding that exists.
-- Dry runs do not. At level Metadata, or when the body was cut before its roleRef, the role is not known and the rule
-- stays silent; audit-record-truncated reports the cut. Ask the person; if nobody knows of it, delete the binding, then
-- look at what its subjects did since.
-- """
-- false_positives = [
--   "GitOps and cluster tooling that owns bindings: add the identity to lists/rbac_managers.csv",
-- ]
-- follow_up = ["identity-timeline", "object-history"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    namespace,
    name,
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
    AND role_ref_name(object) = 'cluster-admin'
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
