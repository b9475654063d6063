-- /// detection
-- title = "A built-in role was changed or deleted"
-- severity = "critical"
-- status = "stable"
-- attack = ["T1098.006", "T1562.001"]
-- section = [1]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} changed ({verb}) the built-in {resource} {name} of {cluster}, from {client_ip}"
--
-- description = """
-- The roles of Kubernetes (system:…, cluster-admin, admin, edit, view) and of AKS are maintained by the API server and
-- by AKS; a right added to one of them goes to nodes, controllers or every signed-in user, and a deleted one breaks the
-- cluster. No identity is exempt but those two and the controller that fills aggregated roles. A patch counts if it
-- names rules or aggregation, not for an annotation. Creating a role with such a name is not counted: charts do it. No
-- body is needed: verbs and resources are empty at level Metadata. Dry runs do not count. The API server restores the
-- system: roles when it starts, not what was added to them.
-- """
-- false_positives = [
--   "Charts that own a role with a system: name and upgrade it, such as metrics-server",
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
    array_to_string(role_verbs(object), ', ') AS verbs,
    array_to_string(role_resources(object), ', ') AS resources,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('update', 'patch', 'delete')
    AND resource IN ('clusterroles', 'roles')
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('builtin_role_managers', username)
    AND (
        regexp_like(name, '^(system:|aks:)')
        OR (resource = 'clusterroles' AND name IN ('cluster-admin', 'admin', 'edit', 'view', 'aks-service'))
    )
    AND (verb <> 'patch' OR request_object IS NULL OR truncated OR regexp_like(request_object, 'rules"|/rules|aggregat'))
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
