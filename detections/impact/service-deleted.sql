-- /// detection
-- title = "A service was deleted"
-- severity = "informational"
-- status = "stable"
-- attack = ["T1489"]
-- section = [6, 2]
-- key = ["cluster", "username", "namespace"]
-- suppress = "1d"
-- summary = "{username} deleted ({verb}) services in namespace {namespace} of {cluster}, the first of the day {object_name}, from {client_ip}"
--
-- description = """
-- Without its service an application is not found any more. A record: one alert for each identity, namespace and day.
-- What goes with its namespace or owner does not count, nor what the identities of lists/workload_deployers.csv and
-- lists/service_managers.csv take away. No body is needed; dry runs do not count when they ask in the address.
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
    AND resource = 'services'
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('cleanup_controllers', username)
    AND NOT listed('workload_deployers', username)
    AND NOT listed('service_managers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
