-- /// query
-- title = "First and last seen, per identity and address"
-- topic = "identity"
-- section = [1]
-- see_also = ["identity-timeline", "user-agents-by-identity"]
--
-- description = """
-- When each identity was first and last seen from each address. Sort by
-- first_seen and look at the pairs that begin at the time of the incident.
-- "First" means first in the range that was asked for: give --since well before
-- the incident, or everyone is new. Nodes and identities of the platform are left
-- out unless asked for; service accounts of pods appear under their cluster's
-- outbound address.
-- """
--
-- [params]
-- platform = { type = "bool", description = "Whether nodes and identities of AKS and Kubernetes are shown", default = false }
-- ///

SELECT
    cluster,
    username,
    principal_class,
    client_ip,
    is_public(client_ip) AS public,
    min(time) AS first_seen,
    max(time) AS last_seen,
    count(DISTINCT audit_id) AS requests,
    count(DISTINCT audit_id) FILTER (WHERE status_code IN (401, 403)) AS denied
FROM audit
WHERE $platform OR coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa')
GROUP BY cluster, username, principal_class, client_ip
ORDER BY first_seen DESC, cluster, username, client_ip
