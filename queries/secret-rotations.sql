-- /// query
-- title = "When each secret was last written, and since when it is only read"
-- topic = "secrets"
-- section = [4]
-- see_also = ["secret-readers", "object-history"]
--
-- description = """
-- Secrets with their last write and their reads: the closest the audit log comes
-- to the age of a key. One that is read all the time and never written in a year
-- was not rotated in that year. "Not written in this range" says nothing about the
-- time before it. After an incident look whether everything that
-- secrets-read-by-identity names has a write later than the theft. Secrets whose
-- write was not recorded by name (deletecollection) count as unwritten.
-- """
-- ///

SELECT
    cluster,
    namespace,
    name,
    max(time) FILTER (WHERE verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')) AS last_written,
    count(DISTINCT audit_id) FILTER (WHERE verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')) AS writes,
    array_to_string(array_sort(array_agg(DISTINCT CASE WHEN verb IN ('create', 'update', 'patch', 'delete', 'deletecollection') THEN concat_ws(' ', username, verb) END)), ', ') AS written_by,
    count(DISTINCT audit_id) FILTER (WHERE verb = 'get') AS reads,
    count(DISTINCT CASE WHEN verb = 'get' THEN username END) AS readers,
    max(time) FILTER (WHERE verb = 'get') AS last_read
FROM audit
WHERE
    resource = 'secrets'
    AND name IS NOT NULL
    AND status_code BETWEEN 200 AND 299
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
GROUP BY cluster, namespace, name
ORDER BY last_written NULLS FIRST, cluster, namespace, name
