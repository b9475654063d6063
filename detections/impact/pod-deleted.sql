-- /// detection
-- title = "A pod was deleted by someone not expected"
-- severity = "informational"
-- status = "stable"
-- attack = ["T1489"]
-- section = [6]
-- key = ["cluster", "username", "namespace"]
-- suppress = "1d"
-- summary = "{username}, who is not in lists/allowed_users.csv, deleted ({verb}) pods in namespace {namespace} of {cluster}, the first of the day {object_name}, from {client_ip}"
--
-- description = """
-- Restarting by deleting is common, and so is removing the pod one has used. A record of those who are not expected to
-- work here: people and pipelines of lists/allowed_users.csv, service accounts, nodes and controllers are left out.
-- Many pods at once are pods-mass-deleted, whoever deletes them. One alert for each identity, namespace and day. An
-- eviction is another request and does not count. No body is needed; dry runs do not count when they ask in the
-- address.
-- """
-- false_positives = [
--   "Restarting by deletion, by a new colleague: add them to lists/allowed_users.csv",
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
    AND NOT listed('allowed_users', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
