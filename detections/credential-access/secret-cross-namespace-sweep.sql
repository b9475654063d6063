-- /// detection
-- title = "One identity asked for secrets across namespaces"
-- severity = "high"
-- status = "stable"
-- attack = ["T1552.007"]
-- section = [4]
-- categories = ["kube-audit"]
-- window = "10m"
-- key = ["cluster", "username"]
-- suppress = "1h"
-- summary = "{username} asked for secrets in {namespaces} namespaces of {cluster} within 10 minutes ({names}), {refused} requests refused, from {client_ip}"
--
-- description = """
-- Work happens in one or two namespaces; five in ten minutes is a search. Refused requests count. A list over all namespaces
-- names none and is secret-list-cluster-wide's. Nodes, the control plane and lists/secret_readers.csv are left out. No body
-- is needed. See which of the requests succeeded: those secrets are to be rotated.
-- """
-- false_positives = [
--   "Cluster-wide operators and backup tools: add them to lists/secret_readers.csv",
-- ]
-- follow_up = ["identity-timeline", "address-timeline"]
-- ///

SELECT
    cluster,
    username,
    count(DISTINCT namespace) AS namespaces,
    substr(string_agg(DISTINCT namespace, ', ' ORDER BY namespace), 1, 500) AS names,
    count(*) FILTER (WHERE status_code = 403) AS refused,
    min(client_ip) AS client_ip,
    count(DISTINCT client_ip) AS addresses,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND resource = 'secrets'
    AND verb IN ('get', 'list', 'watch')
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node')
    AND NOT listed('secret_readers', username)
    AND namespace IS NOT NULL
GROUP BY cluster, username
HAVING count(DISTINCT namespace) >= 5
