-- /// query
-- title = "Requests that failed, by reason"
-- topic = "platform"
-- section = [6]
-- see_also = ["control-plane-errors", "slow-and-large-requests"]
--
-- description = """
-- Failed requests by status and reason: conflicts, timeouts, throttling (429),
-- errors of the server (5xx), and what clients ask for that is not there.
-- Forbidden ones are in denied-by-identity. 5xx on every resource is an API server
-- in trouble; on one resource its webhook or extension.
-- """
-- ///

SELECT
    cluster,
    status_code,
    status_reason,
    trim(concat_ws(' ', verb, concat_ws('/', resource, subresource))) AS request,
    count(DISTINCT audit_id) AS requests,
    count(DISTINCT username) AS identities,
    array_to_string(array_sort(array_agg(DISTINCT username)), ', ') AS who,
    min(time) AS first_seen,
    max(time) AS last_seen,
    substr(min(status_message), 1, 300) AS example
FROM audit
WHERE status_code >= 400 AND status_code NOT IN (401, 403)
GROUP BY 1, 2, 3, 4
ORDER BY status_code DESC, requests DESC, cluster, request
