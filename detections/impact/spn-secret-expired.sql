-- /// detection
-- title = "The cluster's own identity cannot sign in to Azure"
-- severity = "high"
-- status = "shadow"
-- attack = ["T1531"]
-- section = [1, 9]
-- categories = ["cloud-controller-manager", "csi-azuredisk-controller", "csi-azurefile-controller", "csi-snapshot-controller", "cluster-autoscaler", "kube-controller-manager"]
-- key = ["cluster", "code"]
-- suppress = "1d"
-- summary = "{component} of {cluster} was refused by Entra with {code}: {message}"
--
-- description = """
-- The service principal of the cluster has an expired or wrong secret, or was deleted: load balancers, disks and
-- scaling stop, and so does every repair. The codes are Entra's own (7000222 expired, 7000215 wrong secret, 700016
-- unknown application, 50034 unknown account); that these components log them like this is not confirmed on a live
-- cluster, therefore shadow: counted, not sent. There is no body to read. Renew the secret (az aks update-credentials)
-- or move to a managed identity; find out who removed it if it did not expire.
-- """
-- false_positives = [
--   "None known: the identity is broken",
-- ]
-- follow_up = []
-- ///

SELECT
    cluster,
    regexp_match(message, 'AADSTS[0-9]+')[1] AS code,
    category,
    component,
    substr(message, 1, 500) AS message
FROM control_plane
WHERE
    category IN (
        'cloud-controller-manager', 'csi-azuredisk-controller', 'csi-azurefile-controller', 'csi-snapshot-controller',
        'cluster-autoscaler', 'kube-controller-manager'
    )
    AND regexp_like(message, 'AADSTS(7000215|7000222|700016|50034)([^0-9]|$)')
