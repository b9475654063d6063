-- /// query
-- title = "What admission policies refused"
-- topic = "workload"
-- section = [8]
-- see_also = ["webhook-changes", "pod-security-violations"]
--
-- description = """
-- Requests that an admission webhook (Azure Policy and Gatekeeper, Kyverno, own
-- ones) or a validating policy refused, with the policy and the reason, and those
-- that failed because a webhook did not answer. Somebody who is refused and tries
-- variants is worth a look; a controller that is refused for days is a broken
-- rollout. Policies in audit mode refuse nothing and are not here.
-- """
-- ///

SELECT
    cluster,
    coalesce(
        regexp_match(status_message, 'admission webhook "([^"]+)"')[1],
        regexp_match(status_message, 'failed calling webhook "([^"]+)"')[1],
        regexp_match(status_message, 'ValidatingAdmissionPolicy ''([^'']+)''')[1]
    ) AS policy_engine,
    CASE WHEN status_message LIKE '%failed calling webhook%' THEN 'did not answer' ELSE 'refused' END AS outcome,
    regexp_match(status_message, 'denied the request: \[([^\]]+)\]')[1] AS policy,
    username,
    trim(concat_ws(' ', verb, concat_ws('/', resource, subresource))) AS request,
    namespace,
    coalesce(name, '*') AS name,
    count(DISTINCT audit_id) AS requests,
    substr(min(status_message), 1, 500) AS message,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    status_code >= 400
    AND (
        status_message LIKE '%admission webhook%denied the request%'
        OR status_message LIKE '%failed calling webhook%'
        OR status_message LIKE '%ValidatingAdmissionPolicy%denied request%'
    )
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
ORDER BY first_seen, cluster, policy_engine, namespace, name
