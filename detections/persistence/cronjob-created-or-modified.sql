-- /// detection
-- title = "A job was created or changed"
-- severity = "low"
-- status = "stable"
-- attack = ["T1053.007"]
-- section = [5]
-- key = ["cluster", "username", "namespace", "resource", "name"]
-- suppress = "1d"
-- summary = "{username} made or changed ({verb}) {resource} {namespace}/{name} of {cluster} ({images}), from {client_ip}"
--
-- description = """
-- A CronJob comes back after every clean-up and runs when nobody looks, and a Job runs once and is gone. Kubernetes' own
-- controllers and the identities of lists/workload_deployers.csv are left out; dry runs do not count. No body is needed:
-- images and service_account are not known at level Metadata. Look at the image, the command and the schedule.
-- """
-- false_positives = [
--   "Pipelines and operators that make jobs: add them to lists/workload_deployers.csv",
-- ]
-- follow_up = ["object-history", "new-images"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    namespace,
    name,
    coalesce(array_to_string(container_images(object), ', '), 'images not logged') AS images,
    pod_service_account(object) AS service_account,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource IN ('cronjobs', 'jobs')
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('workload_controllers', username)
    AND NOT listed('workload_deployers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
