-- /// detection
-- title = "Somebody read the logs of many pods"
-- severity = "low"
-- status = "stable"
-- attack = ["T1613", "T1552"]
-- section = [5, 6]
-- categories = ["kube-audit"]
-- window = "10m"
-- key = ["cluster", "username"]
-- suppress = "1h"
-- summary = "{username} read the logs of {pods} pods in {namespaces} namespaces of {cluster} within ten minutes, from {client_ip}"
--
-- description = """
-- Logs hold tokens, connection strings and personal data, and reading them needs less than reading secrets does.
-- Twenty pods in ten minutes is a sweep, or a tool such as stern or k9s that follows everything: low for that. Reads
-- by service accounts, nodes, AKS and system accounts do not count. No body is needed. Reads are in kube-audit only.
-- See what else the identity did.
-- """
-- false_positives = [
--   "stern, k9s and kubectl logs with a selector",
-- ]
-- follow_up = ["identity-timeline", "pod-access"]
-- ///

SELECT
    cluster,
    username,
    count(DISTINCT concat(namespace, '/', name)) AS pods,
    count(DISTINCT namespace) AS namespaces,
    min(client_ip) AS client_ip,
    min(user_agent) AS user_agent,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND status_code BETWEEN 200 AND 299
    AND verb = 'get'
    AND resource = 'pods'
    AND subresource = 'log'
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'service-account', 'system-sa')
GROUP BY cluster, username
HAVING count(DISTINCT concat(namespace, '/', name)) >= 20
