-- /// query
-- title = "Dry runs by identity"
-- topic = "change"
-- section = [6]
-- see_also = ["identity-timeline", "changes-by-namespace"]
--
-- description = """
-- Writes that were sent to see what would happen (dryRun=All). GitOps controllers
-- and kubectl diff do this all day; a person who tries privileged pods or role
-- bindings as dry runs learns what is allowed without leaving an object behind.
-- They are real in the log and never changed anything.
-- """
-- ///

SELECT
    cluster,
    username,
    principal_class,
    array_to_string(array_sort(array_agg(DISTINCT trim(concat_ws(' ', verb, concat_ws('/', resource, subresource))))), ', ') AS what,
    count(DISTINCT audit_id) AS requests,
    count(DISTINCT audit_id) FILTER (WHERE status_code IN (401, 403, 422)) AS refused,
    array_to_string(array_sort(array_agg(DISTINCT client_ip)), ', ') AS addresses,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE query_param(request_uri, 'dryRun') = 'All'
GROUP BY cluster, username, principal_class
ORDER BY cluster, username
