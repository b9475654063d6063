-- /// detection
-- title = "A service account was deleted"
-- severity = "low"
-- status = "stable"
-- attack = ["T1531"]
-- section = [1]
-- key = ["cluster", "username", "namespace"]
-- suppress = "1d"
-- summary = "{username} deleted ({verb}) service accounts in namespace {namespace} of {cluster}, the first of the day {object_name}, from {client_ip}"
--
-- description = """
-- Its pods lose their rights within minutes and no new ones start; it is also how an intruder's account disappears, with
-- all its tokens. One alert for each identity, namespace and day; a deletecollection has no name. What goes with a
-- namespace or an owner does not count, nor do identities of lists/sa_managers.csv. No body is needed. Look at what the
-- account did before.
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
    AND resource = 'serviceaccounts'
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('sa_managers', username)
    AND NOT listed('cleanup_controllers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
