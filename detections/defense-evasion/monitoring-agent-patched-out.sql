-- /// detection
-- title = "A monitoring agent was put out of action"
-- severity = "high"
-- status = "stable"
-- attack = ["T1562.001"]
-- section = [6]
-- key = ["cluster", "username", "namespace", "resource", "name"]
-- suppress = "1d"
-- summary = "{username} changed ({verb}) {resource} {namespace}/{name} of {cluster} so that it runs nowhere or as something else, from {client_ip}"
--
-- description = """
-- A node selector that fits no node, no replicas, or another image leave an agent in place that does nothing: lists
-- and dashboards still show it. Fires on a patch that brings a node selector or affinity, on a scale to zero, and for
-- add-ons in system namespaces on a patch of an image, by the names in lists/monitoring_agents.csv. Restarts do not
-- count, an update of the whole object or an operator's server-side apply only with zero replicas. AKS,
-- lists/workload_deployers.csv and dry runs do not count. Without a body (level Metadata, or cut before the change)
-- the rule stays silent. Compare the object with what it should be and restore it.
-- """
-- false_positives = [
--   "helm upgrades by hand, and server-side applies of a whole agent: use a pipeline of lists/workload_deployers.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    subresource,
    namespace,
    name,
    left(request_object, 500) AS request,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('update', 'patch')
    AND resource IN ('daemonsets', 'deployments', 'statefulsets')
    AND coalesce(subresource, 'scale') = 'scale'
    AND listed('monitoring_agents', name)
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('workload_deployers', username)
    AND (
        (object -> 'spec' ->> 'replicas') = '0'
        OR (
            verb = 'patch'
            AND NOT (principal_class = 'service-account' AND coalesce(request_object ->> 'kind', '') <> '')
            AND regexp_like(request_object, '"(nodeSelector|nodeAffinity)"\s*:\s*\{|/(nodeSelector|affinity)[/"]')
        )
        OR (
            verb = 'patch'
            AND listed('system_namespaces', namespace)
            AND regexp_like(request_object, '"image"\s*:|/image"')
        )
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
