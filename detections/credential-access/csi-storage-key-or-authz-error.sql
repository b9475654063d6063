-- /// detection
-- title = "A storage driver was refused keys or rights"
-- severity = "low"
-- status = "shadow"
-- attack = ["T1552"]
-- section = [4]
-- categories = ["csi-azurefile-controller", "csi-azuredisk-controller", "csi-snapshot-controller"]
-- window = "15m"
-- key = ["cluster", "category"]
-- suppress = "6h"
-- summary = "{category} of {cluster} was refused {failures} times within 15 minutes: {example}"
--
-- description = """
-- The drivers for Azure files and disks ask for storage keys with the cluster's identity; refusals that repeat mean
-- that key access was forbidden, or that somebody changed the identity's roles. The texts (ListKeys,
-- AuthorizationFailed, KeyBasedAuthenticationNotPermitted) are Azure's; that the drivers log them like this is not
-- confirmed on a live cluster, therefore shadow: counted, not sent. There is no body to read. Look at the role
-- assignments in Azure's activity log.
-- """
-- false_positives = [
--   "A policy that forbids key access, which then is meant",
-- ]
-- follow_up = ["control-plane-errors"]
-- ///

SELECT
    cluster,
    category,
    count(*) AS failures,
    min(left(message, 300)) AS example,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM control_plane
WHERE
    category IN ('csi-azurefile-controller', 'csi-azuredisk-controller', 'csi-snapshot-controller')
    AND regexp_like(message, 'ListKeys|AuthorizationFailed|KeyBasedAuthenticationNotPermitted')
GROUP BY cluster, category
HAVING count(*) >= 5
