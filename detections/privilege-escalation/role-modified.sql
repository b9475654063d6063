-- /// detection
-- title = "The rules of a role were changed"
-- severity = "low"
-- status = "stable"
-- attack = ["T1098.006"]
-- section = [1]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} changed ({verb}) {resource} {name} of {cluster}, now {verbs} on {resources}, from {client_ip}"
--
-- description = """
-- Everyone who is bound to the role has the new rights at once, and no binding shows it. A patch counts when it names the
-- rules, an update always. No body is needed: without one (level Metadata) every change counts, and verbs and resources
-- are empty. Dry runs do not count. What is dangerous in the result fires rules of its own.
-- """
-- false_positives = [
--   "Charts that are upgraded: add the identity that deploys them to lists/rbac_managers.csv",
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
    AND verb IN ('update', 'patch')
    AND resource IN ('clusterroles', 'roles')
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('rbac_managers', username)
    AND NOT listed('cleanup_controllers', username)
    AND (verb <> 'patch' OR request_object IS NULL OR regexp_like(request_object, '"rules"|/rules'))
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
