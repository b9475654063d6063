-- /// detection
-- title = "A cluster runs a Kubernetes version without support"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1190"]
-- section = [9]
-- window = "7d"
-- step = "1h"
-- thin = "1d"
-- suppress = "7d"
-- key = ["cluster", "version"]
-- summary = "{cluster} has run Kubernetes {version} on {days} days of the last week, which lists/supported_versions.csv does not have"
--
-- description = """
-- Without support there are no fixes for what is found in the API server or the kubelet, and AKS upgrades on its own in
-- the end. The version is the one the controller manager names in its user agent. Seen on four days of a week, so an
-- upgrade that passes through a version stays silent; tells again each week. The list holds the versions that are still
-- supported and must be kept. No body is needed. Plan the upgrade.
-- """
-- false_positives = [
--   "Long-term support: add the version to lists/supported_versions.csv",
-- ]
-- follow_up = ["client-versions", "node-versions"]
-- ///

SELECT
    cluster,
    version,
    count(DISTINCT date_trunc('day', time)) AS days,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM (
    SELECT
        cluster,
        regexp_match(user_agent, '^kube-controller-manager/v([0-9]+\.[0-9]+\.[0-9]+)')[1] AS version,
        time
    FROM audit
    WHERE
        stage = 'ResponseComplete'
        AND resource = 'leases'
        AND verb = 'update'
        AND principal_class IN ('aks', 'system')
        AND user_agent LIKE 'kube-controller-manager/v%'
) AS heartbeat
WHERE NOT listed('supported_versions', version)
GROUP BY cluster, version
HAVING count(DISTINCT date_trunc('day', time)) >= 4
