-- /// detection
-- title = "The driver for Key Vault secrets was removed"
-- severity = "high"
-- status = "stable"
-- attack = ["T1562.001"]
-- section = [4]
-- key = ["cluster", "username", "resource", "name"]
-- suppress = "1d"
-- summary = "{username} removed or disabled ({verb}) {resource} {name} of {cluster}, from {client_ip}"
--
-- description = """
-- Without the secrets store driver or its Azure provider, pods that mount secrets from Key Vault do not start again,
-- and teams copy them into plain secrets. Deletes count, and patches that bring a node selector, affinity or another
-- image; restarts do not, nor updates of the whole object. AKS, which removes the add-on when it is turned off,
-- lists/workload_deployers.csv, lists/cleanup_controllers.csv and dry runs do not count. A delete needs no body; a
-- patch without one (level Metadata, or cut) stays silent. Restore the add-on (az aks enable-addons) and ask who did
-- it.
-- """
-- false_positives = [
--   "The driver's own chart removed in favour of the add-on",
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
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('delete', 'patch')
    AND resource IN ('daemonsets', 'deployments', 'csidrivers')
    AND subresource IS NULL
    AND regexp_like(name, '^(aks-secrets-store-|csi-secrets-store|secrets-store-csi|secrets-store\.csi)')
    AND (
        verb = 'delete'
        OR regexp_like(request_object, '"(nodeSelector|nodeAffinity)"\s*:\s*\{|/(nodeSelector|affinity)[/"]|"image"\s*:|/image"')
    )
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('workload_deployers', username)
    AND NOT listed('cleanup_controllers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
