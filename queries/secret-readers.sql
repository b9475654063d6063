-- /// query
-- title = "Who read a secret"
-- topic = "secrets"
-- section = [4]
-- see_also = ["secrets-read-by-identity", "kubeconfig-sources"]
--
-- description = """
-- Everyone who was given one secret: who got it by its name, and who listed or
-- watched its namespace or the whole cluster, which gives it too. Nodes are among
-- them for the pods that mount it. The question to ask before deciding whether a
-- secret must be rotated; "nobody" is only an answer where kube-audit was
-- collected for the whole range and nothing was cut (see log-completeness).
-- """
--
-- example = { namespace = "payments", name = "ledger-db" }
--
-- [params]
-- namespace = { type = "string", description = "Namespace of the secret", required = true }
-- name = { type = "string", description = "Name of the secret", required = true }
-- ///

SELECT
    cluster,
    username,
    principal_class,
    CASE
        WHEN name = $name THEN 'by name'
        WHEN namespace = $namespace THEN 'with its namespace'
        ELSE 'with the whole cluster'
    END AS how,
    verb,
    count(DISTINCT audit_id) AS reads,
    array_to_string(array_sort(array_agg(DISTINCT client_ip)), ', ') AS addresses,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    resource = 'secrets'
    AND status_code BETWEEN 200 AND 299
    AND (
        (namespace = $namespace AND name = $name)
        OR (verb IN ('list', 'watch') AND name IS NULL AND (namespace = $namespace OR namespace IS NULL))
    )
GROUP BY 1, 2, 3, 4, 5
ORDER BY first_seen, cluster, username, how, verb
