-- /// detection
-- title = "A service account was created"
-- severity = "informational"
-- status = "stable"
-- attack = ["T1136"]
-- section = [1]
-- key = ["cluster", "username", "namespace"]
-- suppress = "1d"
-- summary = "{username} created service accounts in namespace {namespace} of {cluster}, the first of the day {name}, from {client_ip}"
--
-- description = """
-- An account that no directory knows and no offboarding ends. A record: one alert for each identity, namespace and day.
-- Kubernetes' own controllers and GitOps are left out by lists/sa_managers.csv. No body is needed; dry runs do not count.
-- What matters is what it is bound to and who makes tokens of it: see sa-token-requested.
-- """
-- false_positives = [
--   "Charts installed by people or pipelines",
-- ]
-- follow_up = ["identity-timeline", "tokens-created"]
-- ///

SELECT
    cluster,
    username,
    verb,
    namespace,
    name,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb = 'create'
    AND resource = 'serviceaccounts'
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('sa_managers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
