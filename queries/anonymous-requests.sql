-- /// query
-- title = "Anonymous requests and what they were answered"
-- topic = "identity"
-- section = [1, 2]
-- see_also = ["address-timeline", "role-bindings-changed"]
--
-- description = """
-- What was asked without credentials, from where, and whether it was answered.
-- /version, /healthz, /livez and /readyz answer anyone and are probed all day:
-- expected is true for them. Everything else that was allowed came through a
-- binding to system:anonymous or system:unauthenticated, which the reason names.
-- Denied probes on a public API server are the internet; stop them with
-- authorised address ranges or a private cluster.
-- """
-- ///

SELECT
    cluster,
    status_code,
    status_code BETWEEN 200 AND 299
    AND resource IS NULL
    AND regexp_like(request_uri, '^/(version|healthz|livez|readyz)([/?]|$)') AS expected,
    verb,
    coalesce(resource, split_part(request_uri, '?', 1)) AS target,
    namespace,
    decision_reason,
    array_to_string(array_sort(array_agg(DISTINCT client_ip)), ', ') AS addresses,
    array_to_string(array_sort(array_agg(DISTINCT user_agent)), ', ') AS agents,
    count(DISTINCT audit_id) AS requests,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE principal_class = 'anonymous'
GROUP BY 1, 2, 3, 4, 5, 6, 7
ORDER BY expected, status_code, first_seen, cluster, target
