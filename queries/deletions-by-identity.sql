-- /// query
-- title = "Deletions by identity"
-- topic = "change"
-- section = [6]
-- see_also = ["evidence-removed", "object-history"]
--
-- description = """
-- Who deleted how much of what, where and how fast. Many deletions in minutes are
-- an accident, an attack or a clean-up of traces. A deletecollection is one
-- request that removes every object of a kind in its namespace: its weight is not
-- in the count. Kubernetes' own controllers, which clear away what belonged to
-- something deleted, are left out unless asked for.
-- """
--
-- [params]
-- platform = { type = "bool", description = "Whether deletions by nodes and identities of AKS and Kubernetes are shown", default = false }
-- ///

SELECT
    cluster,
    username,
    principal_class,
    resource,
    count(DISTINCT audit_id) FILTER (WHERE verb = 'delete') AS deleted,
    count(DISTINCT audit_id) FILTER (WHERE verb = 'deletecollection') AS collections,
    array_to_string(array_sort(array_agg(DISTINCT namespace)), ', ') AS namespaces,
    array_to_string(array_slice(array_sort(array_agg(DISTINCT name)), 1, 20), ', ') AS names,
    array_to_string(array_sort(array_agg(DISTINCT client_ip)), ', ') AS addresses,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    verb IN ('delete', 'deletecollection')
    AND stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
    AND ($platform OR coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa'))
GROUP BY cluster, username, principal_class, resource
ORDER BY deleted DESC, collections DESC, cluster, username, resource
