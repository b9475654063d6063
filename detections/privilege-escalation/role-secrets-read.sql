-- /// detection
-- title = "A role allows reading all secrets"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1552.007", "T1098.006"]
-- section = [1, 4]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} wrote {resource} {name} that allows {verbs} on {resources} in {cluster}, from {client_ip}"
--
-- description = """
-- get, list or watch on secrets without names gives every password and token of the namespace, in a ClusterRole of the
-- cluster. Rules for named secrets (resourceNames) are how it should be done and are left out; a star among the resources
-- is role-wildcard's. Writes of the rules count, also by patch; labels and dry runs do not. Where the log has only the
-- request of a patch, a rule added by JSON patch is not seen; at level Metadata there are no rules to read and this one
-- stays silent. Ask for names, or for a role in one namespace.
-- """
-- false_positives = [
--   "cert-manager, ingress controllers and external-secrets need it: add their installer to lists/rbac_managers.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline", "secrets-read-by-identity"]
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
        -- the rules without those for named objects
        role_grants(concat('{"rules":', regexp_replace(object ->> 'rules', '\{[^{}]*"resourceNames"\s*:\s*\["[^{}]*\}', '{}', 'g'), '}'), 'get', 'secrets')
        OR role_grants(concat('{"rules":', regexp_replace(object ->> 'rules', '\{[^{}]*"resourceNames"\s*:\s*\["[^{}]*\}', '{}', 'g'), '}'), 'list', 'secrets')
        OR role_grants(concat('{"rules":', regexp_replace(object ->> 'rules', '\{[^{}]*"resourceNames"\s*:\s*\["[^{}]*\}', '{}', 'g'), '}'), 'watch', 'secrets')
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
