-- /// detection
-- title = "A privileged change at an unusual hour"
-- severity = "low"
-- status = "stable"
-- attack = ["T1078"]
-- section = [1]
-- baseline = "30d"
-- learn = "7d"
-- key = ["cluster", "days", "hour"]
-- summary = "{username} wrote ({verb}) {resource} {object} of {cluster} at an hour ({hour}:00 UTC, {days}) when nobody did in 30 days, from {client_ip}"
--
-- description = """
-- Intruders work when nobody watches. Fires when a person changes roles, bindings or anything in a system namespace at
-- an hour of the day (weekdays and weekends apart, UTC) at which no person made such a change on this cluster for 30
-- days. Low because people are on call. Says nothing for a cluster until seven days of its log were seen. No body is
-- needed; dry runs do not count. Ask the person.
-- """
-- false_positives = [
--   "People on call, maintenance at night, clusters few people change",
-- ]
-- follow_up = ["identity-timeline", "object-history"]
-- ///

SELECT
    cluster,
    CASE WHEN date_part('dow', time) IN (0, 6) THEN 'weekend' ELSE 'weekday' END AS days,
    CAST(CAST(date_part('hour', time) AS int) AS varchar) AS hour,
    username,
    verb,
    resource,
    concat(coalesce(namespace || '/', ''), coalesce(name, '')) AS object,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')
    AND (api_group = 'rbac.authorization.k8s.io' OR listed('system_namespaces', namespace))
    AND principal_class IN ('entra-user', 'local-admin', 'other')
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
