-- /// query
-- title = "User agents of each identity"
-- topic = "identity"
-- section = [1]
-- see_also = ["first-and-last-seen", "identity-timeline"]
--
-- description = """
-- Which programs each identity used. A service account that suddenly uses
-- kubectl, curl or python is held by a person; a person whose kubectl changes
-- version or operating system works on another machine. The user agent is what
-- the client says of itself: a difference is a lead, sameness proves nothing.
-- """
--
-- [params]
-- platform = { type = "bool", description = "Whether nodes and identities of AKS and Kubernetes are shown", default = false }
-- ///

SELECT
    cluster,
    username,
    principal_class,
    user_agent,
    count(DISTINCT audit_id) AS requests,
    array_to_string(array_sort(array_agg(DISTINCT client_ip)), ', ') AS addresses,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE $platform OR coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa')
GROUP BY cluster, username, principal_class, user_agent
ORDER BY cluster, username, first_seen, user_agent
