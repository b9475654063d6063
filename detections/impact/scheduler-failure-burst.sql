-- /// detection
-- title = "Many pods found no node"
-- severity = "low"
-- status = "stable"
-- attack = ["T1496", "T1499"]
-- section = [5, 6]
-- categories = ["kube-scheduler"]
-- window = "10m"
-- suppress = "6h"
-- key = ["cluster"]
-- summary = "{pods} pods of {cluster} found no node within 10 minutes, such as {example}"
--
-- description = """
-- Fifty different pods that cannot be placed within ten minutes are a batch larger than the cluster, nodes that are
-- gone, or somebody who fills the cluster with work of his own. The rule has no memory of what is usual, therefore low.
-- Needs the category kube-scheduler; there is no body to read. See which workload the pods belong to, and whether the
-- autoscaler followed.
-- """
-- false_positives = [
--   "Batch work that waits for the autoscaler; evicted spot nodes",
-- ]
-- follow_up = ["control-plane-lines", "autoscaler-decisions", "workload-rollouts"]
-- ///

SELECT
    cluster,
    count(DISTINCT regexp_match(message, 'pod="([^"]+)"')[1]) AS pods,
    min(regexp_match(message, 'pod="([^"]+)"')[1]) AS example,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM control_plane
WHERE
    category = 'kube-scheduler'
    AND message LIKE '%Unable to schedule pod%'
GROUP BY cluster
HAVING count(DISTINCT regexp_match(message, 'pod="([^"]+)"')[1]) >= 50
