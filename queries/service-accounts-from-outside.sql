-- /// query
-- title = "Service accounts used from outside the cluster"
-- topic = "identity"
-- section = [1, 4]
-- see_also = ["identity-timeline", "tokens-created"]
--
-- description = """
-- Requests of service accounts from public addresses that no node of their
-- cluster has used. A pod's requests leave through the address its node leaves
-- through, so what remains is a token that was carried out: a leaked kubeconfig,
-- a pipeline that signs in with one, or an intruder. Pipelines should be known
-- and few. With a NAT gateway of several addresses, or in a short range in which
-- not every node has reported, an address of the cluster can appear; a
-- pod_name then tells that the request came from a pod.
-- """
-- ///

WITH node_addresses AS (
    SELECT DISTINCT cluster, client_ip
    FROM audit
    WHERE principal_class = 'node'
)

SELECT
    a.cluster,
    a.username,
    a.client_ip,
    a.user_agent,
    max(a.user_extra -> 'authentication.kubernetes.io/pod-name' ->> 0) AS pod_name,
    count(DISTINCT a.audit_id) AS requests,
    count(DISTINCT a.audit_id) FILTER (WHERE a.status_code IN (401, 403)) AS denied,
    count(DISTINCT a.audit_id) FILTER (
        WHERE a.verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')
            AND a.status_code BETWEEN 200 AND 299
            AND coalesce(a.resource, '') NOT LIKE '%reviews'
            AND coalesce(query_param(a.request_uri, 'dryRun'), '') <> 'All'
    ) AS changes,
    min(a.time) AS first_seen,
    max(a.time) AS last_seen
FROM audit AS a
LEFT JOIN node_addresses AS n ON a.cluster = n.cluster AND a.client_ip = n.client_ip
WHERE
    a.principal_class IN ('service-account', 'system-sa')
    AND is_public(a.client_ip)
    AND n.client_ip IS NULL
GROUP BY a.cluster, a.username, a.client_ip, a.user_agent
ORDER BY first_seen, a.cluster, a.username, a.client_ip, a.user_agent
