-- /// detection
-- title = "A secret was changed by hand"
-- severity = "low"
-- status = "stable"
-- attack = ["T1565", "T1098"]
-- section = [4]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} changed ({verb}) secret {namespace}/{name} of {cluster}, from {client_ip}"
--
-- description = """
-- A changed secret takes an application down, or points it to a database of somebody else's. People and applications that
-- sign in from outside count; service accounts (cert-manager, GitOps, operators), identities of lists/secret_writers.csv
-- and Helm's release secrets do not. One alert for each secret and day. No body is needed, AKS does not log what secrets
-- hold. Dry runs do not count. Ask who rotated it.
-- """
-- false_positives = [
--   "Rotation by hand; pipelines that apply secrets: add those to lists/secret_writers.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    namespace,
    name,
    coalesce(name, '*') AS object_name,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('update', 'patch')
    AND resource = 'secrets'
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa', 'service-account')
    AND NOT listed('secret_writers', username)
    AND NOT starts_with(coalesce(name, ''), 'sh.helm.release.v1.')
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
