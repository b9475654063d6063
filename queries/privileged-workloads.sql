-- /// query
-- title = "Workloads with rights over their node"
-- topic = "workload"
-- section = [5]
-- see_also = ["pods-by-people", "host-path-mounts", "report-pod-security"]
--
-- description = """
-- Pods and workloads written in the range that are privileged, share a namespace
-- of the node, mount its file system or add capabilities, with who wrote them.
-- Agents of nodes (network, storage, monitoring) need this: know them, and look at
-- what else is there. Pods are told as their workload, except those made by hand;
-- a body that was cut or skipped (body_lost in pods-by-people) cannot be judged and
-- is not here. What was made before the range is not seen: the list is of writes,
-- not of what runs.
-- """
-- ///

SELECT
    cluster,
    namespace,
    resource,
    coalesce(name, concat(object -> 'metadata' ->> 'generateName', '*')) AS name,
    array_to_string(privileged_containers(object), ', ') AS privileged,
    array_to_string(host_namespaces(object), ', ') AS host_namespaces,
    array_to_string(host_paths(object), ', ') AS host_paths,
    array_to_string(added_capabilities(object), ', ') AS capabilities,
    array_to_string(array_sort(array_agg(DISTINCT username)), ', ') AS written_by,
    count(DISTINCT audit_id) AS writes,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    resource IN (
        'pods', 'deployments', 'daemonsets', 'statefulsets', 'replicasets',
        'jobs', 'cronjobs', 'replicationcontrollers', 'podtemplates'
    )
    AND (subresource IS NULL OR subresource = 'ephemeralcontainers')
    AND verb IN ('create', 'update', 'patch')
    AND stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
    AND NOT (resource IN ('pods', 'replicasets', 'jobs') AND listed('workload_controllers', username))
    AND (
        array_length(privileged_containers(object)) > 0
        OR array_length(host_namespaces(object)) > 0
        OR array_length(host_paths(object)) > 0
        OR array_length(added_capabilities(object)) > 0
    )
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
ORDER BY first_seen, cluster, namespace, resource, name
