-- /// detection
-- title = "A workload was deleted"
-- severity = "low"
-- status = "stable"
-- attack = ["T1489"]
-- section = [6]
-- key = ["cluster", "username", "namespace"]
-- suppress = "1d"
-- summary = "{username} deleted ({verb}) {resource} in namespace {namespace} of {cluster}, the first of the day {object_name}, from {client_ip}"
--
-- description = """
-- An application, or an agent that watches, is gone and not only restarted. What goes with its namespace or owner does not
-- count, nor what the identities of lists/workload_deployers.csv take away. One alert for each identity, namespace and
-- day; many at once are pods-mass-deleted. No body is needed; dry runs do not count when they ask in the address. Ask
-- whether it was meant, and restore it from git.
-- """
-- false_positives = [
--   "Applications that are removed by hand; operators and pipelines: add those to lists/workload_deployers.csv",
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
    AND resource IN ('deployments', 'statefulsets', 'daemonsets')
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('cleanup_controllers', username)
    AND NOT listed('workload_deployers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
