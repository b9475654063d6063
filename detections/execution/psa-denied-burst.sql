-- /// detection
-- title = "Pod security refused one identity again and again"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1610"]
-- section = [5]
-- window = "15m"
-- key = ["cluster", "username", "namespace"]
-- suppress = "6h"
-- summary = "{username} was refused {refused} pods in namespace {namespace} of {cluster} by pod security within 15 minutes, from {client_ip}"
--
-- description = """
-- Ten pods refused for violating pod security within a quarter of an hour is somebody trying which way to the node is
-- open, or an operator that cannot work. The loops of Kubernetes' own controllers, which repeat one bad workload for
-- hours, and dry runs do not count, so a Deployment that asks for too much is not seen here (pod-privileged sees it).
-- No body is needed: the reason is in the status message. Read the messages in order: each tells what was tried; then
-- look for a namespace that let it in.
-- """
-- false_positives = [
--   "An operator or chart that does not fit the namespace's level",
-- ]
-- follow_up = ["denied-by-identity", "pod-security-violations"]
-- ///

SELECT
    cluster,
    username,
    namespace,
    count(*) AS refused,
    count(DISTINCT status_message) AS kinds,
    min(left(status_message, 300)) AS example,
    min(client_ip) AS client_ip,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code = 403
    AND resource = 'pods'
    AND status_message LIKE '%violates PodSecurity%'
    AND NOT listed('workload_controllers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
GROUP BY cluster, username, namespace
HAVING count(*) >= 10
