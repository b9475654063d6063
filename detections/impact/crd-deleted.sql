-- /// detection
-- title = "A kind of custom resource was deleted"
-- severity = "high"
-- status = "stable"
-- attack = ["T1485", "T1562.001"]
-- section = [6, 8]
-- key = ["cluster", "username", "name"]
-- suppress = "1d"
-- summary = "{username} deleted ({verb}) CustomResourceDefinition {name} of {cluster}, from {client_ip}"
--
-- description = """
-- Deleting a definition deletes every object of its kind on the cluster: certificates, routes, policies, backups. With
-- those of Gatekeeper, Kyverno, Cilium or Istio the rules they held go too. AKS, lists/workload_deployers.csv,
-- lists/cleanup_controllers.csv and dry runs do not count. No body is needed. If nobody uninstalled an operator,
-- restore the definition and its objects from git or a backup.
-- """
-- false_positives = [
--   "An operator that is uninstalled by hand",
-- ]
-- follow_up = ["deletions-by-identity", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    coalesce(name, 'all that were selected') AS name,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('delete', 'deletecollection')
    AND resource = 'customresourcedefinitions'
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('workload_deployers', username)
    AND NOT listed('cleanup_controllers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
