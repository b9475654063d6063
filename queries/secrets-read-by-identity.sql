-- /// query
-- title = "Every secret an identity read"
-- topic = "secrets"
-- section = [4]
-- see_also = ["secret-readers", "identity-timeline"]
--
-- description = """
-- Which secrets one identity was given, from where, how often, first and last:
-- what to rotate once it is known to be taken over. A list or watch without a
-- name gave it every secret of the namespace, or of the cluster where the
-- namespace is empty: rotate them all. Reading needs kube-audit; with
-- kube-audit-admin alone there is no row, whatever was read. A pod gets the
-- secrets it mounts through its node, not under its own name: see
-- secrets-used-by-workloads.
-- """
--
-- example = { identity = "masterclient" }
--
-- [params]
-- identity = { type = "string", description = "User name as the API server knows it", required = true }
-- ///

SELECT
    cluster,
    namespace,
    name,
    verb,
    count(DISTINCT audit_id) AS reads,
    array_to_string(array_sort(array_agg(DISTINCT client_ip)), ', ') AS addresses,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    username = $identity
    AND resource = 'secrets'
    AND verb IN ('get', 'list', 'watch')
    AND status_code BETWEEN 200 AND 299
GROUP BY cluster, namespace, name, verb
ORDER BY cluster, namespace NULLS FIRST, name NULLS FIRST, verb, first_seen
