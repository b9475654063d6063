-- /// query
-- title = "Denied requests by identity"
-- section = [1]
-- see_also = ["identity-timeline"]
--
-- description = """
-- Who was refused what, how often, from how many addresses. Many different
-- resources refused to one identity is somebody who tries out what a stolen
-- token can do; one resource refused ten thousand times is a broken controller.
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
    count(*) AS denied,
    count(DISTINCT concat_ws('/', resource, subresource)) AS resources,
    count(DISTINCT namespace) AS namespaces,
    count(DISTINCT client_ip) AS addresses,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    status_code IN (401, 403)
    AND ($classes IS NULL OR array_has($classes, principal_class))
GROUP BY cluster, username, principal_class
HAVING count(*) >= $least
ORDER BY denied DESC, cluster, username
