-- /// query
-- title = "Audit report: monitoring and auditing"
-- topic = "report"
-- section = [6]
-- see_also = ["log-completeness", "clusters-and-categories", "evidence-removed"]
--
-- description = """
-- Section 6 of the AKS security guide: which categories arrive, and whether
-- anything is missing from them.
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
            (1, 'Writes are logged (kube-audit or kube-audit-admin)', true),
            (2, 'Reads are logged (kube-audit): secrets that were read, exec over WebSocket', true),
            (3, 'Sign-ins with Entra ID are logged (guard)', true),
            (4, 'The API server logs (kube-apiserver)', true),
            (5, 'Controllers log (kube-controller-manager)', true),
            (6, 'The scheduler logs (kube-scheduler)', true),
            (7, 'The autoscaler logs (cluster-autoscaler)', true),
            (8, 'The cloud controller logs (cloud-controller-manager)', true),
            (9, 'Records of people and workloads were cut or lost their body', false),
            (10, 'The cluster was silent for an hour or more while another logged', false),
            (11, 'Events were deleted', false)
    ) AS c (number, control, wanted)
),

findings AS (
    SELECT
        cluster,
        1 AS number,
        time AS time,
        category AS evidence
    FROM audit
    WHERE
        category IN ('kube-audit', 'kube-audit-admin')
    UNION ALL
    SELECT
        cluster,
        2 AS number,
        time AS time,
        concat(verb, ' in ', category) AS evidence
    FROM audit
    WHERE
        verb IN ('get', 'list', 'watch')
    UNION ALL
    SELECT
        cluster,
        3 AS number,
        time AS time,
        category AS evidence
    FROM control_plane
    WHERE
        category = 'guard'
    UNION ALL
    SELECT
        cluster,
        4 AS number,
        time AS time,
        category AS evidence
    FROM control_plane
    WHERE
        category = 'kube-apiserver'
    UNION ALL
    SELECT
        cluster,
        5 AS number,
        time AS time,
        category AS evidence
    FROM control_plane
    WHERE
        category = 'kube-controller-manager'
    UNION ALL
    SELECT
        cluster,
        6 AS number,
        time AS time,
        category AS evidence
    FROM control_plane
    WHERE
        category = 'kube-scheduler'
    UNION ALL
    SELECT
        cluster,
        7 AS number,
        time AS time,
        category AS evidence
    FROM control_plane
    WHERE
        category = 'cluster-autoscaler'
    UNION ALL
    SELECT
        cluster,
        8 AS number,
        time AS time,
        category AS evidence
    FROM control_plane
    WHERE
        category = 'cloud-controller-manager'
    UNION ALL
    SELECT
        cluster,
        9 AS number,
        time AS time,
        concat_ws(' ', username, verb, resource, concat_ws('/', namespace, name)) AS evidence
    FROM audit
    WHERE
        (truncated OR body_skipped) AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa')
    UNION ALL
    SELECT
        cluster,
        10 AS number,
        time AS time,
        concat('silent from ', CAST(date_trunc('minute', time) AS TEXT)) AS evidence
    FROM (
        SELECT
            cluster,
            time,
            coalesce(lead(time) OVER (PARTITION BY cluster ORDER BY time), max(time) OVER ()) - time AS silence
        FROM audit
    ) AS s
    WHERE
        silence >= INTERVAL '1 hour'
    UNION ALL
    SELECT
        cluster,
        11 AS number,
        time AS time,
        concat_ws(' ', username, verb, concat_ws('/', namespace, name)) AS evidence
    FROM audit
    WHERE
        resource = 'events' AND verb IN ('delete', 'deletecollection') AND status_code BETWEEN 200 AND 299 AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa')
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
