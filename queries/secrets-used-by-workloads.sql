-- /// query
-- title = "Which workloads use which secrets"
-- topic = "secrets"
-- section = [4, 5]
-- see_also = ["secret-readers", "workload-rollouts"]
--
-- description = """
-- The secrets that pods and workloads written in the range mount, take into their
-- environment or pull images with, and who wrote them. A pod that mounts a secret
-- reads it without asking the API server in its own name: whoever may create pods
-- in a namespace may read its secrets. Needs the body of the request; workloads
-- that were not written in the range are not seen.
-- """
-- ///

WITH named AS (
    SELECT time, cluster, namespace, resource, name, username, unnest(pod_secrets(object)) AS secret
    FROM audit
    WHERE
        resource IN (
        'pods', 'deployments', 'daemonsets', 'statefulsets', 'replicasets',
        'jobs', 'cronjobs', 'replicationcontrollers', 'podtemplates'
        )
        AND subresource IS NULL
        AND verb IN ('create', 'update', 'patch')
        AND status_code BETWEEN 200 AND 299
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
        AND NOT (resource IN ('pods', 'replicasets', 'jobs') AND listed('workload_controllers', username))
)

SELECT
    cluster,
    namespace,
    secret,
    resource,
    name,
    array_to_string(array_sort(array_agg(DISTINCT username)), ', ') AS written_by,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM named
GROUP BY cluster, namespace, secret, resource, name
ORDER BY cluster, namespace, secret, resource, name
