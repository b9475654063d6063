-- /// detection
-- title = "A network policy was deleted"
-- severity = "high"
-- status = "stable"
-- attack = ["T1562.007", "T1562.004"]
-- section = [2]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} deleted ({verb}) {resource} {policy} of {cluster}, from {client_ip}"
--
-- description = """
-- Where a policy is gone, pods talk to everything again, at once. Kubernetes, Cilium and Calico policies count; a
-- deletecollection has no name. What the namespace controller removes with a namespace does not count. No body is needed.
-- Restore the policy, then look for new connections and for port-forwards into that namespace.
-- """
-- false_positives = [
--   "Policies moved by GitOps or an operator: add the identity to lists/workload_deployers.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    namespace,
    name,
    concat(coalesce(namespace || '/', ''), coalesce(name, '*')) AS policy,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('delete', 'deletecollection')
    AND resource IN (
        'networkpolicies', 'globalnetworkpolicies',
        'ciliumnetworkpolicies', 'ciliumclusterwidenetworkpolicies',
        'adminnetworkpolicies', 'baselineadminnetworkpolicies', 'clusternetworkpolicies'
    )
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('cleanup_controllers', username)
    AND NOT listed('workload_deployers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
