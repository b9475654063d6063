-- /// detection
-- title = "A workload asked what the API can do, again and again"
-- severity = "low"
-- status = "stable"
-- attack = ["T1613"]
-- section = [6]
-- categories = ["kube-audit"]
-- window = "1m"
-- step = "10s"
-- suppress = "1d"
-- key = ["cluster", "username", "agent"]
-- summary = "{username} asked {cluster} for {requests} descriptions of its API within a minute, with {agent}, from {client_ip}"
--
-- description = """
-- Twenty requests within a minute for /api, /apis and /openapi by a service account are a tool that maps the API, or a
-- client that keeps no cache and starts. The published audit policy leaves these paths out, so in many clusters there is
-- nothing to see. Controllers that do so when they start are in lists/cluster_readers.csv, one by one. No body is
-- needed. See what it asked for next.
-- """
-- false_positives = [
--   "kubectl and helm in jobs; operators that restart: add those to lists/cluster_readers.csv",
-- ]
-- follow_up = ["identity-timeline", "rights-probing"]
-- ///

SELECT
    cluster,
    username,
    user_agent AS agent,
    count(DISTINCT audit_id) AS requests,
    min(client_ip) AS client_ip,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND verb = 'get'
    AND resource IS NULL
    AND principal_class IN ('service-account', 'system-sa')
    AND regexp_like(request_uri, '^/(api|apis|openapi)([/?]|$)')
    AND NOT listed('cluster_readers', username)
GROUP BY cluster, username, user_agent
HAVING count(DISTINCT audit_id) >= 20
