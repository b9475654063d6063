-- /// detection
-- title = "A namespace was deleted"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1485"]
-- section = [6]
-- key = ["cluster", "username", "name"]
-- suppress = "1d"
-- summary = "{username} deleted ({verb}) namespace {object_name} of {cluster}, from {client_ip}"
--
-- description = """
-- Everything in it goes with it: workloads, secrets, volumes, policies. Short-lived namespaces whose names are in
-- lists/short_lived_namespaces.csv (preview-*, pr-*) are left out, as are the identities of lists/workload_deployers.csv.
-- No body is needed; dry runs do not count when they ask in the address. Ask at once whether it was meant: volumes with a
-- retain policy can be saved.
-- """
-- false_positives = [
--   "Applications that are removed; names of your previews: add them to lists/short_lived_namespaces.csv",
-- ]
-- follow_up = ["changes-by-namespace", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    name,
    coalesce(name, '*') AS object_name,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('delete', 'deletecollection')
    AND resource = 'namespaces'
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('workload_deployers', username)
    AND NOT listed('short_lived_namespaces', name)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
