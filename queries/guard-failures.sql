-- /// query
-- title = "Failed sign-ins and refused checks of Entra ID, by tenant and reason"
-- topic = "platform"
-- section = [1]
-- see_also = ["azure-role-decisions", "denied-by-identity"]
--
-- description = """
-- What guard, which verifies Entra tokens and asks Azure RBAC, could not or would
-- not accept, by reason. tenant is told where the message names one: a token of
-- another tenant was presented, which is a misconfigured client or a stranger.
-- Expired tokens are daily life; one address that presents them all day is a
-- pipeline. Guard does not log who it was: look at the same minutes in the audit
-- table. Requests allowed are not shown.
-- """
-- ///

WITH failures AS (
    SELECT
        time,
        cluster,
        severity,
        coalesce(
            regexp_match(message, 'got "?https://[^/]+/([0-9a-f-]{36})')[1],
            regexp_match(message, '(?:tenant|sts.windows.net/|login.microsoftonline.com/)[^0-9a-f]*([0-9a-f]{8}-[0-9a-f-]{27})')[1]
        ) AS tenant,
        CASE
            WHEN message LIKE '%allowed=false%' THEN coalesce(regexp_match(message, 'reason="([^"]*)"')[1], 'not allowed')
            ELSE regexp_replace(
                regexp_replace(message, '[0-9a-f]{8}-[0-9a-f-]{27}', '<id>', 'g'),
                '[0-9]+',
                '<n>',
                'g'
            )
        END AS reason,
        regexp_match(message, 'Namespace:([^,]*),Verb:([^,]*)')[1] AS namespace
    FROM control_plane
    WHERE
        category = 'guard'
        AND (
            severity IN ('warning', 'error', 'fatal')
            OR message LIKE '%allowed=false%'
            OR message LIKE '%denied%'
            OR message LIKE '%throttling%'
        )
)

SELECT
    cluster,
    tenant,
    substr(reason, 1, 300) AS reason,
    severity,
    count(*) AS times,
    count(DISTINCT date_trunc('hour', time)) AS hours,
    array_to_string(array_sort(array_agg(DISTINCT namespace)), ', ') AS namespaces,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM failures
GROUP BY 1, 2, 3, 4
ORDER BY times DESC, cluster, reason, tenant
