-- /// query
-- title = "Audit report: pod security"
-- topic = "report"
-- section = [5]
-- see_also = ["privileged-workloads", "pod-security-violations", "exec-sessions"]
--
-- description = """
-- Section 5 of the AKS security guide: what pods may do to their node, and what was
-- run in them. AKS's own workloads in namespaces of the platform are left out.
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
            (1, 'Privileged containers', false),
            (2, 'Namespaces of the node shared', false),
            (3, 'Paths of the node mounted', false),
            (4, 'Capabilities added', false),
            (5, 'Containers that may run as root, or gain privileges', false),
            (6, 'Workloads put into namespaces of the platform', false),
            (7, 'Pod Security labels taken off a namespace', false),
            (8, 'Pods against the Pod Security Standards, let in or refused', false),
            (9, 'Commands run in pods', false),
            (10, 'Namespaces enforce a Pod Security Standard', true)
    ) AS c (number, control, wanted)
),

findings AS (
    SELECT
        cluster,
        1 AS number,
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
        AND array_length(privileged_containers(object)) > 0
    UNION ALL
    SELECT
        cluster,
        2 AS number,
        time AS time,
        concat_ws(' ', username, 'wrote', resource, concat_ws('/', namespace, name), array_to_string(host_namespaces(object), ',')) AS evidence
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
        AND array_length(host_namespaces(object)) > 0
    UNION ALL
    SELECT
        cluster,
        3 AS number,
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
        AND array_length(host_paths(object)) > 0
    UNION ALL
    SELECT
        cluster,
        4 AS number,
        time AS time,
        concat_ws(' ', username, 'wrote', resource, concat_ws('/', namespace, name), array_to_string(added_capabilities(object), ',')) AS evidence
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
        AND array_length(added_capabilities(object)) > 0
    UNION ALL
    SELECT
        cluster,
        5 AS number,
        time AS time,
        concat_ws(' ', resource, concat_ws('/', namespace, name), c['name']) AS evidence
    FROM (
        SELECT cluster, time, namespace, resource, name, unnest(containers(object)) AS c
        FROM audit
        WHERE
            resource IN (
                'pods', 'deployments', 'daemonsets', 'statefulsets', 'replicasets',
                'jobs', 'cronjobs', 'replicationcontrollers', 'podtemplates'
            )
            AND verb IN ('create', 'update', 'patch')
            AND stage = 'ResponseComplete'
            AND status_code BETWEEN 200 AND 299
            AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
            AND NOT (resource IN ('pods', 'replicasets', 'jobs') AND listed('workload_controllers', username))
            AND NOT (
                coalesce(principal_class, 'other') IN ('aks', 'system', 'system-sa')
                AND listed('system_namespaces', namespace)
            )
    ) AS i
    WHERE
        c['run_as_user'] = 0
        OR (c['run_as_user'] IS NULL AND coalesce(c['run_as_non_root'], false) = false)
        OR coalesce(c['allow_privilege_escalation'], true)
    UNION ALL
    SELECT
        cluster,
        6 AS number,
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
        AND subresource IS NULL
        AND verb IN ('create', 'update', 'patch')
        AND stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
        AND listed('system_namespaces', namespace)
    UNION ALL
    SELECT
        cluster,
        7 AS number,
        time AS time,
        concat_ws(' ', username, name) AS evidence
    FROM audit
    WHERE
        resource = 'namespaces'
        AND verb IN ('create', 'update', 'patch')
        AND stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
        AND verb IN ('update', 'patch')
        AND response_object -> 'metadata' -> 'labels' ->> 'pod-security.kubernetes.io/enforce' IS NULL
        AND request_object LIKE '%pod-security.kubernetes.io/enforce%'
    UNION ALL
    SELECT
        cluster,
        8 AS number,
        time AS time,
        concat_ws(' ', username, concat_ws('/', namespace, name), status_code) AS evidence
    FROM audit
    WHERE
        annotations ->> 'pod-security.kubernetes.io/audit-violations' IS NOT NULL
        OR status_message LIKE '%violates PodSecurity%'
    UNION ALL
    SELECT
        cluster,
        9 AS number,
        time AS time,
        concat_ws(' ', username, 'in', concat_ws('/', namespace, name), exec_command(request_uri, object)) AS evidence
    FROM audit
    WHERE
        resource = 'pods' AND subresource IN ('exec', 'attach') AND status_code < 400
    UNION ALL
    SELECT
        cluster,
        10 AS number,
        time AS time,
        annotations ->> 'pod-security.kubernetes.io/enforce-policy' AS evidence
    FROM audit
    WHERE
        annotations ->> 'pod-security.kubernetes.io/enforce-policy' NOT LIKE 'privileged%'
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
