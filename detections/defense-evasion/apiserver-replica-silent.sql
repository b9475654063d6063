-- /// detection
-- title = "One replica of the API server stopped logging"
-- severity = "low"
-- status = "stable"
-- attack = ["T1562.008"]
-- section = [6]
-- categories = ["kube-audit"]
-- window = "1h"
-- step = "5m"
-- thin = "1m"
-- key = ["cluster", "pod"]
-- summary = "{pod} of {cluster} has logged nothing since {last_seen}, while another replica goes on and no new one came"
--
-- description = """
-- A cluster's API server runs in two or more replicas, and each logs what it serves. Fires once, when one that logged in
-- twenty of the minutes before has been silent for half an hour, another still logs, and none began after it or in the
-- quarter of an hour before, as in a roll-out. What the silent one serves is not seen any more, if it serves. AKS also
-- takes replicas away when there is little to do, therefore low. No body is needed. Compare with the requests that
-- clients say they made.
-- """
-- false_positives = [
--   "AKS scaling the control plane down",
-- ]
-- follow_up = ["log-completeness", "clusters-and-categories"]
-- ///

SELECT
    cluster,
    pod,
    minutes_logged,
    first_seen,
    last_seen
FROM (
    SELECT
        cluster,
        pod,
        count(DISTINCT date_trunc('minute', time)) AS minutes_logged,
        min(time) AS first_seen,
        max(time) AS last_seen,
        max(max(time)) OVER (PARTITION BY cluster) AS cluster_last,
        max(min(time)) OVER (PARTITION BY cluster) AS newest_since
    FROM audit
    WHERE
        category = 'kube-audit'
        AND pod IS NOT NULL
        AND cluster IS NOT NULL
    GROUP BY cluster, pod
) AS replica
WHERE
    last_seen <= window_end() - INTERVAL '30 minutes'
    AND last_seen > window_end() - INTERVAL '35 minutes'
    AND minutes_logged >= 20
    AND cluster_last > window_end() - INTERVAL '5 minutes'
    AND newest_since <= last_seen - INTERVAL '15 minutes'
