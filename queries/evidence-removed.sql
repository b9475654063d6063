-- /// query
-- title = "Traces that were removed, and watchers that were changed"
-- topic = "change"
-- section = [6]
-- see_also = ["deletions-by-identity", "log-completeness"]
--
-- description = """
-- Deleted events, and changes to what watches the cluster: monitoring agents and
-- their configuration, admission webhooks, audit and policy agents, by anyone but
-- AKS. Events expire by themselves after an hour; nobody deletes them by hand
-- without a reason. That the diagnostic setting was removed is in Azure's activity
-- log; here only log-completeness shows it.
-- """
-- ///

SELECT
    time,
    cluster,
    username,
    client_ip,
    user_agent,
    verb,
    resource,
    namespace,
    name,
    status_code,
    audit_id
FROM audit
WHERE
    verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')
    AND stage = 'ResponseComplete'
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node')
    AND (
        (resource = 'events' AND verb IN ('delete', 'deletecollection'))
        OR (resource LIKE '%webhookconfigurations' AND verb IN ('delete', 'deletecollection'))
        OR (
            resource IN ('daemonsets', 'deployments', 'configmaps', 'customresourcedefinitions', 'namespaces')
            AND regexp_like(
                concat_ws('/', namespace, name),
                '(ama-logs|ama-metrics|azure-policy|gatekeeper|falco|tetragon|microsoft-defender|omsagent|container-azm-ms|fluent|retina)'
            )
            AND NOT (principal_class = 'system-sa' AND verb NOT IN ('delete', 'deletecollection'))
        )
    )
ORDER BY time, audit_id
