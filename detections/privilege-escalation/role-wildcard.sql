-- /// detection
-- title = "A role with wildcards was written"
-- severity = "high"
-- status = "stable"
-- attack = ["T1098.006"]
-- section = [1]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} wrote {resource} {name} with a wildcard ({verbs} on {resources} of groups {api_groups}) in {cluster}, from {client_ip}"
--
-- description = """
-- A star among verbs, resources or API groups grants more than its author can know, kinds of tomorrow included, and is
-- cluster-admin under another name. Creates, updates and patches count; dry runs and nonResourceURLs do not. At level
-- Metadata there are no rules to read and this rule stays silent. Read the role, then who is bound to it.
-- """
-- false_positives = [
--   "Operators bring roles with stars at installation: have them narrowed, or add the installer to lists/rbac_managers.csv",
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
    array_to_string(array_replace_all(role_api_groups(object), '', 'core'), ', ') AS api_groups,
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
        array_has(role_verbs(object), '*')
        OR array_has(role_resources(object), '*')
        OR array_has(role_api_groups(object), '*')
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
