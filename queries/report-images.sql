-- /// query
-- title = "Audit report: images"
-- topic = "report"
-- section = [3]
-- see_also = ["new-images", "workload-rollouts"]
--
-- description = """
-- Section 3 of the AKS security guide: where images come from and how they are
-- named.
-- One row for each cluster and control. "look" lists up to ten findings (in
-- alphabetical order; findings has their number), "not seen" means that the logs of
-- the range hold none, which is no proof where a category is not collected (see
-- report-monitoring) or records were cut; "missing" that something wanted did not
-- appear. What stood before the range and was neither used nor written is not seen:
-- this is what the logs can say, beside what Azure Policy says of the state.
-- """
--
-- example = { registries = ["mcr.microsoft.com", "contosoprod.azurecr.io"] }
--
-- [params]
-- registries = { type = "string[]", description = "Registries that images may come from", default = ["mcr.microsoft.com"] }
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
            (1, 'Images of registries that are not allowed', false),
            (2, 'Images named latest, or by no tag and no digest', false),
            (3, 'Repositories whose images are named by a tag that can be moved, not by digest', false),
            (4, 'Images put into running pods for debugging', false),
            (5, 'Workloads deployed by people, not by a pipeline', false),
            (6, 'An image could not be judged: the body was cut or skipped', false)
    ) AS c (number, control, wanted)
),

findings AS (
    SELECT
        cluster,
        1 AS number,
        time AS time,
        concat_ws(' ', image, 'in', concat_ws('/', namespace, name)) AS evidence
    FROM (
        SELECT cluster, time, namespace, name, unnest(container_images(object)) AS image
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
        NOT array_has($registries, image_registry(image))
    UNION ALL
    SELECT
        cluster,
        2 AS number,
        time AS time,
        concat_ws(' ', image, 'in', concat_ws('/', namespace, name)) AS evidence
    FROM (
        SELECT cluster, time, namespace, name, unnest(container_images(object)) AS image
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
        image_digest(image) IS NULL AND coalesce(image_tag(image), 'latest') = 'latest'
    UNION ALL
    SELECT
        cluster,
        3 AS number,
        time AS time,
        concat_ws('/', image_registry(image), image_repository(image)) AS evidence
    FROM (
        SELECT cluster, time, unnest(container_images(object)) AS image
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
        image_digest(image) IS NULL AND image_registry(image) <> 'mcr.microsoft.com'
    UNION ALL
    SELECT
        cluster,
        4 AS number,
        time AS time,
        concat_ws(' ', username, array_to_string(container_images(coalesce(request_object, object)), ', '), 'into', concat_ws('/', namespace, name)) AS evidence
    FROM audit
    WHERE
        resource = 'pods'
        AND subresource = 'ephemeralcontainers'
        AND verb IN ('create', 'update', 'patch')
        AND stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
    UNION ALL
    SELECT
        cluster,
        5 AS number,
        time AS time,
        concat_ws(' ', username, verb, resource, concat_ws('/', namespace, name)) AS evidence
    FROM audit
    WHERE
        resource IN ('pods', 'deployments', 'daemonsets', 'statefulsets', 'jobs', 'cronjobs')
        AND subresource IS NULL
        AND verb IN ('create', 'update', 'patch')
        AND stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
        AND principal_class IN ('entra-user', 'local-admin', 'other', 'anonymous')
    UNION ALL
    SELECT
        cluster,
        6 AS number,
        time AS time,
        concat_ws(' ', username, verb, resource, concat_ws('/', namespace, name)) AS evidence
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
        AND (truncated OR body_skipped)
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
