-- /// detection
-- title = "A scheduled job runs an image no scheduled job ran before"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1053.007"]
-- section = [5]
-- baseline = "30d"
-- learn = "7d"
-- key = ["cluster", "repositories"]
-- summary = "{username} wrote ({verb}) CronJob {namespace}/{name} of {cluster} with {repositories}, not seen in a CronJob there for 30 days, from {client_ip}"
--
-- description = """
-- A CronJob survives most clean-ups, and its images rarely change: one that no CronJob of the cluster ran for 30 days
-- is a new task or a foothold. Repositories of all containers together are compared, init containers too, without tags
-- and digests. Shell one-liners in its command are pod-reverse-shell-command's. AKS, lists/workload_deployers.csv and
-- dry runs do not count. Without a body (level Metadata, or cut before the containers) the rule stays silent, and so
-- it does for a cluster until seven days with CronJobs were seen. Look at the command, the account and the schedule.
-- """
-- false_positives = [
--   "New scheduled tasks made by hand",
-- ]
-- follow_up = ["scheduled-work", "new-images", "object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    regexp_replace(array_to_string(container_images(object), ', '), '(:[^/,@ ]+)?(@[^, ]+)?(, |$)', '\3', 'g') AS repositories,
    username,
    verb,
    namespace,
    name,
    object -> 'spec' ->> 'schedule' AS schedule,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource = 'cronjobs'
    AND subresource IS NULL
    AND array_length(container_images(object)) > 0
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('workload_deployers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
