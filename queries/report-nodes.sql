-- /// query
-- title = "Audit report: nodes"
-- topic = "report"
-- section = [7]
-- see_also = ["node-versions", "host-path-mounts", "privileged-workloads"]
--
-- description = """
-- Section 7 of the AKS security guide: what reaches the nodes, and who changed them.
-- One row for each cluster and control. "look" lists up to ten findings (in
-- alphabetical order; findings has their number), "not seen" means that the logs of
-- the range hold none, which is no proof where a category is not collected (see
-- report-monitoring) or records were cut; "missing" that something wanted did not
-- appear. What stood before the range and was neither used nor written is not seen:
-- this is what the logs can say, beside what Azure Policy says of the state.
-- """
-- ///

-- The clusters as items of one list: of a DISTINCT that is joined and grouped, DataFusion 55 believes
-- that it determines the other columns, and drops them from the ORDER BY.
WITH clusters AS (
    SELECT unnest(array_agg(DISTINCT cluster)) AS cluster
    FROM (
        SELECT cluster FROM audit
        UNION ALL
        SELECT cluster FROM control_plane
    ) AS seen
),

controls AS (
    SELECT *
    FROM (
        VALUES
            (1, 'Nodes report (kubelet versions)', true),
            (2, 'Workloads with the node''s disk, its container runtime or its kubelet mounted', false),
            (3, 'Workloads that share the node''s processes', false),
            (4, 'Commands that enter the node (nsenter, chroot, the node''s files)', false),
            (5, 'Debug pods on nodes', false),
            (6, 'Requests proxied to nodes', false),
            (7, 'Nodes changed or deleted by somebody but AKS', false),
            (8, 'DaemonSets, which run on every node, by somebody but AKS', false)
    ) AS c (number, control, wanted)
),

findings AS (
    SELECT
        cluster,
        1 AS number,
        time AS time,
        split_part(user_agent, ' ', 1) AS evidence
    FROM audit
    WHERE
        principal_class = 'node' AND user_agent LIKE 'kubelet/%'
    UNION ALL
    SELECT
        cluster,
        2 AS number,
        time AS time,
        concat_ws(' ', username, 'wrote', resource, concat_ws('/', namespace, name), array_to_string(host_paths(object), ',')) AS evidence
    FROM audit
    WHERE
        resource IN (
            'pods', 'deployments', 'daemonsets', 'statefulsets', 'replicasets',
            'jobs', 'cronjobs', 'replicationcontrollers', 'podtemplates'
        )
        AND NOT (resource IN ('pods', 'replicasets', 'jobs') AND listed('workload_controllers', username))
        AND NOT (
            coalesce(principal_class, 'other') IN ('aks', 'system', 'system-sa')
            AND listed('system_namespaces', namespace)
        )
        AND verb IN ('create', 'update', 'patch')
        AND stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
        AND (
            array_has(host_paths(object), '/')
            OR any_under(
                host_paths(object),
                ARRAY['/etc', '/root', '/home', '/proc', '/sys', '/var/lib/kubelet', '/var/run', '/run', '/var/lib/containerd', '/usr', '/boot']
            )
        )
    UNION ALL
    SELECT
        cluster,
        3 AS number,
        time AS time,
        concat_ws(' ', username, 'wrote', resource, concat_ws('/', namespace, name)) AS evidence
    FROM audit
    WHERE
        resource IN (
            'pods', 'deployments', 'daemonsets', 'statefulsets', 'replicasets',
            'jobs', 'cronjobs', 'replicationcontrollers', 'podtemplates'
        )
        AND NOT (resource IN ('pods', 'replicasets', 'jobs') AND listed('workload_controllers', username))
        AND NOT (
            coalesce(principal_class, 'other') IN ('aks', 'system', 'system-sa')
            AND listed('system_namespaces', namespace)
        )
        AND verb IN ('create', 'update', 'patch')
        AND stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
        AND array_has(host_namespaces(object), 'pid')
    UNION ALL
    SELECT
        cluster,
        4 AS number,
        time AS time,
        concat_ws(' ', username, 'in', concat_ws('/', namespace, name), exec_command(request_uri, object)) AS evidence
    FROM audit
    WHERE
        resource = 'pods'
        AND subresource IN ('exec', 'attach')
        AND regexp_like(exec_command(request_uri, object), 'nsenter|chroot|/host')
    UNION ALL
    SELECT
        cluster,
        5 AS number,
        time AS time,
        concat_ws(' ', username, concat_ws('/', namespace, name)) AS evidence
    FROM audit
    WHERE
        resource = 'pods' AND verb = 'create' AND name LIKE 'node-debugger-%' AND status_code BETWEEN 200 AND 299
    UNION ALL
    SELECT
        cluster,
        6 AS number,
        time AS time,
        concat_ws(' ', username, verb, name) AS evidence
    FROM audit
    WHERE
        resource = 'nodes' AND subresource = 'proxy'
    UNION ALL
    SELECT
        cluster,
        7 AS number,
        time AS time,
        concat_ws(' ', username, verb, name) AS evidence
    FROM audit
    WHERE
        resource = 'nodes'
        AND verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')
        AND status_code BETWEEN 200 AND 299
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
        AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa')
    UNION ALL
    SELECT
        cluster,
        8 AS number,
        time AS time,
        concat_ws(' ', username, verb, concat_ws('/', namespace, name)) AS evidence
    FROM audit
    WHERE
        resource = 'daemonsets'
        AND subresource IS NULL
        AND verb IN ('create', 'update', 'patch')
        AND stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
        AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa')
)

SELECT
    k.cluster,
    c.number,
    c.control,
    CASE
        WHEN c.wanted AND count(f.number) = 0 THEN 'missing'
        WHEN c.wanted THEN 'present'
        WHEN count(f.number) = 0 THEN 'not seen'
        ELSE 'look'
    END AS verdict,
    count(f.number) AS findings,
    array_to_string(array_slice(array_sort(array_agg(DISTINCT f.evidence)), 1, 10), '; ') AS evidence,
    min(f.time) AS first_seen,
    max(f.time) AS last_seen
FROM clusters AS k
CROSS JOIN controls AS c
LEFT JOIN findings AS f ON k.cluster = f.cluster AND c.number = f.number
GROUP BY k.cluster, c.number, c.control, c.wanted
ORDER BY k.cluster, c.number
