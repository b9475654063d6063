-- /// detection
-- title = "Someone changed with kubectl what they never changed"
-- severity = "low"
-- status = "stable"
-- attack = ["T1609"]
-- section = [6]
-- baseline = "30d"
-- learn = "7d"
-- key = ["cluster", "username", "verb", "what"]
-- summary = "{username} did kubectl {verb} {what} on {cluster} for the first time in 30 days: {object_name}, from {client_ip}"
--
-- description = """
-- What a person changes by hand is a short list that hardly varies; deleting a custom resource definition for the first
-- time is a new duty or another person. Only writes with kubectl that succeeded count; reads vary too much, and service
-- accounts are sa-rare-operation's. Questions about rights (self-subject-review) do not count. Says nothing for a cluster
-- until seven days of its log were seen. No body is needed; dry runs do not count.
-- """
-- false_positives = [
--   "New duties; people who learn",
-- ]
-- follow_up = ["identity-timeline", "object-history"]
-- ///

SELECT
    cluster,
    username,
    verb,
    concat(resource, coalesce('/' || subresource, '')) AS what,
    namespace,
    name,
    concat(namespace || '/', coalesce(name, '*')) AS object_name,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')
    AND starts_with(user_agent, 'kubectl')
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa', 'service-account')
    AND coalesce(api_group, '') NOT IN ('authorization.k8s.io', 'authentication.k8s.io')
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
