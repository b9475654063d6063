-- /// detection
-- title = "A role allows going into pods"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1098.006", "T1609"]
-- section = [1]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} wrote {resource} {name} that allows {verbs} on {resources} in {cluster}, from {client_ip}"
--
-- description = """
-- exec, attach, debug containers and port-forward each give their holder the pod's identity, its secrets and its network.
-- The right to get pods/exec is enough, since WebSocket clients use that verb. Writes of the rules count, also by patch; a
-- change of labels does not, and dry runs do not. A star among the resources is role-wildcard's. Where the log has only
-- the request of a patch, a rule added by JSON patch is not seen; at level Metadata there are no rules to read and this
-- one stays silent. Ask what the role is for, and see who is bound to it.
-- """
-- false_positives = [
--   "CI runners and backup hooks that work by exec: add their installer to lists/rbac_managers.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline", "exec-sessions"]
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
    AND (verb <> 'patch' OR request_object IS NULL OR regexp_like(request_object, '"rules"|/rules'))
    AND NOT array_has(role_resources(object), '*')
    AND (
        role_grants(object, 'create', 'pods/exec') OR role_grants(object, 'get', 'pods/exec')
        OR role_grants(object, 'create', 'pods/attach') OR role_grants(object, 'get', 'pods/attach')
        OR role_grants(object, 'create', 'pods/portforward') OR role_grants(object, 'get', 'pods/portforward')
        OR role_grants(object, 'patch', 'pods/ephemeralcontainers')
        OR role_grants(object, 'update', 'pods/ephemeralcontainers')
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
