-- /// detection
-- title = "An admission webhook was told to fail open"
-- severity = "high"
-- status = "stable"
-- attack = ["T1562.001"]
-- section = [8]
-- suppress = "1d"
-- key = ["cluster", "username", "resource", "name"]
-- summary = "{username} set failurePolicy Ignore in {resource} {name} of {cluster}, from {client_ip}"
--
-- description = """
-- With failurePolicy Ignore a webhook that does not answer lets everything through, so stopping its pods is enough to
-- switch the policy off. Fires when a patch sets it, or when a whole object that has it is written over an existing one;
-- webhooks that are created with it (Gatekeeper's are) do not count. AKS, lists/webhook_managers.csv and
-- lists/workload_deployers.csv are left out. At level Metadata, or when the body was cut, the rule stays silent and
-- webhook-config-changed reports the write. Dry runs do not count. Set it back, and look for requests that failed open.
-- """
-- false_positives = [
--   "An outage of a webhook that is worked around on purpose",
-- ]
-- follow_up = ["webhook-changes", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    name,
    substr(request_object, 1, 500) AS request,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('update', 'patch')
    AND resource IN ('mutatingwebhookconfigurations', 'validatingwebhookconfigurations')
    AND (
        regexp_like(request_object, '"failurePolicy"\s*:\s*"Ignore"')
        OR regexp_like(request_object, '/failurePolicy"[^{}]*"Ignore"|"Ignore"[^{}]*/failurePolicy"')
    )
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('webhook_managers', username)
    AND NOT listed('workload_deployers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
