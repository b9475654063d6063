-- /// detection
-- title = "The service mesh trusts more than before"
-- severity = "high"
-- status = "stable"
-- attack = ["T1562.007", "T1040"]
-- section = [2]
-- key = ["cluster", "username", "resource", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} wrote or deleted ({verb}) {resource} {namespace}/{name} of {cluster} so that the mesh encrypts or checks less, from {client_ip}"
--
-- description = """
-- Istio's PeerAuthentication decides whether services talk encrypted, AuthorizationPolicy who may call whom. Fires
-- when one is deleted, when mutual TLS is set to PERMISSIVE or DISABLE (for a port too), and when a policy allows
-- everything. AKS, lists/workload_deployers.csv, lists/cleanup_controllers.csv and dry runs do not count. A delete
-- needs no body; a write without one (level Metadata, or cut) stays silent. A policy that was weak before is not told
-- apart. Restore it from git, and see who called the services meanwhile.
-- """
-- false_positives = [
--   "Moving services into the mesh, which begins with PERMISSIVE: let a pipeline of lists/workload_deployers.csv write it",
-- ]
-- follow_up = ["network-policy-history", "object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    namespace,
    coalesce(name, 'all that were selected') AS name,
    object ->> 'spec' AS spec,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')
    AND api_group = 'security.istio.io'
    AND subresource IS NULL
    AND (
        verb IN ('delete', 'deletecollection')
        OR (object -> 'spec' -> 'mtls' ->> 'mode') IN ('PERMISSIVE', 'DISABLE')
        OR regexp_like(object -> 'spec' ->> 'portLevelMtls', '"(PERMISSIVE|DISABLE)"')
        OR (
            regexp_like(object -> 'spec' ->> 'rules', '^\[(.*,)?\s*\{\s*\}')
            AND coalesce(object -> 'spec' ->> 'action', 'ALLOW') = 'ALLOW'
        )
    )
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('workload_deployers', username)
    AND NOT listed('cleanup_controllers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
