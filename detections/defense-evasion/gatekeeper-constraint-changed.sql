-- /// detection
-- title = "A Gatekeeper policy was changed by hand"
-- severity = "high"
-- status = "stable"
-- attack = ["T1562.001"]
-- section = [8]
-- suppress = "1d"
-- key = ["cluster", "username", "resource", "object_name"]
-- summary = "{username} did {verb} on Gatekeeper's {resource} {object_name} of {cluster}, from {client_ip}"
--
-- description = """
-- Constraints, their templates and Gatekeeper's configuration are what Azure Policy enforces in the cluster. The add-on
-- writes them from Azure every quarter of an hour; written by hand they are switched off until it comes round, or for
-- good where they are your own. AKS, lists/policy_managers.csv and lists/workload_deployers.csv are left out; status is
-- not counted. No body is needed; dry runs do not count. Compare with the assignment in Azure, and see what was admitted
-- meanwhile.
-- """
-- false_positives = [
--   "Constraints of your own that are kept by hand or by a pipeline: add it to lists/policy_managers.csv",
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
    AND api_group IN (
        'constraints.gatekeeper.sh', 'templates.gatekeeper.sh', 'config.gatekeeper.sh',
        'mutations.gatekeeper.sh', 'externaldata.gatekeeper.sh', 'expansion.gatekeeper.sh'
    )
    AND coalesce(subresource, '') <> 'status'
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('policy_managers', username)
    AND NOT listed('workload_deployers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
