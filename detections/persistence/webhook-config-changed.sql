-- /// detection
-- title = "An admission webhook was changed"
-- severity = "high"
-- status = "stable"
-- attack = ["T1546", "T1562.001", "T1556"]
-- section = [8]
-- key = ["cluster", "username", "resource", "name"]
-- suppress = "1d"
-- summary = "{username} changed ({verb}) {resource} {name} of {cluster}, from {client_ip}"
--
-- description = """
-- A mutating webhook sees and may rewrite whatever is written, secrets and pods included; without the validating ones
-- policy ends. Controllers that renew their webhook's certificate, and GitOps, are listed one by one and may create,
-- update and patch; a delete fires for them too. A patch of other labels and annotations, as each upgrade of a chart
-- sends, does not count. No body is needed: webhooks is empty at level Metadata. Dry runs do not count. Look at the
-- address it calls (clientConfig), its rules and failurePolicy.
-- """
-- false_positives = [
--   "Operators that manage their own webhook: add the service account to lists/webhook_managers.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    name,
    substr(object ->> 'webhooks', 1, 1000) AS webhooks,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')
    AND api_group = 'admissionregistration.k8s.io'
    AND resource IN ('mutatingwebhookconfigurations', 'validatingwebhookconfigurations')
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND (verb IN ('delete', 'deletecollection') OR NOT (listed('webhook_managers', username) OR listed('workload_deployers', username)))
    AND (verb <> 'patch' OR request_object IS NULL OR truncated OR regexp_like(request_object, 'webhooks"|/webhooks|admissions\.enforcer|inject-ca'))
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
