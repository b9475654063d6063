-- /// detection
-- title = "A namespace was created"
-- severity = "informational"
-- status = "stable"
-- attack = ["T1610"]
-- section = [5, 6]
-- key = ["cluster", "username", "name"]
-- suppress = "1d"
-- summary = "{username} created namespace {name} of {cluster}, from {client_ip}"
--
-- description = """
-- A new namespace has no policy, no quota and no owner yet. A record of who made which. AKS is left out; pipelines and
-- GitOps are not. No body is needed; dry runs do not count.
-- """
-- false_positives = [
--   "New applications and previews",
-- ]
-- follow_up = ["changes-by-namespace", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    name,
    object -> 'metadata' ->> 'labels' AS labels,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb = 'create'
    AND resource = 'namespaces'
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
