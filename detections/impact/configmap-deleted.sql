-- /// detection
-- title = "A ConfigMap was deleted"
-- severity = "informational"
-- status = "stable"
-- attack = ["T1485"]
-- section = [6]
-- key = ["cluster", "username", "namespace"]
-- suppress = "1d"
-- summary = "{username} deleted ({verb}) config maps in namespace {namespace} of {cluster}, the first of the day {object_name}, from {client_ip}"
--
-- description = """
-- Workloads that read it fail at their next start. A record: one alert for each person or application, namespace and day.
-- Service accounts, whose leader elections and releases come and go, are left out. No body is needed; dry runs do not
-- count when they ask in the address.
-- """
-- false_positives = [
--   "Applications that are removed",
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
    AND resource = 'configmaps'
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa', 'service-account')
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
