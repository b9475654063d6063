-- /// query
-- title = "Every secret an identity read"
-- section = [4]
-- see_also = ["identity-timeline", "denied-by-identity"]
--
-- description = """
-- Which secrets one identity was given, from where, how often, first and last.
-- A list or watch without a name gave it every secret of the namespace, or of
-- the cluster where the namespace is empty: rotate them all.
-- """
--
-- [params]
-- identity = { type = "string", description = "User name as the API server knows it", required = true }
-- ///

SELECT
    cluster,
    namespace,
    name,
    verb,
    count(*) AS reads,
    count(DISTINCT client_ip) AS addresses,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    username = $identity
    AND resource = 'secrets'
    AND verb IN ('get', 'list', 'watch')
    AND status_code BETWEEN 200 AND 299
GROUP BY cluster, namespace, name, verb
ORDER BY reads DESC, cluster, namespace, name, verb
