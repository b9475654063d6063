-- /// detection
-- title = "An image from a registry that anybody can fill"
-- severity = "high"
-- status = "stable"
-- attack = ["T1525", "T1610", "T1204.003"]
-- section = [3]
-- window = "1m"
-- key = ["cluster", "username", "namespace", "resource", "name"]
-- suppress = "1d"
-- summary = "{username} used ({verb}) images {images} in {resource} {namespace}/{name} of {cluster}, from {client_ip}"
--
-- description = """
-- A registry without accounts, a tunnel to somebody's machine, or a bare public address is where an attacker keeps
-- images, and where what is pulled today is not what is pulled tomorrow. lists/untrusted_registries.csv holds them;
-- public addresses count without a list. image-not-in-allowlist is the other way round: everything but what you allow.
-- Every workload kind counts, on create, update and patch; what the built-in controllers make from it does not, and
-- dry runs do not. At level Metadata, or when the body was cut before the containers, nothing is known and the rule
-- stays silent (audit-record-truncated reports the cut). No identity is exempt. Delete the workload, and look at what
-- its account did.
-- """
-- false_positives = [
--   "A registry of your own at a public address: give it a name",
-- ]
-- follow_up = ["object-history", "identity-timeline", "new-images"]
-- ///

SELECT
    cluster,
    username,
    resource,
    namespace,
    name,
    string_agg(DISTINCT image, ', ' ORDER BY image) AS images,
    min(verb) AS verb,
    min(client_ip) AS client_ip,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM (
    SELECT
        cluster,
        username,
        verb,
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
        AND (subresource = 'ephemeralcontainers' OR (subresource IS NULL AND (resource <> 'pods' OR verb = 'create')))
        AND NOT (resource IN ('pods', 'replicasets', 'jobs') AND listed('workload_controllers', username))
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
) AS used
WHERE
    listed('untrusted_registries', split_part(image_registry(image), ':', 1))
    OR is_public(split_part(image_registry(image), ':', 1))
GROUP BY cluster, username, resource, namespace, name
