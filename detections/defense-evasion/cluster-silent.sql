-- /// detection
-- title = "A cluster stopped logging"
-- severity = "critical"
-- status = "stable"
-- attack = ["T1562.008"]
-- section = [6]
-- categories = ["kube-audit", "kube-audit-admin", "guard", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "cluster-autoscaler", "cloud-controller-manager"]
-- window = "30m"
-- step = "1m"
-- thin = "1m"
-- key = ["cluster"]
-- summary = "{cluster} has sent no record of any category since {last_seen}"
--
-- description = """
-- A cluster that runs writes several records a second. Fires once, when a cluster that logged in at least ten of the twenty minutes
-- before has then been silent for ten, by the time of the other clusters' records or of its own next one. The diagnostic setting or
-- the hub's authorisation was removed, the subscription was moved, or the cluster was stopped: the Azure activity log
-- tells who did it. No body is needed. If somebody did it on purpose, everything since then is unwatched.
-- """
-- false_positives = [
--   "az aks stop and maintenance; an archive with holes",
-- ]
-- ///

SELECT
    cluster,
    count(DISTINCT date_trunc('minute', time)) AS minutes_logged,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM (
    SELECT cluster, time FROM audit WHERE cluster IS NOT NULL
    UNION ALL
    SELECT cluster, time FROM control_plane WHERE cluster IS NOT NULL
) AS record
GROUP BY cluster
HAVING
    max(time) <= window_end() - INTERVAL '10 minutes'
    AND max(time) > window_end() - INTERVAL '11 minutes'
    AND count(DISTINCT date_trunc('minute', time)) >= 10
