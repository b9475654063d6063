-- /// query
-- title = "Configuration of kube-system that was changed"
-- topic = "change"
-- section = [6, 9]
-- see_also = ["object-history", "evidence-removed"]
--
-- description = """
-- Writes of config maps, secrets, workloads, services and accounts in the
-- namespaces of the platform, by anyone but AKS and Kubernetes: coredns-custom
-- (which can send names elsewhere), the agents' settings, accounts with rights
-- over the cluster. GitOps tools that own such objects belong here.
-- """
-- ///

SELECT
    time,
    cluster,
    username,
    client_ip,
    verb,
    resource,
    namespace,
    name,
    substr(request_object, 1, 300) AS asked,
    audit_id
FROM audit
WHERE
    verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')
    AND stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
    AND subresource IS NULL
    AND listed('system_namespaces', namespace)
    AND resource NOT IN ('leases', 'events', 'endpoints', 'endpointslices')
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa')
ORDER BY time, audit_id
