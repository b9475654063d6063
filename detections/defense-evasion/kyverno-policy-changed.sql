-- /// detection
-- title = "A Kyverno policy or an exception was changed"
-- severity = "high"
-- status = "stable"
-- attack = ["T1562.001"]
-- section = [8]
-- suppress = "1d"
-- key = ["cluster", "username", "resource", "object_name"]
-- summary = "{username} did {verb} on Kyverno's {resource} {object_name} of {cluster}, from {client_ip}"
--
-- description = """
-- A policy deleted or set to Audit, or an exception for one namespace, lets in what Kyverno refused. All kinds of
-- policies and exceptions count. AKS, lists/policy_managers.csv and lists/workload_deployers.csv are left out; status is
-- not counted, nor are update requests. No body is needed; dry runs do not count. Compare with the source of the policy,
-- and see who needed the exception.
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
    AND api_group IN ('kyverno.io', 'policies.kyverno.io')
    AND regexp_like(resource, 'polic(y|ies)')
    AND coalesce(subresource, '') <> 'status'
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('policy_managers', username)
    AND NOT listed('workload_deployers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
