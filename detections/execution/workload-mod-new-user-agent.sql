-- /// detection
-- title = "An identity changed workloads with another program"
-- severity = "low"
-- status = "stable"
-- attack = ["T1610"]
-- section = [5]
-- baseline = "14d"
-- learn = "7d"
-- key = ["cluster", "username", "agent"]
-- summary = "{username} changed ({verb}) {resource} {namespace}/{name} of {cluster} with {user_agent} for the first time in 14 days, from {client_ip}"
--
-- description = """
-- People and pipelines change workloads with the same program every day; another one is a new tool or somebody else with
-- the same credential. Versions are not compared, nor are addresses. Deployments, daemon sets, stateful sets, jobs and
-- cron jobs count; nodes, the control plane and accounts of the system namespaces do not. Says nothing for a cluster until
-- seven days of its log were seen. No body is needed; dry runs do not count.
-- """
-- false_positives = [
--   "New tools and new releases of operators",
-- ]
-- follow_up = ["identity-timeline", "object-history"]
-- ///

SELECT
    cluster,
    username,
    lower(split_part(split_part(coalesce(user_agent, ''), '/', 1), ' ', 1)) AS agent,
    verb,
    resource,
    namespace,
    name,
    user_agent,
    client_ip
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource IN ('deployments', 'daemonsets', 'statefulsets', 'jobs', 'cronjobs')
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa')
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
