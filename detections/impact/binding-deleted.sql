-- /// detection
-- title = "A role binding was deleted"
-- severity = "low"
-- status = "stable"
-- attack = ["T1531"]
-- section = [1]
-- key = ["cluster", "username", "namespace"]
-- suppress = "1d"
-- summary = "{username} deleted ({verb}) role bindings in {where} of {cluster}, the first of the day {resource} {object_name}, from {client_ip}"
--
-- description = """
-- Taking rights away locks people out, defenders first; it also tidies up after an intruder (see
-- binding-create-then-delete). One alert for each identity, namespace and day; a deletecollection has no name. What is
-- removed with a namespace or its owner does not count. No body is needed. Ask whether it was meant, and restore it from
-- git.
-- """
-- false_positives = [
--   "Charts and applications that are removed: add identities whose job it is to lists/rbac_managers.csv",
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
    coalesce(name, '*') AS object_name,
    coalesce('namespace ' || namespace, 'the whole') AS "where",
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('delete', 'deletecollection')
    AND resource IN ('clusterrolebindings', 'rolebindings')
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('rbac_managers', username)
    AND NOT listed('cleanup_controllers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
