-- /// detection
-- title = "One identity was slowed down by the API server"
-- severity = "low"
-- status = "stable"
-- attack = ["T1499"]
-- section = [6]
-- categories = ["kube-audit"]
-- window = "5m"
-- suppress = "6h"
-- key = ["cluster", "username"]
-- summary = "{username} was told {requests} times within 5 minutes to slow down by {cluster} ({agent}), from {client_ip}"
--
-- description = """
-- A hundred answers of too many requests within five minutes are a client that floods the API server, on purpose or in a
-- loop, and others wait for it. Evictions that a disruption budget holds back are answered alike and do not count; nor
-- do AKS and the control plane. No body is needed. Find the workload behind it; if it is not yours to stop, take its
-- rights.
-- """
-- false_positives = [
--   "Operators with an error; many clients at once after an outage",
-- ]
-- follow_up = ["slow-and-large-requests", "identity-timeline", "user-agents-by-identity"]
-- ///

SELECT
    cluster,
    username,
    count(DISTINCT audit_id) AS requests,
    min(user_agent) AS agent,
    min(client_ip) AS client_ip,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    status_code = 429
    AND stage = 'ResponseComplete'
    AND coalesce(subresource, '') <> 'eviction'
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
GROUP BY cluster, username
HAVING count(DISTINCT audit_id) >= 100
