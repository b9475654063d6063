-- /// detection
-- title = "Refused by policy, then changed the policy, then got it in"
-- severity = "high"
-- status = "stable"
-- attack = ["T1562.001"]
-- section = [8, 5]
-- window = "1h"
-- step = "1m"
-- suppress = "1d"
-- key = ["cluster", "username"]
-- summary = "{username} was refused by policy in {cluster}, then changed {guards}, then wrote {admitted}, from {client_ip}"
--
-- description = """
-- The same identity was refused by Azure Policy, another admission policy or pod security, changed a policy, a webhook
-- or a namespace's policy labels, and wrote a workload after that, all within an hour: the guard was moved out of the
-- way. Whether the change loosened it is not judged. AKS, lists/workload_deployers.csv, lists/policy_managers.csv and
-- lists/webhook_managers.csv are left out. Without a body (level Metadata) or when it was cut a change of a namespace's
-- labels is not seen; changes of policies and webhooks are. Dry runs count for the refusal only. Put the guard back and
-- look at the workload.
-- """
-- false_positives = [
--   "People who write policies and try them on the same cluster",
-- ]
-- follow_up = ["identity-timeline", "admission-denials", "object-history"]
-- ///

SELECT
    cluster,
    username,
    min(what) FILTER (WHERE step = 'guard') AS guards,
    max(what) FILTER (WHERE step = 'workload') AS admitted,
    min(client_ip) AS client_ip,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM (
    SELECT
        cluster,
        username,
        client_ip,
        time,
        concat(resource, ' ', namespace || '/', name) AS what,
        CASE
            WHEN status_code = 403 THEN 'refused'
            WHEN resource IN (
                'pods', 'deployments', 'daemonsets', 'statefulsets', 'replicasets',
                'jobs', 'cronjobs', 'replicationcontrollers'
            ) THEN 'workload'
            ELSE 'guard'
        END AS step
    FROM audit
    WHERE
        stage = 'ResponseComplete'
        AND (
            (
                status_code = 403
                AND (status_message LIKE '% denied the request%' OR status_message LIKE '%violates PodSecurity%' OR status_message LIKE '%AdmissionPolicy%denied request%')
            )
            OR (
                status_code BETWEEN 200 AND 299
                AND verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')
                AND (
                    (
                        resource IN (
                            'pods', 'deployments', 'daemonsets', 'statefulsets', 'replicasets',
                            'jobs', 'cronjobs', 'replicationcontrollers'
                        )
                        AND verb IN ('create', 'update', 'patch')
                        AND subresource IS NULL
                    )
                    OR api_group IN ('constraints.gatekeeper.sh', 'templates.gatekeeper.sh', 'config.gatekeeper.sh', 'kyverno.io', 'policies.kyverno.io')
                    OR api_group = 'admissionregistration.k8s.io'
                    OR (
                        resource = 'namespaces'
                        AND verb IN ('update', 'patch')
                        AND regexp_like(request_object, 'pod-security\.kubernetes\.io|admission\.|gatekeeper|kyverno|policy')
                    )
                )
                AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
            )
        )
        AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
        AND NOT listed('workload_deployers', username)
        AND NOT listed('policy_managers', username)
        AND NOT listed('webhook_managers', username)
) AS written
GROUP BY cluster, username
HAVING
    min(time) FILTER (WHERE step = 'refused') < max(time) FILTER (WHERE step = 'guard')
    AND (
        max(time) FILTER (WHERE step = 'guard') < max(time) FILTER (WHERE step = 'workload')
        OR (
            min(time) FILTER (WHERE step = 'refused') < min(time) FILTER (WHERE step = 'guard')
            AND min(time) FILTER (WHERE step = 'guard') < max(time) FILTER (WHERE step = 'workload')
        )
    )
