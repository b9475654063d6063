-- /// detection
-- title = "A secret with a token that never expires was created"
-- severity = "high"
-- status = "stable"
-- attack = ["T1098", "T1528"]
-- section = [1, 4]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} created secret {namespace}/{name} of {cluster} ({type}), from {client_ip}"
--
-- description = """
-- A secret of type service-account-token is filled with a token that never expires and works from anywhere; whoever can
-- read the secret has it. Current AKS does not log the bodies of secrets: without one (level Metadata, or cut) the rule
-- fires when a person creates a secret that is named like one (x-token, x-token-ab1cd); type then says so. Dry runs do
-- not count. Delete the secret, which ends the token, and give the client workload identity or a token that expires.
-- """
-- false_positives = [
--   "Other secrets called something-token, made by hand, where bodies are not logged",
--   "GitOps that keeps such a secret: add it to lists/sa_managers.csv",
-- ]
-- follow_up = ["object-history", "tokens-created", "secrets-read-by-identity"]
-- ///

SELECT
    cluster,
    username,
    namespace,
    name,
    coalesce(object ->> 'type', 'no body, by its name') AS type,
    object -> 'metadata' -> 'annotations' ->> 'kubernetes.io/service-account.name' AS account,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb = 'create'
    AND resource = 'secrets'
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('sa_managers', username)
    AND (
        (object ->> 'type') = 'kubernetes.io/service-account-token'
        OR (
            (object ->> 'type') IS NULL
            AND (object IS NULL OR truncated)
            AND coalesce(principal_class, 'other') IN ('entra-user', 'local-admin', 'other')
            AND regexp_like(name, '-token(-[a-z0-9]{5})?$')
        )
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
