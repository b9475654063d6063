-- /// detection
-- title = "A monitoring agent was removed"
-- severity = "high"
-- status = "stable"
-- attack = ["T1562.001"]
-- section = [6]
-- key = ["cluster", "username", "namespace", "resource", "name"]
-- suppress = "1d"
-- summary = "{username} deleted ({verb}) {resource} {namespace}/{name} of {cluster}, from {client_ip}"
--
-- description = """
-- Without the agents of Azure Monitor, Defender, Falco or Datadog, nodes and containers are dark, and the next steps
-- are seen by the audit log only. Their daemon sets, deployments, settings and accounts count, by the names in
-- lists/monitoring_agents.csv; deleting all daemon sets of a system namespace counts without a name. Single pods do
-- not, they come back. AKS, which removes add-ons that are turned off, lists/cleanup_controllers.csv,
-- lists/workload_deployers.csv and dry runs do not. No body is needed. Put it back, and look at what happened on the
-- nodes meanwhile.
-- """
-- false_positives = [
--   "An agent that is replaced or moved by hand",
-- ]
-- follow_up = ["evidence-removed", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    namespace,
    name,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('delete', 'deletecollection')
    AND resource IN ('daemonsets', 'deployments', 'statefulsets', 'configmaps', 'serviceaccounts')
    AND subresource IS NULL
    AND (
        listed('monitoring_agents', name)
        OR (verb = 'deletecollection' AND resource = 'daemonsets' AND listed('system_namespaces', namespace))
    )
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('cleanup_controllers', username)
    AND NOT listed('workload_deployers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
