-- /// detection
-- title = "An admission webhook was made to look at less"
-- severity = "high"
-- status = "stable"
-- attack = ["T1562.001"]
-- section = [8]
-- window = "1d"
-- step = "5m"
-- suppress = "1d"
-- key = ["cluster", "username", "resource", "name"]
-- summary = "{username} narrowed what {resource} {name} of {cluster} is asked about, from {client_ip}: {request}"
--
-- description = """
-- A selector that leaves a namespace out, a condition, or a rule less, and the policy no longer sees what is to pass it.
-- The object is compared with the write before it on the same day: more conditions in selectors or match conditions,
-- more left out by NotIn, or less in the rules' resources and operations. A patch that itself names a NotIn or
-- DoesNotExist selector counts without an earlier write. AKS (which adds an exclusion of its own to every webhook) and
-- lists/webhook_managers.csv and lists/workload_deployers.csv are left out. Without bodies (level Metadata), when they
-- were cut, or without an earlier write the rule stays silent; webhook-config-changed reports the write. Dry runs do not
-- count. Restore the configuration and look at what was admitted since.
-- """
-- false_positives = [
--   "Exclusions added on purpose, and charts that were upgraded by hand",
-- ]
-- follow_up = ["webhook-changes", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    resource,
    name,
    min(request) AS request,
    min(client_ip) AS client_ip,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM (
    SELECT
        cluster,
        username,
        principal_class,
        resource,
        name,
        client_ip,
        time,
        request,
        asked,
        limits > lag(limits) OVER (PARTITION BY cluster, resource, name, whole ORDER BY time) AS more_limits,
        excluded > lag(excluded) OVER (PARTITION BY cluster, resource, name, whole ORDER BY time) AS more_excluded,
        covered < lag(covered) OVER (PARTITION BY cluster, resource, name, whole ORDER BY time) AS less_covered
    FROM (
        SELECT
            cluster,
            username,
            principal_class,
            resource,
            name,
            client_ip,
            time,
            request,
            asked,
            webhooks IS NOT NULL AS whole,
            array_length(string_to_array(regexp_replace(webhooks, '"operator"|"expression"|"matchLabels"\s*:\s*\{"', chr(1), 'g'), chr(1))) AS limits,
            length(regexp_replace(concat(webhooks, '"NotIn","values":[]'), '(?s).*?"NotIn"\s*,\s*"values"\s*:\s*\[([^\]]*)\]', '\1,', 'g')) AS excluded,
            length(regexp_replace(concat(webhooks, '"resources":[]'), '(?s).*?"(operations|resources)"\s*:\s*\[([^\]]*)\]', '\2,', 'g')) AS covered
        FROM (
            SELECT
                cluster,
                username,
                principal_class,
                resource,
                name,
                client_ip,
                time,
                substr(request_object, 1, 1000) AS request,
                coalesce(verb = 'patch' AND regexp_like(request_object, 'Selector.*"(NotIn|DoesNotExist)"'), false) AS asked,
                replace(
                    CASE WHEN verb = 'patch' THEN response_object ELSE object END ->> 'webhooks',
                    '"*"',
                    '"everything that there is, whatever its name"'
                ) AS webhooks
            FROM audit
            WHERE
                stage = 'ResponseComplete'
                AND status_code BETWEEN 200 AND 299
                AND verb IN ('create', 'update', 'patch')
                AND resource IN ('mutatingwebhookconfigurations', 'validatingwebhookconfigurations')
                AND NOT truncated
                AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
        ) AS written
    ) AS measured
) AS compared
WHERE
    (asked OR more_limits OR more_excluded OR less_covered)
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('webhook_managers', username)
    AND NOT listed('workload_deployers', username)
GROUP BY cluster, username, resource, name
