-- /// detection
-- title = "Images not seen on the cluster before"
-- severity = "low"
-- status = "stable"
-- attack = ["T1525", "T1610"]
-- section = [3]
-- baseline = "30d"
-- learn = "7d"
-- key = ["cluster", "repositories"]
-- summary = "{username} used {repositories} for the first time in 30 days on {cluster}, in {resource} {namespace}/{name}"
--
-- description = """
-- What runs on a cluster changes by versions; a repository never seen there is a new service or somebody else's code.
-- The repositories of all containers of a workload together, init and ephemeral ones too, are compared, without tags
-- and digests, so a new combination counts as well. Every workload kind counts, on create, update and patch; what the
-- built-in controllers make from it does not, and dry runs do not. At level Metadata, or when the body was cut before
-- the containers, nothing is known and the rule stays silent (audit-record-truncated reports the cut). Says nothing
-- for a cluster until seven days with workloads were seen. See who built the image and from what.
-- """
-- false_positives = [
--   "New services, new sidecars, debug containers",
-- ]
-- follow_up = ["new-images", "object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    regexp_replace(array_to_string(container_images(object), ', '), '(:[^/,@ ]+)?(@[^, ]+)?(, |$)', '\3', 'g') AS repositories,
    username,
    verb,
    resource,
    namespace,
    name,
    client_ip
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
    AND array_length(container_images(object)) > 0
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
