-- /// query
-- title = "Slow and large requests"
-- topic = "platform"
-- section = [6]
-- see_also = ["api-failures", "log-cost"]
--
-- description = """
-- What is heavy for the API server: requests by identity and kind with the longest
-- time between receipt and answer, and the largest bodies that were logged.
-- body_skipped counts those whose body was too large to be logged at all;
-- unlimited counts lists without limit, which read a whole collection at once.
-- Watches, execs and port-forwards last by nature and are left out. The size of a
-- response that was not logged is not known.
-- """
--
-- [params]
-- least_ms = { type = "int", description = "Kinds of request whose slowest took less are left out, unless a body was skipped", default = 1000 }
-- ///

SELECT
    cluster,
    username,
    trim(concat_ws(' ', verb, concat_ws('/', resource, subresource))) AS request,
    count(DISTINCT audit_id) AS requests,
    max(CAST(date_part('epoch', time - received_time) * 1000 AS BIGINT)) AS slowest_ms,
    max(octet_length(request_object)) AS largest_request,
    max(octet_length(response_object)) AS largest_response,
    count(DISTINCT audit_id) FILTER (WHERE body_skipped) AS body_skipped,
    count(DISTINCT audit_id) FILTER (WHERE verb = 'list' AND query_param(request_uri, 'limit') IS NULL) AS unlimited,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND verb <> 'watch'
    AND coalesce(subresource, '') NOT IN ('exec', 'attach', 'portforward', 'proxy', 'log')
    AND coalesce(query_param(request_uri, 'watch'), 'false') NOT IN ('true', '1')
GROUP BY 1, 2, 3
HAVING
    max(CAST(date_part('epoch', time - received_time) * 1000 AS BIGINT)) >= $least_ms
    OR count(*) FILTER (WHERE body_skipped) > 0
ORDER BY body_skipped DESC, slowest_ms DESC NULLS LAST, requests DESC, cluster, username, request
