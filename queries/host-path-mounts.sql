-- /// query
-- title = "Paths of nodes that pods mount"
-- topic = "workload"
-- section = [5, 7]
-- see_also = ["privileged-workloads"]
--
-- description = """
-- Every hostPath volume of workloads written in the range, by path. /, /etc,
-- /root, /var/lib/kubelet and the container runtime's socket give the node away;
-- /var/log and /proc much of it. Whether the mount is read only is not weighed.
-- """
-- ///

WITH mounts AS (
    SELECT time, cluster, namespace, resource, name, username, audit_id, unnest(host_paths(object)) AS path
    FROM audit
    WHERE
        resource IN (
        'pods', 'deployments', 'daemonsets', 'statefulsets', 'replicasets',
        'jobs', 'cronjobs', 'replicationcontrollers', 'podtemplates'
        )
        AND subresource IS NULL
        AND verb IN ('create', 'update', 'patch')
        AND stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
        AND NOT (resource IN ('pods', 'replicasets', 'jobs') AND listed('workload_controllers', username))
)

SELECT
    path,
    cluster,
    namespace,
    resource,
    name,
    array_to_string(array_sort(array_agg(DISTINCT username)), ', ') AS written_by,
    count(DISTINCT audit_id) AS writes,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM mounts
GROUP BY path, cluster, namespace, resource, name
ORDER BY path, cluster, namespace, resource, name
