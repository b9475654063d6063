-- /// detection
-- title = "The addresses behind a service were written by hand"
-- severity = "high"
-- status = "stable"
-- attack = ["T1557", "T1565"]
-- section = [2]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} wrote ({verb}) {resource} {namespace}/{name} of {cluster}, addresses {addresses}, from {client_ip}"
--
-- description = """
-- Endpoints say where a service's traffic goes: written by hand, they send logins elsewhere, or let a public ingress
-- fetch an address inside. Fires for people and applications, and for anybody, GitOps too, who enters Azure's platform
-- address 168.63.129.16 (the API server itself refuses 169.254.169.254). The controllers of
-- lists/endpoint_writers.csv, AKS, system accounts, other service accounts (operators and elections of leaders do
-- this) and dry runs do not count. No body is needed for people; without one (level Metadata, or cut) addresses are
-- not known. Compare the addresses with the service's pods.
-- """
-- false_positives = [
--   "Services for things outside the cluster: add the pipeline to lists/workload_deployers.csv",
-- ]
-- follow_up = ["service-exposure", "object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    namespace,
    name,
    coalesce(left(coalesce(object ->> 'subsets', object ->> 'endpoints'), 300), 'not logged') AS addresses,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource IN ('endpoints', 'endpointslices')
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node')
    AND NOT listed('endpoint_writers', username)
    AND (
        coalesce(principal_class, 'other') NOT IN ('service-account', 'system-sa')
        OR coalesce(object ->> 'subsets', object ->> 'endpoints') LIKE '%"168.63.129.16"%'
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
