-- /// query
-- title = "New images and registries"
-- topic = "workload"
-- section = [3]
-- see_also = ["workload-rollouts", "report-images"]
--
-- description = """
-- Images that first appeared in a cluster after the first part of the range, which
-- serves to learn what is normal. new_registry is true where no image of that
-- registry had been there before: such a row deserves a look, whatever its name
-- says. With a range no longer than learn there is no row; give --since well
-- before the incident. Images come from what was written (workloads and pods), not
-- from what nodes pulled; a tag that was pushed again is not new here.
-- """
--
-- [params]
-- learn = { type = "duration", description = "How much of the range, from its beginning, counts as known", default = "24h" }
-- ///

WITH seen AS (
    SELECT
        time,
        cluster,
        namespace,
        resource,
        name,
        username,
        client_ip,
        audit_id,
        unnest(container_images(object)) AS image
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
),

firsts AS (
    SELECT
        *,
        min(time) OVER (PARTITION BY cluster, image) AS image_since,
        min(time) OVER (PARTITION BY cluster, image_registry(image)) AS registry_since,
        row_number() OVER (PARTITION BY cluster, image ORDER BY time, audit_id) AS place
    FROM seen
),

known AS (
    SELECT cluster, min(time) + $learn AS until
    FROM audit
    GROUP BY cluster
)

SELECT
    f.time AS first_seen,
    f.cluster,
    f.image,
    image_registry(f.image) AS registry,
    f.registry_since >= k.until AS new_registry,
    f.namespace,
    f.resource,
    f.name,
    f.username,
    f.client_ip,
    f.audit_id
FROM firsts AS f
INNER JOIN known AS k ON f.cluster = k.cluster
WHERE f.place = 1 AND f.image_since >= k.until
ORDER BY new_registry DESC, first_seen, f.cluster, f.image
