-- /// query
-- title = "Audit report: admission control"
-- topic = "report"
-- section = [8]
-- see_also = ["webhook-changes", "admission-denials", "pod-security-violations"]
--
-- description = """
-- Section 8 of the AKS security guide: whether policies stand between a request and
-- the cluster, and who moved them.
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
            (1, 'A policy engine works (its webhook is written or named in annotations)', true),
            (2, 'Webhooks deleted', false),
            (3, 'Webhooks written by somebody who does not manage them', false),
            (4, 'Webhooks that let requests through when they fail (failurePolicy Ignore)', false),
            (5, 'Webhooks that call an address outside the cluster', false),
            (6, 'Webhooks that did not answer', false),
            (7, 'Requests refused by policy', false)
    ) AS c (number, control, wanted)
),

findings AS (
    SELECT
        cluster,
        1 AS number,
        time AS time,
        name AS evidence
    FROM audit
    WHERE
        resource IN ('validatingwebhookconfigurations', 'mutatingwebhookconfigurations')
        AND regexp_like(name, 'gatekeeper|policy|kyverno')
        AND verb IN ('create', 'update', 'patch')
        AND status_code BETWEEN 200 AND 299
    UNION ALL
    SELECT
        cluster,
        2 AS number,
        time AS time,
        concat_ws(' ', username, name) AS evidence
    FROM audit
    WHERE
        resource LIKE '%webhookconfigurations'
        AND verb IN ('delete', 'deletecollection')
        AND stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
    UNION ALL
    SELECT
        cluster,
        3 AS number,
        time AS time,
        concat_ws(' ', username, verb, name) AS evidence
    FROM audit
    WHERE
        resource LIKE '%webhookconfigurations'
        AND verb IN ('create', 'update', 'patch')
        AND stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
        AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
        AND NOT listed('webhook_managers', username)
    UNION ALL
    SELECT
        cluster,
        4 AS number,
        time AS time,
        name AS evidence
    FROM audit
    WHERE
        resource = 'validatingwebhookconfigurations'
        AND verb IN ('create', 'update', 'patch')
        AND stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
        AND object ->> 'webhooks' LIKE '%"failurePolicy":"Ignore"%'
    UNION ALL
    SELECT
        cluster,
        5 AS number,
        time AS time,
        concat_ws(' ', username, name) AS evidence
    FROM audit
    WHERE
        resource LIKE '%webhookconfigurations'
        AND verb IN ('create', 'update', 'patch')
        AND stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
        AND regexp_like(object ->> 'webhooks', '"clientConfig":\{[^}]*"url":')
    UNION ALL
    SELECT
        cluster,
        6 AS number,
        time AS time,
        substr(status_message, 1, 200) AS evidence
    FROM audit
    WHERE
        status_message LIKE '%failed calling webhook%'
    UNION ALL
    SELECT
        cluster,
        7 AS number,
        time AS time,
        concat_ws(' ', username, verb, resource, concat_ws('/', namespace, name)) AS evidence
    FROM audit
    WHERE
        status_code >= 400
        AND (
            status_message LIKE '%admission webhook%denied the request%'
            OR status_message LIKE '%ValidatingAdmissionPolicy%denied request%'
            OR status_message LIKE '%violates PodSecurity%'
        )
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
