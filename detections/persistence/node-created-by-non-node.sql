-- /// detection
-- title = "A node was made by somebody who is no node"
-- severity = "high"
-- status = "stable"
-- attack = ["T1610", "T1557"]
-- section = [7]
-- suppress = "1d"
-- key = ["cluster", "username", "node"]
-- summary = "{username} made node {node} in {cluster}, from {client_ip}"
--
-- description = """
-- Kubelets register their own node, and AKS makes nodes through Azure. A node that a person or a service account writes
-- is one that only the API believes in: pods, their secrets and the traffic of services are sent to whatever address it
-- names. AKS and nodes are left out, bootstrap tokens and the control plane's other identities are not. No body is
-- needed, but the name of the node is not known at level Metadata. Dry runs do not count. Delete the node, and see which
-- pods were bound to it.
-- """
-- false_positives = [
--   "Virtual kubelets and autoscalers of your own: add the account to lists/node_creators.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    coalesce(name, '(name not logged)') AS node,
    verb,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb = 'create'
    AND resource = 'nodes'
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'node')
    AND NOT listed('node_creators', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
