-- /// query
-- title = "Roles and bindings that were changed"
-- topic = "privilege"
-- section = [1]
-- see_also = ["cluster-admins-by-bindings", "object-history"]
--
-- description = """
-- Every write of a role or binding: who gave which role to whom, and what rules a
-- role was given. Look for subjects nobody knows, for system:authenticated and
-- system:unauthenticated, and for bindings that lived for minutes. A deletion
-- carries no body, so role and subjects of what was deleted are told by the
-- write before it, if that is in the range. GitOps and AKS write theirs again and
-- again; they are left out unless asked for.
-- """
--
-- [params]
-- platform = { type = "bool", description = "Whether writes of AKS's own identities are shown", default = false }
-- ///

SELECT
    time,
    cluster,
    username,
    client_ip,
    verb,
    resource,
    namespace,
    name,
    concat_ws(' ', role_ref_kind(object), role_ref_name(object)) AS role,
    array_to_string(subject_names(object), ', ') AS subjects,
    array_to_string(role_verbs(object), ', ') AS verbs,
    array_to_string(role_resources(object), ', ') AS resources,
    audit_id
FROM audit
WHERE
    resource IN ('clusterroles', 'roles', 'clusterrolebindings', 'rolebindings')
    AND verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')
    AND stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
    AND ($platform OR coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'system-sa'))
ORDER BY time, audit_id
