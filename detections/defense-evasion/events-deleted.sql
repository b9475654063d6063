-- /// detection
-- title = "Events were deleted"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1070"]
-- section = [6]
-- key = ["cluster", "username", "namespace"]
-- suppress = "1d"
-- summary = "{username} deleted ({verb}) events in {where} of {cluster}, from {client_ip}"
--
-- description = """
-- Events are what kubectl describe shows of a pod: which image was pulled, what failed, who was killed. They vanish by
-- themselves after an hour, so nobody deletes them but who wants to hide something. The namespace controller, which
-- empties a namespace that was deleted, is left out. One alert for each identity, namespace and day. No body is needed;
-- dry runs do not count when they ask in the address. Read in this log what the identity did in that namespace before.
-- """
-- false_positives = [
--   "Tests of operators that clean up behind themselves",
-- ]
-- follow_up = ["identity-timeline", "object-history"]
-- ///

SELECT
    cluster,
    username,
    verb,
    namespace,
    coalesce('namespace ' || namespace, 'all namespaces') AS "where",
    name,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('delete', 'deletecollection')
    AND resource = 'events'
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('cleanup_controllers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
