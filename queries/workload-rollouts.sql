-- /// query
-- title = "What changed in workloads, image by image"
-- topic = "workload"
-- section = [3, 9]
-- see_also = ["object-history", "new-images"]
--
-- description = """
-- Writes of Deployments, DaemonSets, StatefulSets and CronJobs in order of time,
-- with the images they run from then on and those before, as far as the write
-- before lies in the range. A rollout outside the pipeline's identity, or from an
-- address it does not use, is what to look for. Writes that change something else
-- than images have the same images on both sides; object-history shows what.
-- """
--
-- [params]
-- changed_only = { type = "bool", description = "Whether only writes are shown that changed the images or were the first seen", default = true }
-- ///

WITH writes AS (
    SELECT
        time,
        cluster,
        namespace,
        resource,
        name,
        username,
        client_ip,
        user_agent,
        verb,
        audit_id,
        array_to_string(container_images(object), ', ') AS images,
        lag(array_to_string(container_images(object), ', ')) OVER (
            PARTITION BY cluster, namespace, resource, name
            ORDER BY time, audit_id
        ) AS images_before
    FROM audit
    WHERE
        resource IN ('deployments', 'daemonsets', 'statefulsets', 'cronjobs')
        AND subresource IS NULL
        AND verb IN ('create', 'update', 'patch')
        AND stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
        AND array_length(container_images(object)) > 0
)

SELECT
    time,
    cluster,
    namespace,
    resource,
    name,
    verb,
    username,
    client_ip,
    split_part(user_agent, ' ', 1) AS agent,
    images_before,
    images,
    audit_id
FROM writes
WHERE NOT $changed_only OR images IS DISTINCT FROM images_before
ORDER BY time, audit_id
