-- /// query
-- title = "Audit report: secrets"
-- topic = "report"
-- section = [4]
-- see_also = ["secret-watchers", "secret-rotations", "secrets-used-by-workloads"]
--
-- description = """
-- Section 4 of the AKS security guide: who reads secrets, how widely, and how
-- workloads get them.
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
            (1, 'All secrets of the cluster were listed or watched', false),
            (2, 'All secrets of a namespace were listed', false),
            (3, 'People read secrets by name', false),
            (4, 'Service accounts read secrets with kubectl, curl or a script', false),
            (5, 'People wrote or deleted secrets', false),
            (6, 'Requests for secrets were refused', false),
            (7, 'Workloads take secrets from Kubernetes, not from a vault', false),
            (8, 'Secrets come from a vault (external-secrets or the secrets store driver)', true)
    ) AS c (number, control, wanted)
),

findings AS (
    SELECT
        cluster,
        1 AS number,
        time AS time,
        concat_ws(' ', username, verb, 'from', client_ip) AS evidence
    FROM audit
    WHERE
        resource = 'secrets'
        AND verb IN ('list', 'watch')
        AND namespace IS NULL
        AND status_code BETWEEN 200 AND 299
        AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    UNION ALL
    SELECT
        cluster,
        2 AS number,
        time AS time,
        concat_ws(' ', username, verb, namespace) AS evidence
    FROM audit
    WHERE
        resource = 'secrets'
        AND verb IN ('list', 'watch')
        AND namespace IS NOT NULL
        AND name IS NULL
        AND status_code BETWEEN 200 AND 299
        AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa')
    UNION ALL
    SELECT
        cluster,
        3 AS number,
        time AS time,
        concat_ws(' ', username, concat_ws('/', namespace, name)) AS evidence
    FROM audit
    WHERE
        resource = 'secrets'
        AND verb = 'get'
        AND status_code BETWEEN 200 AND 299
        AND principal_class IN ('entra-user', 'local-admin', 'other', 'anonymous')
    UNION ALL
    SELECT
        cluster,
        4 AS number,
        time AS time,
        concat_ws(' ', username, concat_ws('/', namespace, name), 'with', split_part(user_agent, ' ', 1)) AS evidence
    FROM audit
    WHERE
        resource = 'secrets'
        AND verb IN ('get', 'list', 'watch')
        AND status_code BETWEEN 200 AND 299
        AND principal_class IN ('service-account', 'system-sa')
        AND regexp_like(user_agent, '^(kubectl|curl|python|Wget|Go-http-client)')
    UNION ALL
    SELECT
        cluster,
        5 AS number,
        time AS time,
        concat_ws(' ', username, verb, concat_ws('/', namespace, name)) AS evidence
    FROM audit
    WHERE
        resource = 'secrets'
        AND verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')
        AND stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
        AND principal_class IN ('entra-user', 'local-admin', 'other', 'anonymous')
    UNION ALL
    SELECT
        cluster,
        6 AS number,
        time AS time,
        concat_ws(' ', username, verb, concat_ws('/', namespace, name)) AS evidence
    FROM audit
    WHERE
        resource = 'secrets' AND status_code IN (401, 403)
    UNION ALL
    SELECT
        cluster,
        7 AS number,
        time AS time,
        concat_ws(' ', concat_ws('/', namespace, name), 'uses', array_to_string(pod_secrets(object), ', ')) AS evidence
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
        AND array_length(pod_secrets(object)) > 0
    UNION ALL
    SELECT
        cluster,
        8 AS number,
        time AS time,
        username AS evidence
    FROM audit
    WHERE
        username LIKE '%external-secrets%' OR username LIKE '%secrets-store%'
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
