-- /// query
-- title = "Who lists and watches secrets, and how widely"
-- topic = "secrets"
-- section = [4]
-- see_also = ["secret-readers", "secrets-read-by-identity"]
--
-- description = """
-- Identities that list or watch secrets, by scope. Whoever lists the cluster's
-- secrets holds every credential in it: the identities in the first rows are worth
-- as much as cluster-admin and should be few, known controllers. Watches that
-- began before the range and still run are not seen.
-- """
--
-- [params]
-- platform = { type = "bool", description = "Whether nodes and identities of AKS and Kubernetes are shown", default = false }
-- ///

SELECT
    cluster,
    CASE WHEN namespace IS NULL THEN 'whole cluster' ELSE 'namespaces' END AS scope,
    username,
    principal_class,
    array_to_string(array_sort(array_agg(DISTINCT namespace)), ', ') AS namespaces,
    array_to_string(array_sort(array_agg(DISTINCT verb)), ', ') AS verbs,
    array_to_string(array_sort(array_agg(DISTINCT split_part(user_agent, ' ', 1))), ', ') AS agents,
    array_to_string(array_sort(array_agg(DISTINCT client_ip)), ', ') AS addresses,
    count(DISTINCT audit_id) AS requests,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    resource = 'secrets'
    AND verb IN ('list', 'watch')
    AND name IS NULL
    AND status_code BETWEEN 200 AND 299
    AND ($platform OR coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node'))
GROUP BY 1, 2, 3, 4
ORDER BY scope DESC, cluster, username
