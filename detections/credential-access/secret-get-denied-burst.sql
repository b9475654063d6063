-- /// detection
-- title = "One identity was refused secrets again and again"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1552.007", "T1613"]
-- section = [4]
-- categories = ["kube-audit"]
-- window = "15m"
-- key = ["cluster", "username"]
-- suppress = "6h"
-- summary = "{username} was refused secrets {requests} times on {cluster} within 15 minutes ({secrets} different ones), from {client_ip}"
--
-- description = """
-- Twenty refusals in a quarter of an hour on at least three secrets or namespaces is guessing names, not a mistake; an
-- operator without rights repeats one or two requests and stays silent. Where what is asked for differs more and some of
-- it succeeds, secret-access-bulk and secret-cross-namespace-sweep fire. Nodes, the control plane, anonymous clients and
-- lists/secret_readers.csv are left out. No body is needed. See whether a request of it succeeded afterwards.
-- """
-- false_positives = [
--   "A broken operator that needs several secrets: give it its role",
-- ]
-- follow_up = ["denied-by-identity", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    count(DISTINCT audit_id) AS requests,
    count(DISTINCT concat(namespace, '/', name)) AS secrets,
    min(client_ip) AS client_ip,
    min(user_agent) AS user_agent,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code = 403
    AND resource = 'secrets'
    AND verb IN ('get', 'list', 'watch')
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'anonymous')
    AND NOT listed('secret_readers', username)
GROUP BY cluster, username
HAVING
    count(DISTINCT audit_id) >= 20
    AND count(DISTINCT concat(namespace, '/', name)) >= 3
