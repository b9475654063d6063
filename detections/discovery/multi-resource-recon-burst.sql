-- /// detection
-- title = "One identity listed many sensitive kinds at once"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1613", "T1069.003"]
-- section = [6]
-- categories = ["kube-audit"]
-- window = "1m"
-- step = "10s"
-- key = ["cluster", "username"]
-- suppress = "6h"
-- summary = "{username} listed {kinds} sensitive kinds of {cluster} within a minute ({resources}), {refused} times refused, from {client_ip} with {user_agent}"
--
-- description = """
-- kubectl get of nodes, namespaces, roles, bindings, accounts, config maps and secrets one after another is how one draws
-- a map of a cluster; five of ten kinds within a minute count, refused or not. kubectl get all is one of them. Informers
-- of controllers at start look the same: they are in lists/cluster_readers.csv one by one, and accounts of kube-system are
-- not exempt otherwise. AKS, nodes and the control plane are left out. No body is needed. See whether it went on to
-- secrets or exec.
-- """
-- false_positives = [
--   "k9s, Lens, Headlamp and the portal when they start; operators that restart: add those to lists/cluster_readers.csv",
-- ]
-- follow_up = ["identity-timeline", "denied-by-identity", "secrets-read-by-identity"]
-- ///

SELECT
    cluster,
    username,
    count(DISTINCT resource) AS kinds,
    substr(string_agg(DISTINCT resource, ', ' ORDER BY resource), 1, 500) AS resources,
    count(DISTINCT audit_id) FILTER (WHERE status_code = 403) AS refused,
    min(client_ip) AS client_ip,
    min(user_agent) AS user_agent,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND verb = 'list'
    AND resource IN (
        'namespaces', 'nodes', 'pods', 'roles', 'configmaps', 'serviceaccounts',
        'clusterroles', 'clusterrolebindings', 'rolebindings', 'secrets'
    )
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'anonymous')
    AND NOT listed('cluster_readers', username)
GROUP BY cluster, username
HAVING count(DISTINCT resource) >= 5
