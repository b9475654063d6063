-- /// query
-- title = "Audit report: network"
-- topic = "report"
-- section = [2]
-- see_also = ["service-exposure", "network-policy-history", "requests-by-address-range"]
--
-- description = """
-- Section 2 of the AKS security guide: what was opened, and who reaches the API
-- server from where.
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
            (1, 'Load balancers with a public address', false),
            (2, 'Ports opened on nodes, or external addresses', false),
            (3, 'Network policies deleted', false),
            (4, 'Ingresses without TLS', false),
            (5, 'Workloads on the network of their node', false),
            (6, 'Port-forwards, which go past network policies', false),
            (7, 'The API server answered public addresses that are not the cluster''s own nor Azure''s', false)
    ) AS c (number, control, wanted)
),

findings AS (
    SELECT
        cluster,
        1 AS number,
        time AS time,
        concat_ws(' ', username, 'made', concat_ws('/', namespace, name)) AS evidence
    FROM audit
    WHERE
        resource = 'services'
        AND subresource IS NULL
        AND verb IN ('create', 'update', 'patch')
        AND stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
        AND object -> 'spec' ->> 'type' = 'LoadBalancer'
        AND coalesce(object -> 'metadata' -> 'annotations' ->> 'service.beta.kubernetes.io/azure-load-balancer-internal', '') <> 'true'
    UNION ALL
    SELECT
        cluster,
        2 AS number,
        time AS time,
        concat_ws(' ', username, 'made', concat_ws('/', namespace, name)) AS evidence
    FROM audit
    WHERE
        resource = 'services'
        AND subresource IS NULL
        AND verb IN ('create', 'update', 'patch')
        AND stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
        AND (object -> 'spec' ->> 'type' = 'NodePort' OR object -> 'spec' ->> 'externalIPs' IS NOT NULL)
    UNION ALL
    SELECT
        cluster,
        3 AS number,
        time AS time,
        concat_ws(' ', username, verb, concat_ws('/', namespace, name)) AS evidence
    FROM audit
    WHERE
        resource LIKE '%networkpolicies'
        AND verb IN ('delete', 'deletecollection')
        AND stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
        AND NOT listed('cleanup_controllers', username)
    UNION ALL
    SELECT
        cluster,
        4 AS number,
        time AS time,
        concat_ws(' ', username, 'wrote', concat_ws('/', namespace, name)) AS evidence
    FROM audit
    WHERE
        resource = 'ingresses'
        AND subresource IS NULL
        AND verb IN ('create', 'update', 'patch')
        AND stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
        AND object -> 'spec' -> 'rules' IS NOT NULL
        AND object -> 'spec' -> 'tls' IS NULL
    UNION ALL
    SELECT
        cluster,
        5 AS number,
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
        AND array_has(host_namespaces(object), 'network')
    UNION ALL
    SELECT
        cluster,
        6 AS number,
        time AS time,
        concat_ws(' ', username, 'to', concat_ws('/', namespace, name)) AS evidence
    FROM audit
    WHERE
        resource = 'pods' AND subresource = 'portforward'
    UNION ALL
    SELECT
        a.cluster,
        7 AS number,
        a.time AS time,
        concat_ws(' ', a.client_ip, a.username) AS evidence
    FROM audit AS a
    LEFT JOIN (
        SELECT DISTINCT cluster, client_ip FROM audit WHERE principal_class = 'node'
    ) AS n ON a.cluster = n.cluster AND a.client_ip = n.client_ip
    WHERE
        is_public(a.client_ip)
        AND a.client_ip <> '168.63.129.16'
        AND a.status_code < 400
        AND n.client_ip IS NULL
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
