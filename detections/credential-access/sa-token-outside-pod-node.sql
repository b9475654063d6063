-- /// detection
-- title = "A pod's token was used from another address while the pod used it"
-- severity = "high"
-- status = "stable"
-- attack = ["T1528", "T1550.001"]
-- section = [1]
-- categories = ["kube-audit"]
-- window = "1h"
-- step = "1m"
-- thin = "1m"
-- key = ["cluster", "username", "pod"]
-- suppress = "6h"
-- summary = "The token of pod {pod_name} ({username}) was used on {cluster} from {elsewhere}, while it was in use from: {addresses}"
--
-- description = """
-- A projected token belongs to one pod and never leaves it. Fires when within an hour the token of one pod (by its uid)
-- comes from two addresses at the same time, one of which no other pod's token comes from and which is not in
-- lists/cluster_networks.csv. Pods that come through the cluster's outbound addresses share those, and one that was
-- restarted with another address has left the first: both stay silent. A token used elsewhere while its pod is quiet is
-- not seen here (system-principal-external-ip sees it from outside Azure). Needs Kubernetes 1.32 or later, which put
-- the pod's uid into the event; no body is needed. Delete the pod, look at everything that address did, and find out
-- how the token got out (exec, secrets, logs).
-- """
-- false_positives = [
--   "Pods of nodes with several addresses, or of both address families: add the networks to lists/cluster_networks.csv",
--   "A cluster with several outbound addresses outside Azure: add those there",
-- ]
-- follow_up = ["address-timeline", "identity-timeline", "exec-sessions"]
-- ///

SELECT
    cluster,
    username,
    min(pod_name) AS pod_name,
    pod,
    string_agg(DISTINCT client_ip, ', ' ORDER BY client_ip) AS elsewhere,
    min(addresses) AS addresses,
    min(first_seen) AS first_seen,
    max(last_seen) AS last_seen
FROM (
    SELECT
        cluster,
        username,
        pod,
        pod_name,
        client_ip,
        first_seen,
        last_seen,
        array_to_string(array_agg(client_ip) OVER (PARTITION BY cluster, pod), ', ') AS addresses,
        max(last_seen) OVER (
            PARTITION BY cluster, pod ORDER BY first_seen, client_ip
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS used_before_until,
        min(first_seen) OVER (
            PARTITION BY cluster, pod ORDER BY first_seen, client_ip
            ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
        ) AS used_after_from,
        count(*) OVER (PARTITION BY cluster, client_ip) AS pods_there
    FROM (
        SELECT
            cluster,
            username,
            user_extra -> 'authentication.kubernetes.io/pod-uid' ->> 0 AS pod,
            min(user_extra -> 'authentication.kubernetes.io/pod-name' ->> 0) AS pod_name,
            client_ip,
            min(time) AS first_seen,
            max(time) AS last_seen
        FROM audit
        WHERE
            stage IN ('ResponseComplete', 'ResponseStarted')
            AND principal_class IN ('service-account', 'system-sa')
            AND (user_extra -> 'authentication.kubernetes.io/pod-uid' ->> 0) IS NOT NULL
        GROUP BY cluster, username, user_extra -> 'authentication.kubernetes.io/pod-uid' ->> 0, client_ip
    ) AS used
) AS address
WHERE
    pods_there = 1
    AND NOT listed('cluster_networks', client_ip)
    AND (used_before_until > first_seen OR used_after_from < last_seen)
GROUP BY cluster, username, pod
