-- /// detection
-- title = "A mutating webhook sees secrets, tokens or everything"
-- severity = "high"
-- status = "stable"
-- attack = ["T1546", "T1552", "T1557"]
-- section = [8, 4]
-- suppress = "1d"
-- key = ["cluster", "username", "name"]
-- summary = "{username} wrote ({verb}) mutating webhook {name} of {cluster}, which is sent secrets or everything, from {client_ip}"
--
-- description = """
-- A mutating webhook is sent each object its rules name and may rewrite it: with secrets, tokens of service accounts or
-- a wildcard among the resources it reads what is written to the whole cluster and puts its containers anywhere.
-- Injectors of meshes ask for pods only and operators for everything of their own group, which webhook-config-changed
-- reports. AKS, lists/webhook_managers.csv (Kyverno asks for everything) and lists/workload_deployers.csv are left out.
-- Without a body (level Metadata) or when it was cut the rule stays silent; webhook-config-changed reports the write.
-- Dry runs do not count. Remove the webhook, then change the secrets written meanwhile.
-- """
-- false_positives = [
--   "Kyverno, and operators that label everything, installed by hand",
-- ]
-- follow_up = ["webhook-changes", "identity-timeline", "object-history"]
-- ///

SELECT
    cluster,
    username,
    verb,
    name,
    substr(object ->> 'webhooks', 1, 1000) AS webhooks,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource = 'mutatingwebhookconfigurations'
    AND regexp_like(
        object,
        '"apiGroups"\s*:\s*\[[^\]]*"\*?"[^{}]*"resources"\s*:\s*\[[^\]]*"(\*|\*/\*|secrets|secrets/\*|serviceaccounts/\*|serviceaccounts/token)"'
        || '|"resources"\s*:\s*\[[^\]]*"(\*|\*/\*|secrets|secrets/\*|serviceaccounts/\*|serviceaccounts/token)"[^{}]*"apiGroups"\s*:\s*\[[^\]]*"\*?"'
    )
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('webhook_managers', username)
    AND NOT listed('workload_deployers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
