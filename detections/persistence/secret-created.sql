-- /// detection
-- title = "A secret was created"
-- severity = "informational"
-- status = "stable"
-- attack = ["T1098"]
-- section = [4]
-- key = ["cluster", "username", "namespace"]
-- suppress = "1d"
-- summary = "{username} created secrets in namespace {namespace} of {cluster}, the first of the day {object_name}, from {client_ip}"
--
-- description = """
-- Credentials that come into a cluster by hand, outside of a vault and of git. A record: one alert for each person or
-- application, namespace and day. Service accounts (cert-manager, GitOps, the vault driver), system namespaces and Helm's
-- release secrets are left out. No body is needed, AKS does not log what secrets hold. Dry runs do not count.
-- """
-- false_positives = [
--   "Installations by people and pipelines",
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
    AND verb = 'create'
    AND resource = 'secrets'
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa', 'service-account')
    AND NOT starts_with(coalesce(name, ''), 'sh.helm.release.v1.')
    AND NOT listed('system_namespaces', namespace)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
