-- /// detection
-- title = "A node joined with an older image than its pool already had"
-- severity = "low"
-- status = "stable"
-- attack = []
-- section = [9, 7]
-- window = "7d"
-- step = "1h"
-- suppress = "7d"
-- key = ["cluster", "pool"]
-- summary = "{node} joined pool {pool} of {cluster} with image {image}, a day or more after {newest} was in use there"
--
-- description = """
-- An upgrade of a pool that stopped half way, or was taken back, leaves nodes on an image whose holes are known.
-- Compares the images with which nodes of a pool joined within a week: one joined with an older image at least a day
-- after the newest was first seen. Nodes that joined before that week are not known. The image is a label in the body:
-- at level Metadata, or when it was cut before the labels, the rule stays silent. Finish the upgrade (az aks nodepool
-- upgrade --node-image-only).
-- """
-- false_positives = [
--   "An image taken back on purpose",
-- ]
-- follow_up = ["node-versions"]
-- ///

SELECT
    cluster,
    pool,
    min(image) AS image,
    min(newest) AS newest,
    min(last_node) AS node,
    min(first_seen) AS first_seen,
    max(last_seen) AS last_seen
FROM (
    SELECT
        cluster,
        pool,
        image,
        last_node,
        first_seen,
        last_seen,
        first_value(image) OVER (PARTITION BY cluster, pool ORDER BY image DESC) AS newest,
        first_value(first_seen) OVER (PARTITION BY cluster, pool ORDER BY image DESC) AS newest_since
    FROM (
        SELECT
            cluster,
            object -> 'metadata' -> 'labels' ->> 'kubernetes.azure.com/agentpool' AS pool,
            object -> 'metadata' -> 'labels' ->> 'kubernetes.azure.com/node-image-version' AS image,
            last_value(name ORDER BY time) AS last_node,
            min(time) AS first_seen,
            max(time) AS last_seen
        FROM audit
        WHERE
            stage = 'ResponseComplete'
            AND status_code BETWEEN 200 AND 299
            AND verb = 'create'
            AND resource = 'nodes'
            AND (object -> 'metadata' -> 'labels' ->> 'kubernetes.azure.com/node-image-version') IS NOT NULL
        GROUP BY
            cluster,
            object -> 'metadata' -> 'labels' ->> 'kubernetes.azure.com/agentpool',
            object -> 'metadata' -> 'labels' ->> 'kubernetes.azure.com/node-image-version'
    ) AS joined
) AS compared
WHERE
    image < newest
    AND last_seen >= newest_since + INTERVAL '24 hours'
GROUP BY cluster, pool
