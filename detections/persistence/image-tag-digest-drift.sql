-- /// detection
-- title = "A tag stands for two different images"
-- severity = "medium"
-- status = "shadow"
-- attack = ["T1525", "T1195.002"]
-- section = [3]
-- window = "1d"
-- step = "10m"
-- key = ["cluster", "image"]
-- suppress = "1d"
-- summary = "{image} ran with {digests} different digests on {cluster} within a day: {example}"
--
-- description = """
-- A tag that is pushed again changes what the next pod runs without a change in the cluster: the way a stolen registry
-- credential is used. Compares the digests that kubelets report in pods' status for the same image and tag within a
-- day; the tags of lists/mutable_tags.csv and images named by digest do not count. Whether AKS logs the bodies of
-- pods/status depends on its audit policy, and how runtimes name images that have several tags is not confirmed on a
-- live cluster, therefore shadow. Without bodies (level Metadata, or cut) the rule stays silent. Compare both digests
-- in the registry and see who pushed.
-- """
-- false_positives = [
--   "Tags that a build pushes again: add them to lists/mutable_tags.csv",
-- ]
-- follow_up = ["new-images", "workload-rollouts"]
-- ///

SELECT
    cluster,
    image,
    count(DISTINCT digest) AS digests,
    concat(min(digest), ' and ', max(digest)) AS example,
    min(namespace) AS namespace,
    min(name) AS pod,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM (
    SELECT
        cluster,
        namespace,
        name,
        time,
        status ->> 'image' AS image,
        image_digest(status ->> 'imageID') AS digest
    FROM (
        SELECT
            cluster,
            namespace,
            name,
            time,
            unnest(json_get_array(object -> 'status' ->> 'containerStatuses')) AS status
        FROM audit
        WHERE
            stage = 'ResponseComplete'
            AND status_code BETWEEN 200 AND 299
            AND verb IN ('patch', 'update')
            AND resource = 'pods'
            AND subresource = 'status'
            AND principal_class = 'node'
    ) AS reported
) AS running
WHERE
    image_digest(image) IS NULL
    AND image_tag(image) IS NOT NULL
    AND NOT listed('mutable_tags', image_tag(image))
GROUP BY cluster, image
HAVING count(DISTINCT digest) >= 2
