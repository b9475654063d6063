-- /// detection
-- title = "A role was created by someone not expected"
-- severity = "informational"
-- status = "stable"
-- attack = ["T1098.006"]
-- section = [1]
-- key = ["cluster", "username", "namespace"]
-- suppress = "1d"
-- summary = "{username}, who is not in lists/allowed_users.csv, created roles in {where} of {cluster}, the first of the day {resource} {name} ({verbs} on {resources}), from {client_ip}"
--
-- description = """
-- A record of who defines rights beside those who are expected to: people and pipelines of lists/allowed_users.csv and
-- controllers of lists/rbac_managers.csv are left out. What is dangerous in a role fires rules of its own whoever
-- writes it (role-wildcard, role-escalation-verbs, role-secrets-read and others). One alert for each identity,
-- namespace and day. No body is needed: verbs and resources are empty at level Metadata. Dry runs do not count.
-- """
-- false_positives = [
--   "Charts and operators at installation: add an operator to lists/rbac_managers.csv, a person or pipeline to lists/allowed_users.csv",
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
    coalesce('namespace ' || namespace, 'the whole') AS "where",
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
    AND NOT listed('allowed_users', username)
    AND NOT listed('rbac_managers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
