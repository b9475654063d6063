-- /// query
-- title = "Network policies, what changed and who did it"
-- topic = "network"
-- section = [2]
-- see_also = ["object-history", "service-exposure"]
--
-- description = """
-- Every write of a network policy (Kubernetes, Cilium, Calico) with what it
-- changed. A namespace without a policy lets everything through, so a deletion
-- opens more than any change does. After an incident look for policies that were
-- taken away and not put back. With a namespace its whole set is deleted; such
-- deletions by Kubernetes' controllers are shown.
-- """
-- ///

WITH writes AS (
    SELECT
        time,
        cluster,
        resource,
        namespace,
        name,
        username,
        client_ip,
        verb,
        CASE
            WHEN verb LIKE 'delete%' THEN NULL
            ELSE coalesce(response_object, CASE WHEN verb <> 'patch' THEN request_object END)
        END AS body,
        audit_id
    FROM audit
    WHERE
        resource LIKE '%networkpolicies'
        AND verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')
        AND stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
),

versions AS (
    SELECT
        *,
        lag(body) IGNORE NULLS OVER (PARTITION BY cluster, resource, namespace, name ORDER BY time, audit_id) AS body_before
    FROM writes
)

SELECT
    time,
    cluster,
    namespace,
    resource,
    name,
    verb,
    username,
    client_ip,
    CASE
        WHEN verb = 'deletecollection' THEN 'all of the namespace deleted'
        WHEN verb = 'delete' THEN 'deleted'
        WHEN body_before IS NULL THEN substr(body ->> 'spec', 1, 500)
        ELSE array_to_string(json_diff(body_before, body), '; ')
    END AS changes,
    audit_id
FROM versions
ORDER BY time, audit_id
