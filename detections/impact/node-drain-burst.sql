-- /// detection
-- title = "Somebody drained nodes"
-- severity = "low"
-- status = "stable"
-- attack = ["T1489"]
-- section = [7]
-- window = "10m"
-- suppress = "6h"
-- key = ["cluster", "username"]
-- summary = "{username} evicted {pods} pods and cordoned {nodes} nodes of {cluster} within 10 minutes, from {client_ip}"
--
-- description = """
-- Fifty pods evicted or three nodes taken out of service within ten minutes by a person, a pipeline or the local admin:
-- maintenance by hand, or an outage in the making. AKS's upgrades, autoscalers and service accounts are not counted.
-- Evictions need no body; a node is known to be cordoned by the body of the request only (not at level Metadata, or when
-- it was cut before it). Dry runs do not count. See whether the nodes came back.
-- """
-- false_positives = [
--   "Maintenance by hand",
-- ]
-- follow_up = ["node-versions", "deletions-by-identity", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    count(DISTINCT CASE WHEN resource = 'pods' THEN namespace || '/' || name END) AS pods,
    count(DISTINCT CASE WHEN resource = 'nodes' THEN name END) AS nodes,
    min(client_ip) AS client_ip,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND (
        (resource = 'pods' AND subresource = 'eviction' AND verb = 'create')
        OR (resource = 'nodes' AND verb IN ('update', 'patch') AND regexp_like(request_object, '"unschedulable"\s*:\s*true|/spec/unschedulable"[^{}]*true'))
    )
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa', 'service-account')
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
GROUP BY cluster, username
HAVING
    count(DISTINCT CASE WHEN resource = 'pods' THEN namespace || '/' || name END) >= 50
    OR count(DISTINCT CASE WHEN resource = 'nodes' THEN name END) >= 3
