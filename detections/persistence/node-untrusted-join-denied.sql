-- /// detection
-- title = "A machine that is not of AKS tried to join as a node"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1610"]
-- section = [7]
-- key = ["cluster", "username", "node"]
-- suppress = "1d"
-- summary = "{username} tried to join {node} to {cluster} as a node: {status_code}, from {client_ip}"
--
-- description = """
-- Somebody has a credential that gets as far as the API server and tried to make a node with a name that AKS does not
-- give. The node restriction refuses a node's certificate for another name, and roles refuse everyone else. Requests
-- without credentials (401, anonymous) are left out. No body is needed: os_image is not known at level Metadata. Find out
-- whose credential it is and from where it came.
-- """
-- false_positives = [
--   "Machines of your own: add their names to lists/node_names.csv",
-- ]
-- follow_up = ["denied-by-identity", "address-timeline"]
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
    AND status_code >= 400
    AND status_code <> 401
    AND verb = 'create'
    AND resource = 'nodes'
    AND subresource IS NULL
    AND NOT regexp_like(coalesce(name, regexp_replace(username, '^system:node:', '')), '^aks-[a-z0-9]+-[0-9]{8}-vmss[0-9a-z]{6}$|^aks[a-z0-9]{1,6}[0-9a-z]{6}$|^aks-[a-z0-9-]+-[a-z0-9]{5}$|^virtual-node-aci-linux[a-z0-9-]*$')
    AND NOT listed('node_names', name)
    AND coalesce(principal_class, 'other') <> 'anonymous'
