-- /// detection
-- title = "A node pulled an image that is not allowed"
-- severity = "informational"
-- status = "shadow"
-- attack = ["T1525"]
-- section = [3]
-- key = ["cluster", "image"]
-- suppress = "1d"
-- summary = "A node of {cluster} pulled {image} for {namespace}/{pod_name}, which is not in lists/allowed_registries.csv nor allowed_images.csv"
--
-- description = """
-- The node's own word that a foreign image arrived, also for pods whose own record was cut or changed by a webhook.
-- Whether AKS logs the bodies of events at all depends on its audit policy, which is not confirmed, therefore shadow;
-- without bodies (level Metadata) the rule stays silent. The text is kubelet's: Pulling image, in quotes. One alert for
-- each image and day. Fill the two lists first (see image-not-in-allowlist).
-- """
-- false_positives = [
--   "Public images you allow: add them to lists/allowed_images.csv",
-- ]
-- follow_up = ["new-images", "object-history"]
-- ///

SELECT
    cluster,
    username,
    namespace,
    object -> 'involvedObject' ->> 'name' AS pod_name,
    regexp_replace(object ->> 'message', '^.*image "([^"]+)".*$', '\1') AS image,
    client_ip
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'patch')
    AND resource = 'events'
    AND principal_class = 'node'
    AND (object ->> 'reason') = 'Pulling'
    AND regexp_like(object ->> 'message', 'image "[^"]+"')
    AND NOT listed('allowed_registries', image_registry(regexp_replace(object ->> 'message', '^.*image "([^"]+)".*$', '\1')))
    AND NOT listed(
        'allowed_images',
        concat(
            image_registry(regexp_replace(object ->> 'message', '^.*image "([^"]+)".*$', '\1')),
            '/',
            image_repository(regexp_replace(object ->> 'message', '^.*image "([^"]+)".*$', '\1'))
        )
    )
