-- /// query
-- title = "Who read an object"
-- topic = "change"
-- section = [4, 6]
-- see_also = ["object-history", "secret-readers"]
--
-- description = """
-- Everyone who read one object of any kind by its name, or with a list or watch of
-- its namespace or of the cluster. For config maps that hold credentials, for
-- nodes and for objects of operators. Only kube-audit has reads.
-- """
--
-- example = { resource = "configmaps", name = "app-config", namespace = "payments" }
--
-- [params]
-- resource = { type = "string", description = "Kind of the object as in the API: plural, lower case", required = true }
-- name = { type = "string", description = "Name of the object", required = true }
-- namespace = { type = "string", description = "Namespace of the object; leave it out for one of the cluster", required = false }
-- ///

SELECT
    cluster,
    username,
    principal_class,
    CASE
        WHEN name = $name THEN 'by name'
        WHEN namespace IS NOT NULL THEN 'with its namespace'
        ELSE 'with the whole cluster'
    END AS how,
    verb,
    status_code,
    count(DISTINCT audit_id) AS reads,
    array_to_string(array_sort(array_agg(DISTINCT client_ip)), ', ') AS addresses,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    resource = $resource
    AND subresource IS NULL
    AND verb IN ('get', 'list', 'watch')
    AND (
        (name = $name AND ($namespace IS NULL OR namespace = $namespace))
        OR (name IS NULL AND (namespace IS NULL OR namespace = $namespace))
    )
GROUP BY 1, 2, 3, 4, 5, 6
ORDER BY first_seen, cluster, username, how, verb, status_code
