-- /// detection
-- title = "A service account wrote roles or bindings"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1098.006"]
-- section = [1]
-- key = ["cluster", "username"]
-- suppress = "1d"
-- summary = "{username} wrote ({verb}) {resource} {object} of {cluster}, from {client_ip}"
--
-- description = """
-- Workloads have no business giving rights; a pod that does is an operator, a GitOps controller, or taken over. One alert
-- for each account and day. GitOps and controllers are listed one by one; operators that make roles for what they run are
-- listed apart and exempt only for roles and bindings inside an ordinary namespace. Accounts of kube-system are not exempt
-- as a class. Deletes are binding-deleted's and role-deleted's. No body is needed; dry runs do not count. Look at what was
-- written, then at where the account's token was used.
-- """
-- false_positives = [
--   "Extensions that AKS installs for you (extension-operator of kube-system): add that account to lists/rbac_managers.csv",
--   "Operators: add them to lists/rbac_operators.csv if they write inside namespaces, to lists/rbac_managers.csv if cluster-wide is their job",
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
    concat(coalesce(namespace || '/', ''), coalesce(name, '')) AS object,
    role_ref_name(object) AS role,
    array_to_string(subject_names(object), ', ') AS subjects,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource IN ('roles', 'clusterroles', 'rolebindings', 'clusterrolebindings')
    AND principal_class IN ('service-account', 'system-sa')
    AND NOT listed('rbac_managers', username)
    AND NOT listed('cleanup_controllers', username)
    AND NOT (
        listed('rbac_operators', username)
        AND resource IN ('roles', 'rolebindings')
        AND NOT listed('system_namespaces', namespace)
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
