-- /// detection
-- title = "A container was added to a workload that was running"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1609", "T1610"]
-- section = [5]
-- window = "1d"
-- step = "10m"
-- key = ["cluster", "username", "resource", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} added a container to {resource} {namespace}/{name} of {cluster}: {before} before, {now} now, from {client_ip}"
--
-- description = """
-- A second container beside the first has its network, its volumes and its account, and comes back with every pod. Counts
-- containers of the same workload in the log of one day, init containers included, or takes a JSON patch that adds one at
-- its word; a container that is replaced does not count. Meshes add theirs to pods, not here. Identities of
-- lists/workload_deployers.csv are left out but their writes are compared with. At level Metadata, when the body was cut,
-- for a merge patch without a response, or when the workload was not written the day before, the rule stays silent. Look
-- at the image, and restore the workload from git.
-- """
-- false_positives = [
--   "A sidecar added on purpose: add pipelines to lists/workload_deployers.csv",
-- ]
-- follow_up = ["object-history", "new-images"]
-- ///

SELECT
    cluster,
    username,
    resource,
    namespace,
    name,
    coalesce(CAST(min(before) AS VARCHAR), 'not known') AS before,
    coalesce(CAST(max(now) AS VARCHAR), 'one more') AS now,
    min(images) AS images,
    min(client_ip) AS client_ip,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM (
    SELECT
        cluster,
        username,
        principal_class,
        verb,
        resource,
        namespace,
        name,
        client_ip,
        time,
        array_to_string(container_images(object), ', ') AS images,
        array_length(containers(object)) AS now,
        lag(array_length(containers(object))) OVER (
            PARTITION BY cluster, resource, namespace, name, response_object IS NULL AND verb = 'patch' ORDER BY time
        ) AS before,
        coalesce(
            regexp_like(request_object, '"op"\s*:\s*"add"[^{}]*/containers/(-|[0-9]+)"|/containers/(-|[0-9]+)"[^{}]*"op"\s*:\s*"add"'),
            false
        ) AS added,
        response_object IS NULL AND verb = 'patch' AS partial
    FROM audit
    WHERE
        stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND verb IN ('create', 'update', 'patch')
        AND resource IN ('deployments', 'daemonsets', 'statefulsets', 'cronjobs', 'replicasets', 'replicationcontrollers')
        AND subresource IS NULL
        AND object IS NOT NULL
        AND NOT truncated
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
) AS written
WHERE
    verb IN ('update', 'patch')
    AND (added OR (NOT partial AND now > before))
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'system-sa')
    AND NOT listed('workload_deployers', username)
GROUP BY cluster, username, resource, namespace, name
