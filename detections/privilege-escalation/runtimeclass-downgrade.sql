-- /// detection
-- title = "A workload left its sandbox"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1562.001", "T1611"]
-- section = [5]
-- window = "1d"
-- step = "10m"
-- key = ["cluster", "username", "namespace", "resource", "name"]
-- suppress = "1d"
-- summary = "{username} wrote or deleted ({verb}) {resource} {namespace}/{name} of {cluster}: runtime class {before} before, {after} now, from {client_ip}"
--
-- description = """
-- A kata runtime class runs a pod in a virtual machine of its own; without it the same code shares the node's kernel.
-- Fires when a workload is written without kata that, earlier the same day, was written with it, and when somebody
-- writes or deletes a runtime class. AKS and lists/workload_deployers.csv do not count as those who change it, but
-- what they wrote is compared with; dry runs do not count. Every workload kind counts. Without a body (level Metadata,
-- or cut), for a patch without a response, or when the workload was not written that day, the rule stays silent;
-- runtime classes need no body. Put it back, and ask why.
-- """
-- false_positives = [
--   "Tests with and without isolation",
-- ]
-- follow_up = ["workload-rollouts", "object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    namespace,
    name,
    coalesce(before, 'not known') AS before,
    after,
    client_ip,
    time AS first_seen,
    time AS last_seen
FROM (
    SELECT
        cluster,
        username,
        principal_class,
        verb,
        resource,
        namespace,
        coalesce(name, 'all that were selected') AS name,
        client_ip,
        time,
        coalesce(pod_spec(object) ->> 'runtimeClassName', 'none') AS after,
        lag(coalesce(pod_spec(object) ->> 'runtimeClassName', 'none')) OVER (
            PARTITION BY cluster, resource, namespace, name ORDER BY time
        ) AS before
    FROM audit
    WHERE
        stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')
        AND resource IN (
            'pods', 'deployments', 'daemonsets', 'statefulsets', 'replicasets',
            'jobs', 'cronjobs', 'replicationcontrollers', 'podtemplates', 'runtimeclasses'
        )
        AND subresource IS NULL
        AND NOT (resource IN ('pods', 'replicasets', 'jobs') AND listed('workload_controllers', username))
        AND (
            resource = 'runtimeclasses'
            OR (
                verb IN ('create', 'update', 'patch')
                AND pod_spec(object) IS NOT NULL
                AND NOT truncated
                AND (verb <> 'patch' OR response_object IS NOT NULL)
            )
        )
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
) AS written
WHERE
    (resource = 'runtimeclasses' OR (before LIKE 'kata%' AND after NOT LIKE 'kata%'))
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('workload_deployers', username)
