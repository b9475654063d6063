-- /// detection
-- title = "A role that may write was created"
-- severity = "informational"
-- status = "shadow"
-- attack = ["T1098.006"]
-- section = [1]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} created {resource} {name} ({verbs} on {resources}) in {cluster}, from {client_ip}"
--
-- description = """
-- Other products alert on it; here it is counted only (shadow), because nearly every operator brings such a role and the
-- dangerous kinds have rules of their own: role-wildcard, role-escalation-verbs, role-pods-exec,
-- role-sensitive-subresource. Useful in a hunt for who could have changed what. At level Metadata there are no verbs to
-- read and the rule stays silent. Dry runs do not count.
-- """
-- false_positives = [
--   "Every chart with an operator",
-- ]
-- follow_up = ["object-history", "identity-timeline"]
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
    AND verb = 'create'
    AND resource IN ('clusterroles', 'roles')
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('rbac_managers', username)
    AND array_has_any(role_verbs(object), ARRAY['create', 'update', 'patch', 'delete', 'deletecollection'])
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
