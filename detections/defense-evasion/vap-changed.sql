-- /// detection
-- title = "An admission policy of the API server was changed"
-- severity = "high"
-- status = "stable"
-- attack = ["T1562.001"]
-- section = [8]
-- suppress = "1d"
-- key = ["cluster", "username", "resource", "object_name"]
-- summary = "{username} did {verb} on admission policy {resource} {object_name} of {cluster}, from {client_ip}"
--
-- description = """
-- Admission policies in CEL live in the API server itself; with the binding gone, or its action set to Warn, what they
-- refused is accepted, and no webhook was touched. A mutating one rewrites objects without a pod that could be found.
-- AKS (which ships its own), lists/policy_managers.csv and lists/workload_deployers.csv are left out; status is not
-- counted. No body is needed; dry runs do not count. Compare with the source of the policy.
-- """
-- false_positives = [
--   "Policies that are kept by hand or by a pipeline: add it to lists/policy_managers.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline", "admission-denials"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    concat(namespace || '/', coalesce(name, '(all)')) AS object_name,
    substr(request_object, 1, 500) AS request,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')
    AND resource IN (
        'validatingadmissionpolicies', 'validatingadmissionpolicybindings',
        'mutatingadmissionpolicies', 'mutatingadmissionpolicybindings'
    )
    AND coalesce(subresource, '') <> 'status'
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('policy_managers', username)
    AND NOT listed('workload_deployers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
