-- /// detection
-- title = "Nodes were replaced outside the maintenance window"
-- severity = "low"
-- status = "shadow"
-- attack = ["T1562"]
-- section = [9]
-- window = "1h"
-- suppress = "1d"
-- key = ["cluster"]
-- summary = "{nodes} nodes joined {cluster} and AKS evicted {pods} pods within an hour, outside the maintenance window"
--
-- description = """
-- AKS drains nodes and brings new ones when it upgrades; at noon on a workday somebody started it by hand, the window is
-- not configured, or a security fix could not wait. Two nodes joined and AKS evicted two pods, not for the autoscaler,
-- in an hour that lists/maintenance_hours.csv does not have. Which client name AKS evicts with was not seen in a real
-- log: therefore shadow. A create of a node at level Metadata does not tell its name and does not count; evictions need
-- no body. The Azure activity log tells who started it.
-- """
-- false_positives = [
--   "Urgent fixes; upgrades of a pool by hand",
-- ]
-- follow_up = ["node-versions", "client-versions"]
-- ///

SELECT
    cluster,
    count(DISTINCT CASE WHEN resource = 'nodes' THEN name END) AS nodes,
    count(DISTINCT CASE WHEN resource = 'pods' THEN namespace || '/' || name END) AS pods,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb = 'create'
    AND (
        (resource = 'nodes' AND principal_class = 'node')
        OR (resource = 'pods' AND subresource = 'eviction' AND principal_class = 'aks' AND user_agent NOT LIKE 'cluster-autoscaler%')
    )
    AND NOT listed(
        'maintenance_hours',
        concat(cluster, ' ', CAST(CAST(date_part('dow', time) AS int) AS varchar), ' ', CAST(CAST(date_part('hour', time) AS int) AS varchar))
    )
GROUP BY cluster
HAVING
    count(DISTINCT CASE WHEN resource = 'nodes' THEN name END) >= 2
    AND count(DISTINCT CASE WHEN resource = 'pods' THEN namespace || '/' || name END) >= 2
