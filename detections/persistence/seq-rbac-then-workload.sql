-- /// detection
-- title = "Rights were given and a workload changed right after"
-- severity = "low"
-- status = "stable"
-- attack = ["T1098.006", "T1610"]
-- section = [6, 1]
-- window = "5m"
-- key = ["cluster", "username"]
-- suppress = "1h"
-- summary = "{username} wrote {roles} and then {workloads} of {cluster} within five minutes, from {client_ip}"
--
-- description = """
-- Giving an account rights and starting what uses them is how a foothold is built, and how a chart is installed: ask
-- which it was; low, since charts do it more often. The order counts. A patch that only labels a role or binding does
-- not count. AKS, accounts of the system namespaces and the identities of lists/workload_deployers.csv are left out;
-- the local admin is not. No body is needed; dry runs do not count. Look at the role and at the account the workload
-- runs as.
-- """
-- false_positives = [
--   "helm install by people and pipelines: add pipelines to lists/workload_deployers.csv",
-- ]
-- follow_up = ["identity-timeline", "cluster-admins-by-bindings", "object-history"]
-- ///

SELECT
    cluster,
    username,
    min(what) FILTER (WHERE rights) AS roles,
    min(what) FILTER (WHERE NOT rights) AS workloads,
    min(client_ip) AS client_ip,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM (
    SELECT
        cluster,
        username,
        client_ip,
        time,
        concat(resource, ' ', coalesce(namespace || '/', ''), name) AS what,
        resource IN ('clusterroles', 'roles', 'clusterrolebindings', 'rolebindings') AS rights
    FROM audit
    WHERE
        stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND verb IN ('create', 'update', 'patch')
        AND resource IN (
            'clusterroles', 'roles', 'clusterrolebindings', 'rolebindings',
            'pods', 'deployments', 'daemonsets', 'statefulsets', 'jobs', 'cronjobs'
        )
        AND subresource IS NULL
        AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa')
        AND NOT listed('workload_deployers', username)
        AND (
            verb <> 'patch'
            OR resource NOT IN ('clusterroles', 'roles', 'clusterrolebindings', 'rolebindings')
            OR request_object IS NULL
            OR truncated
            OR regexp_like(request_object, 'rules"|/rules|subjects|roleRef|aggregat')
        )
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
) AS written
GROUP BY cluster, username
HAVING min(time) FILTER (WHERE rights) < max(time) FILTER (WHERE NOT rights)
