-- /// detection
-- title = "A machine that is not of AKS joined as a node"
-- severity = "high"
-- status = "stable"
-- attack = ["T1610", "T1078"]
-- section = [7]
-- key = ["cluster", "node"]
-- suppress = "1d"
-- summary = "{username} joined {node} to {cluster} as a node ({os_image}), from {client_ip}"
--
-- description = """
-- Nodes of AKS bear names of a fixed form (pools, Windows, node auto-provisioning, virtual nodes). Another name is a
-- machine joined with a stolen bootstrap token or certificate: pods and their secrets will be scheduled onto it. A name
-- can be chosen, so silence proves nothing. No body is needed: os_image is not known at level Metadata. Cordon and delete
-- the node, then rotate the cluster's certificates (az aks rotate-certs).
-- """
-- false_positives = [
--   "Machines of your own joined on purpose: add their names to lists/node_names.csv",
-- ]
-- follow_up = ["identity-timeline", "address-timeline"]
-- ///

SELECT
    cluster,
    username,
    coalesce(name, regexp_replace(username, '^system:node:', '')) AS node,
    coalesce(object -> 'status' -> 'nodeInfo' ->> 'osImage', 'system not logged') AS os_image,
    status_code,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb = 'create'
    AND resource = 'nodes'
    AND subresource IS NULL
    AND NOT regexp_like(coalesce(name, regexp_replace(username, '^system:node:', '')), '^aks-[a-z0-9]+-[0-9]{8}-vmss[0-9a-z]{6}$|^aks[a-z0-9]{1,6}[0-9a-z]{6}$|^aks-[a-z0-9-]+-[a-z0-9]{5}$|^virtual-node-aci-linux[a-z0-9-]*$')
    AND NOT listed('node_names', name)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
