-- /// detection
-- title = "A role allows escalate, bind or impersonate"
-- severity = "critical"
-- status = "stable"
-- attack = ["T1098.006", "T1548", "T1134"]
-- section = [1]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} wrote {resource} {name} that allows {verbs} on {resources} in {cluster}, from {client_ip}"
--
-- description = """
-- escalate and bind let their holder hand out rights the holder does not have, impersonate lets it act as anyone: each
-- is a way to cluster-admin that no binding to cluster-admin betrays. Creates, updates and patches of the rules count,
-- dry runs and patches of something else (a label) do not; a star among the verbs is role-wildcard's. At level Metadata
-- there are no rules to read and this rule stays silent. Of a JSON patch without its response the patch itself is read.
-- Remove the verb, then look for requests that were made as someone else and for new bindings.
-- """
-- false_positives = [
--   "Rancher, Teleport, Flux and Argo impersonate by design: add their installer to lists/rbac_managers.csv",
--   "Copies of the built-in admin and edit roles, which may impersonate service accounts",
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
    AND verb IN ('create', 'update', 'patch')
    AND resource IN ('clusterroles', 'roles')
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('rbac_managers', username)
    AND (
        array_has_any(role_verbs(object), ARRAY['escalate', 'bind', 'impersonate'])
        OR (
            verb = 'patch'
            AND response_object IS NULL
            AND request_object LIKE '[%'
            AND regexp_like(request_object, '"(escalate|bind|impersonate)"')
        )
    )
    AND (verb <> 'patch' OR request_object IS NULL OR regexp_like(request_object, '"rules"|/rules'))
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
