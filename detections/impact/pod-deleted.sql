-- /// detection
-- title = "A pod was deleted by hand"
-- severity = "informational"
-- status = "stable"
-- attack = ["T1489"]
-- section = [6]
-- key = ["cluster", "username", "namespace"]
-- suppress = "1d"
-- summary = "{username} deleted ({verb}) pods in namespace {namespace} of {cluster}, the first of the day {object_name}, from {client_ip}"
--
-- description = """
-- Restarting by deleting is common, and so is removing the pod one has used. A record: one alert for each person or
-- application, namespace and day; many at once are pods-mass-deleted. Service accounts, nodes and controllers are left
-- out. An eviction is another request and does not count. No body is needed; dry runs do not count when they ask in the
-- address.
-- """
-- false_positives = [
--   "Restarting by deletion",
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
    AND resource = 'pods'
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa', 'service-account')
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
