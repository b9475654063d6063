-- /// detection
-- title = "A node's status was written by somebody else"
-- severity = "high"
-- status = "stable"
-- attack = ["T1565", "T1557"]
-- section = [7]
-- suppress = "1d"
-- key = ["cluster", "username", "name"]
-- summary = "{username} wrote ({verb}) the status of node {name} of {cluster}, from {client_ip}"
--
-- description = """
-- Addresses, capacity and health of a node are what its kubelet reports. Written by another, they lead traffic of the
-- API server (logs, exec, proxy) to another address, draw pods to a node, or make one look dead. AKS, the control plane,
-- nodes and lists/node_status_writers.csv are left out, other accounts of kube-system are not. No body is needed; dry
-- runs do not count. Compare the addresses of the node with those of the virtual machine.
-- """
-- false_positives = [
--   "Extended resources advertised by hand; agents of your own: add the account to lists/node_status_writers.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    name,
    verb,
    substr(request_object, 1, 500) AS request,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource = 'nodes'
    AND subresource = 'status'
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node')
    AND NOT listed('node_status_writers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
