-- /// query
-- title = "What the logs cost, by category, verb and user agent"
-- topic = "logs"
-- section = [6]
-- see_also = ["clusters-and-categories", "slow-and-large-requests"]
--
-- description = """
-- Rows and bytes by category, kind of request and program, largest first: what to
-- leave out of the diagnostic setting, or which controller to calm. Bytes are an
-- estimate of the record as it was sent (the length of its columns and 1,400 bytes
-- of envelope and names a row of audit, 540 a row of the control plane); use them
-- for proportions, not for the bill. Each event counts once, though kube-audit and
-- kube-audit-admin together send and bill writes twice.
-- """
-- ///

WITH sizes AS (
    SELECT
        cluster,
        category,
        verb,
        resource,
        split_part(user_agent, '/', 1) AS agent,
        1400
        + coalesce(octet_length(request_object), 0)
        + coalesce(octet_length(response_object), 0)
        + coalesce(octet_length(annotations), 0)
        + coalesce(octet_length(user_extra), 0)
        + coalesce(octet_length(request_uri), 0)
        + coalesce(octet_length(user_agent), 0)
        + coalesce(octet_length(status_message), 0) AS bytes
    FROM audit
    UNION ALL
    SELECT
        cluster,
        category,
        CAST(NULL AS TEXT) AS verb,
        CAST(NULL AS TEXT) AS resource,
        component AS agent,
        540 + coalesce(octet_length(raw), 0) AS bytes
    FROM control_plane
)

SELECT
    cluster,
    category,
    verb,
    resource,
    agent,
    count(*) AS rows,
    sum(bytes) AS bytes,
    round(100.0 * sum(bytes) / sum(sum(bytes)) OVER (), 2) AS percent
FROM sizes
GROUP BY cluster, category, verb, resource, agent
ORDER BY bytes DESC, cluster, category, verb, resource, agent
