-- /// detection
-- title = "A log category of a cluster went silent"
-- severity = "high"
-- status = "stable"
-- attack = ["T1562.008"]
-- section = [6]
-- categories = ["kube-audit", "kube-audit-admin", "guard", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "cluster-autoscaler", "cloud-controller-manager"]
-- window = "1h"
-- step = "5m"
-- thin = "1m"
-- key = ["cluster", "category"]
-- summary = "{cluster} has sent nothing of category {category} since {last_seen}, while its other categories go on"
--
-- description = """
-- Turning off one category of a diagnostic setting takes the audit log away and leaves the rest looking alive. Fires once,
-- when a category that logged in 25 of the 30 minutes before has been silent for 30 to 35 minutes while the cluster still
-- sent another within the last five; a category that is seldom busy (guard at night) does not get that far.
-- kube-audit-admin does not count as missing where kube-audit goes on, which holds the same events. The Azure activity log
-- tells who changed the diagnostic setting. No body is needed. A whole cluster that stops is cluster-silent.
-- """
-- false_positives = [
--   "Categories taken out on purpose; a cluster at night whose scheduler or guard has nothing to do",
-- ]
-- follow_up = ["guard-failures"]
-- ///

SELECT
    cluster,
    category,
    minutes_logged,
    first_seen,
    last_seen
FROM (
    SELECT
        cluster,
        category,
        count(DISTINCT date_trunc('minute', time)) AS minutes_logged,
        min(time) AS first_seen,
        max(time) AS last_seen,
        max(max(time)) OVER (PARTITION BY cluster) AS cluster_last,
        max(max(CASE WHEN category = 'kube-audit' THEN time END)) OVER (PARTITION BY cluster) AS audit_last
    FROM (
        SELECT cluster, category, time FROM audit WHERE cluster IS NOT NULL AND category IS NOT NULL
        UNION ALL
        SELECT cluster, category, time FROM control_plane WHERE cluster IS NOT NULL AND category IS NOT NULL
    ) AS record
    GROUP BY cluster, category
) AS stream
WHERE
    last_seen <= window_end() - INTERVAL '30 minutes'
    AND last_seen > window_end() - INTERVAL '35 minutes'
    AND minutes_logged >= 25
    AND cluster_last > window_end() - INTERVAL '5 minutes'
    AND NOT coalesce(category = 'kube-audit-admin' AND audit_last > last_seen, false)
