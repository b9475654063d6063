-- /// query
-- title = "Denied requests by identity"
-- topic = "identity"
-- section = [1]
-- see_also = ["identity-timeline", "rights-probing"]
--
-- description = """
-- Who was refused what, how often, from how many addresses. Many different
-- resources refused to one identity is somebody who tries out what a stolen
-- token can do; one resource refused ten thousand times is a broken controller.
-- Requests with an invalid token are refused before they have a name: they come
-- as 401 without username, if at all.
-- """
--
-- [params]
-- least = { type = "int", description = "Identities refused fewer times are left out", default = 1 }
-- classes = { type = "string[]", description = "Only these classes of identities (see principal_class); all if not given", required = false }
-- ///

SELECT
    cluster,
    username,
    principal_class,
    count(DISTINCT audit_id) AS denied,
    count(DISTINCT coalesce(nullif(concat_ws('/', resource, subresource), ''), split_part(request_uri, '?', 1))) AS resources,
    array_to_string(array_sort(array_agg(DISTINCT coalesce(nullif(concat_ws('/', resource, subresource), ''), split_part(request_uri, '?', 1)))), ', ') AS what,
    count(DISTINCT namespace) AS namespaces,
    array_to_string(array_sort(array_agg(DISTINCT client_ip)), ', ') AS addresses,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    status_code IN (401, 403)
    AND ($classes IS NULL OR array_has($classes, principal_class))
GROUP BY cluster, username, principal_class
HAVING count(DISTINCT audit_id) >= $least
ORDER BY resources DESC, denied DESC, cluster, username
