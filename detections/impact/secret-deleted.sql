-- /// detection
-- title = "A secret was deleted by hand"
-- severity = "low"
-- status = "stable"
-- attack = ["T1485", "T1531"]
-- section = [4]
-- key = ["cluster", "username", "namespace"]
-- suppress = "1d"
-- summary = "{username} deleted ({verb}) secrets in namespace {namespace} of {cluster}, the first of the day {object_name}, from {client_ip}"
--
-- description = """
-- Workloads that need the secret fail at their next start, and a deleted token or certificate locks somebody out. People
-- and applications that sign in from outside count; service accounts (garbage collection, operators, GitOps), system
-- namespaces and Helm's release secrets do not. One alert for each identity, namespace and day. No body is needed. Dry
-- runs do not count when they ask in the address.
-- """
-- false_positives = [
--   "Cleaning up by hand",
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
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('delete', 'deletecollection')
    AND resource = 'secrets'
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa', 'service-account')
    AND NOT starts_with(coalesce(name, ''), 'sh.helm.release.v1.')
    AND NOT listed('system_namespaces', namespace)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
