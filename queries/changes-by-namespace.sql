-- /// query
-- title = "Changes by namespace"
-- topic = "change"
-- section = [6]
-- see_also = ["deletions-by-identity", "identity-timeline"]
--
-- description = """
-- What was created, changed and deleted in each namespace, by how many people and
-- how many others; "what happened since yesterday" with --since 24h. Objects that
-- change by themselves (leases, events, status, token and access reviews, endpoint
-- slices) and dry runs are left out, and so are nodes and identities of the
-- platform unless asked for. The row without a namespace has objects of the
-- cluster.
-- """
--
-- [params]
-- platform = { type = "bool", description = "Whether changes by nodes and identities of AKS and Kubernetes count", default = false }
-- ///

SELECT
    cluster,
    namespace,
    count(DISTINCT audit_id) FILTER (WHERE verb = 'create') AS created,
    count(DISTINCT audit_id) FILTER (WHERE verb IN ('update', 'patch')) AS changed,
    count(DISTINCT audit_id) FILTER (WHERE verb IN ('delete', 'deletecollection')) AS deleted,
    array_to_string(array_sort(array_agg(DISTINCT resource)), ', ') AS resources,
    array_to_string(array_sort(array_agg(DISTINCT CASE WHEN principal_class IN ('entra-user', 'local-admin', 'other', 'anonymous') THEN username END)), ', ') AS people,
    count(DISTINCT CASE WHEN principal_class NOT IN ('entra-user', 'local-admin', 'other', 'anonymous') THEN username END) AS others,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')
    AND stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
    AND coalesce(subresource, '') NOT IN ('status', 'token')
    AND resource NOT IN ('leases', 'events', 'endpoints', 'endpointslices')
    AND resource NOT LIKE '%reviews'
    AND ($platform OR coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa'))
GROUP BY cluster, namespace
ORDER BY cluster, namespace NULLS FIRST
