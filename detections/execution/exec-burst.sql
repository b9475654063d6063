-- /// detection
-- title = "One identity ran commands in many pods"
-- severity = "high"
-- status = "stable"
-- attack = ["T1609"]
-- section = [5]
-- categories = ["kube-audit"]
-- window = "10m"
-- key = ["cluster", "username"]
-- suppress = "1h"
-- summary = "{username} ran commands in {pods} pods in {namespaces} namespaces of {cluster} within ten minutes, from {client_ip}"
--
-- description = """
-- Somebody debugging opens one pod, or the same one again; five within ten minutes is a loop that looks for tokens and
-- secrets, or a script. WebSocket (a get with code 101, in kube-audit only), SPDY and attaching count. No body is
-- needed: the commands are in the requests' addresses. AKS and lists/exec_allowed.csv are left out. Look at the
-- commands, and at what the accounts of these pods did afterwards.
-- """
-- false_positives = [
--   "Scripts that go through a fleet: add the identity to lists/exec_allowed.csv",
-- ]
-- follow_up = ["exec-sessions", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    count(DISTINCT concat(namespace, '/', name)) AS pods,
    count(DISTINCT namespace) AS namespaces,
    min(exec_command(request_uri, object)) AS example,
    min(client_ip) AS client_ip,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND (status_code BETWEEN 200 AND 299 OR status_code = 101)
    AND resource = 'pods'
    AND subresource IN ('exec', 'attach')
    AND verb IN ('create', 'get')
    AND coalesce(principal_class, 'other') <> 'aks'
    AND NOT listed('exec_allowed', username)
GROUP BY cluster, username
HAVING count(DISTINCT concat(namespace, '/', name)) >= 5
