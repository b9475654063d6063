-- /// query
-- title = "Audit report: updates"
-- topic = "report"
-- section = [9]
-- see_also = ["node-versions", "client-versions", "deprecated-apis"]
--
-- description = """
-- Section 9 of the AKS security guide: versions that run, and what an upgrade would
-- break. What AKS supports changes every few months: give oldest from its release
-- calendar.
-- One row for each cluster and control. "look" lists up to ten findings (in
-- alphabetical order; findings has their number), "not seen" means that the logs of
-- the range hold none, which is no proof where a category is not collected (see
-- report-monitoring) or records were cut; "missing" that something wanted did not
-- appear. What stood before the range and was neither used nor written is not seen:
-- this is what the logs can say, beside what Azure Policy says of the state.
-- """
--
-- [params]
-- oldest = { type = "int", description = "Oldest minor version of Kubernetes 1.x that counts as supported", default = 32 }
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
            (1, 'Kubelet versions', true),
            (2, 'Nodes older than the oldest supported version', false),
            (3, 'kubectl older than the oldest supported version', false),
            (4, 'Deprecated APIs in use', false),
            (5, 'AKS maintains the cluster', true),
            (6, 'Workloads of the platform changed by somebody but AKS', false)
    ) AS c (number, control, wanted)
),

findings AS (
    SELECT
        cluster,
        1 AS number,
        time AS time,
        regexp_match(user_agent, 'kubelet/v([0-9.]+)')[1] AS evidence
    FROM audit
    WHERE
        principal_class = 'node' AND user_agent LIKE 'kubelet/%'
    UNION ALL
    SELECT
        cluster,
        2 AS number,
        time AS time,
        concat_ws(' ', substr(username, 13), split_part(user_agent, ' ', 1)) AS evidence
    FROM audit
    WHERE
        principal_class = 'node'
        AND user_agent LIKE 'kubelet/v1.%'
        AND CAST(regexp_match(user_agent, 'kubelet/v1[.]([0-9]+)')[1] AS BIGINT) < $oldest
    UNION ALL
    SELECT
        cluster,
        3 AS number,
        time AS time,
        concat_ws(' ', username, split_part(user_agent, ' ', 1)) AS evidence
    FROM audit
    WHERE
        coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa')
        AND user_agent LIKE 'kubectl/v1.%'
        AND CAST(regexp_match(user_agent, 'kubectl/v1[.]([0-9]+)')[1] AS BIGINT) < $oldest
    UNION ALL
    SELECT
        cluster,
        4 AS number,
        time AS time,
        concat_ws(' ', username, concat_ws('/', api_group, api_version), resource, 'removed in', annotations ->> 'k8s.io/removed-release') AS evidence
    FROM audit
    WHERE
        annotations ->> 'k8s.io/deprecated' = 'true'
    UNION ALL
    SELECT
        cluster,
        5 AS number,
        time AS time,
        username AS evidence
    FROM audit
    WHERE
        username = 'aksService' AND verb IN ('create', 'update', 'patch', 'delete', 'deletecollection') AND status_code BETWEEN 200 AND 299
    UNION ALL
    SELECT
        cluster,
        6 AS number,
        time AS time,
        concat_ws(' ', username, verb, resource, concat_ws('/', namespace, name)) AS evidence
    FROM audit
    WHERE
        listed('system_namespaces', namespace)
        AND resource IN ('deployments', 'daemonsets', 'statefulsets')
        AND subresource IS NULL
        AND verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')
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
