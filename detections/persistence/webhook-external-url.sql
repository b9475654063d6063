-- /// detection
-- title = "An admission webhook calls an address instead of a service"
-- severity = "critical"
-- status = "stable"
-- attack = ["T1557", "T1041"]
-- section = [8]
-- suppress = "1d"
-- key = ["cluster", "username", "resource", "name"]
-- summary = "{username} wrote ({verb}) {resource} {name} of {cluster}, which calls {url}, from {client_ip}"
--
-- description = """
-- A webhook with a url sends every object it asks for (secrets as well) to that address, outside the cluster if it
-- likes, and takes its answer for a decision. Webhooks in the cluster are named by service, and only AKS's own control
-- plane has reason to use a url. AKS, lists/webhook_managers.csv and lists/workload_deployers.csv are left out. Without
-- a body (level Metadata) or when it was cut before the address the rule stays silent; webhook-config-changed reports
-- the write. Dry runs do not count. Remove the webhook, and change the secrets that were written since.
-- """
-- false_positives = [
--   "Policy engines run outside the cluster",
-- ]
-- follow_up = ["webhook-changes", "identity-timeline", "address-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    name,
    substr(regexp_match(object, '"url"\s*:\s*"([^"]*)"|clientConfig/url"[^{}]*"(http[^"]*)"')[1], 1, 300) AS url,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource IN ('mutatingwebhookconfigurations', 'validatingwebhookconfigurations')
    AND (
        regexp_like(object, '"clientConfig"\s*:\s*\{[^{}]*"url"\s*:\s*"')
        OR regexp_like(request_object, '/clientConfig/url"')
    )
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('webhook_managers', username)
    AND NOT listed('workload_deployers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
