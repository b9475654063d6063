-- /// query
-- title = "Admission webhooks, who changed them and what"
-- topic = "change"
-- section = [8]
-- see_also = ["object-history", "report-admission"]
--
-- description = """
-- Writes of admission webhook configurations in order of time, with the service or
-- address that is called, what happens when it fails, and what changed. A deleted
-- or loosened webhook lets everything in; a new one sees every object it asks for,
-- secrets too, and a mutating one may change it: url outside the cluster is an
-- exfiltration channel. Controllers that only renew certificates (caBundle) and
-- writes that change nothing are left out unless asked for.
-- """
--
-- [params]
-- all = { type = "bool", description = "Whether writes are shown that changed nothing but certificates", default = false }
-- ///

WITH writes AS (
    SELECT
        time,
        cluster,
        resource,
        name,
        username,
        client_ip,
        verb,
        object -> 'webhooks' -> 0 ->> 'failurePolicy' AS failure_policy,
        concat_ws(
            ' ',
            object -> 'webhooks' -> 0 -> 'clientConfig' ->> 'url',
            object -> 'webhooks' -> 0 -> 'clientConfig' -> 'service' ->> 'namespace',
            object -> 'webhooks' -> 0 -> 'clientConfig' -> 'service' ->> 'name'
        ) AS called,
        regexp_replace(
            CASE WHEN verb NOT LIKE 'delete%' THEN coalesce(response_object, CASE WHEN verb <> 'patch' THEN request_object END) END,
            '"caBundle":"[^"]*"',
            '"caBundle":""',
            'g'
        ) AS body,
        audit_id
    FROM audit
    WHERE
        resource IN ('mutatingwebhookconfigurations', 'validatingwebhookconfigurations')
        AND verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')
        AND stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
),

versions AS (
    SELECT
        *,
        lag(body) IGNORE NULLS OVER (PARTITION BY cluster, resource, name ORDER BY time, audit_id) AS body_before
    FROM writes
)

SELECT
    time,
    cluster,
    resource,
    name,
    verb,
    username,
    client_ip,
    called,
    failure_policy,
    CASE
        WHEN verb LIKE 'delete%' THEN 'deleted'
        WHEN body_before IS NULL AND body IS NOT NULL THEN 'first version seen'
        ELSE array_to_string(json_diff(body_before, body), '; ')
    END AS changes,
    audit_id
FROM versions
WHERE $all OR body IS NULL OR body_before IS NULL OR array_length(json_diff(body_before, body)) > 0
ORDER BY time, audit_id
