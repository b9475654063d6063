-- /// detection
-- title = "Azure refused the cluster's own identity"
-- severity = "medium"
-- status = "shadow"
-- attack = ["T1078.004"]
-- section = [1, 2]
-- categories = ["cloud-controller-manager", "csi-azuredisk-controller", "csi-azurefile-controller", "csi-snapshot-controller", "cluster-autoscaler", "kube-controller-manager"]
-- window = "15m"
-- key = ["cluster"]
-- suppress = "6h"
-- summary = "Azure refused the identity of {cluster} {failures} times within 15 minutes: {example}"
--
-- description = """
-- The cluster's managed identity asked Azure for something it may not: its role was taken away, the cluster was put
-- into a network it has no rights on, or a workload uses it to try its luck. Three refusals within a quarter of an
-- hour; a single one at a change of roles is silent. That these components log Azure's codes like this is not confirmed
-- on a live cluster, therefore shadow: counted, not sent. There is no body to read. Compare the identity's role
-- assignments with what the cluster needs.
-- """
-- false_positives = [
--   "Networks of your own without the role Network Contributor for the cluster's identity",
-- ]
-- follow_up = []
-- ///

SELECT
    cluster,
    count(*) AS failures,
    substr(min(message), 1, 500) AS example,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM control_plane
WHERE
    category IN (
        'cloud-controller-manager', 'csi-azuredisk-controller', 'csi-azurefile-controller', 'csi-snapshot-controller',
        'cluster-autoscaler', 'kube-controller-manager'
    )
    AND regexp_like(message, '(Linked)?AuthorizationFailed')
GROUP BY cluster
HAVING count(*) >= 3
