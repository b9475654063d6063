-- /// detection
-- title = "A network policy was created or changed"
-- severity = "low"
-- status = "stable"
-- attack = ["T1562.007"]
-- section = [2]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} wrote ({verb}) {resource} {policy} of {cluster}, from {client_ip}"
--
-- description = """
-- One more allowed port, or a policy with an empty rule beside the strict one, opens what was closed: policies add up.
-- Kubernetes, Cilium and Calico policies count. What GitOps and operators of lists/workload_deployers.csv write does not;
-- a delete is netpol-deleted's. No body is needed: spec is empty at level Metadata. Dry runs do not count. Compare it with
-- the version in git.
-- """
-- false_positives = [
--   "Policies written by people or pipelines: add their identity to lists/workload_deployers.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline", "network-policy-history"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    namespace,
    name,
    concat(coalesce(namespace || '/', ''), coalesce(name, '')) AS policy,
    substr(object ->> 'spec', 1, 1000) AS spec,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource IN (
        'networkpolicies', 'globalnetworkpolicies',
        'ciliumnetworkpolicies', 'ciliumclusterwidenetworkpolicies',
        'adminnetworkpolicies', 'baselineadminnetworkpolicies', 'clusternetworkpolicies'
    )
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('workload_deployers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
