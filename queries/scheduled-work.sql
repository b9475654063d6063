-- /// query
-- title = "Jobs and CronJobs that somebody created"
-- topic = "workload"
-- section = [5]
-- see_also = ["pods-by-people", "object-history"]
--
-- description = """
-- Jobs and CronJobs created or changed by anyone else than the CronJob controller,
-- and CronJobs that first ran in the range (their jobs are named after them).
-- Work that runs on a schedule is how an intruder comes back after a clean-up.
-- known_from tells which of the two it was. Jobs made by the controller carry its
-- CronJob's name and a number of minutes.
-- """
-- ///

SELECT
    'written' AS known_from,
    cluster,
    namespace,
    resource,
    name,
    username,
    client_ip,
    object -> 'spec' ->> 'schedule' AS schedule,
    array_to_string(container_images(object), ', ') AS images,
    pod_service_account(object) AS service_account,
    count(DISTINCT audit_id) AS times,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    resource IN ('jobs', 'cronjobs')
    AND subresource IS NULL
    AND verb IN ('create', 'update', 'patch')
    AND stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
    AND NOT listed('workload_controllers', username)
GROUP BY 2, 3, 4, 5, 6, 7, 8, 9, 10
UNION ALL
SELECT
    'its jobs' AS known_from,
    cluster,
    namespace,
    'cronjobs' AS resource,
    regexp_replace(name, '-[0-9]+$', '') AS name,
    username,
    CAST(NULL AS TEXT) AS client_ip,
    CAST(NULL AS TEXT) AS schedule,
    array_to_string(container_images(object), ', ') AS images,
    pod_service_account(object) AS service_account,
    count(DISTINCT audit_id) AS times,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    resource = 'jobs'
    AND subresource IS NULL
    AND verb = 'create'
    AND stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND sa_name(username) = 'cronjob-controller'
GROUP BY 2, 3, 5, 6, 9, 10
ORDER BY known_from DESC, first_seen, cluster, namespace, name
