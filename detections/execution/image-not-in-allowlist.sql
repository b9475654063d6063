-- /// detection
-- title = "An image from a registry that is not allowed"
-- severity = "medium"
-- status = "shadow"
-- attack = ["T1525", "T1610"]
-- section = [3]
-- window = "1m"
-- key = ["cluster", "image"]
-- suppress = "1d"
-- summary = "Image {image} is not in lists/allowed_registries.csv nor allowed_images.csv and was used on {cluster} by {usernames} in {objects}"
--
-- description = """
-- An image from anywhere is code nobody looked at. Shadow until the two lists are yours: lists/allowed_registries.csv
-- holds registries (shipped with Microsoft's, and every Azure registry, which is too wide), lists/allowed_images.csv
-- registry/repository where a whole registry would be too much. Every workload kind counts, on create, update and patch,
-- with init and ephemeral containers; what the built-in controllers make from it does not, and dry runs do not. One alert
-- for each image and day. At level Metadata, or when the body was cut before the containers, no image is known and the
-- rule stays silent. Enforce the same with Azure Policy.
-- """
-- false_positives = [
--   "Charts that use public images: copy them to your registry, or add them to lists/allowed_images.csv",
-- ]
-- follow_up = ["new-images", "identity-timeline"]
-- ///

SELECT
    cluster,
    image,
    substr(string_agg(DISTINCT username, ', ' ORDER BY username), 1, 500) AS usernames,
    min(concat(resource, ' ', namespace, '/', name)) AS objects,
    min(client_ip) AS client_ip,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM (
    SELECT
        cluster,
        username,
        resource,
        namespace,
        name,
        client_ip,
        time,
        unnest(container_images(object)) AS image
    FROM audit
    WHERE
        stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND verb IN ('create', 'update', 'patch')
        AND resource IN (
            'pods', 'deployments', 'daemonsets', 'statefulsets', 'replicasets',
            'jobs', 'cronjobs', 'replicationcontrollers', 'podtemplates'
        )
        AND coalesce(subresource, 'ephemeralcontainers') = 'ephemeralcontainers'
        AND NOT (resource IN ('pods', 'replicasets', 'jobs') AND listed('workload_controllers', username))
        AND container_images(object) IS NOT NULL
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
) AS used
WHERE
    NOT listed('allowed_registries', image_registry(image))
    AND NOT listed('allowed_images', concat(image_registry(image), '/', image_repository(image)))
GROUP BY cluster, image
