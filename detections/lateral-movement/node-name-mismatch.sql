-- /// detection
-- title = "A node's identity tried to write another node"
-- severity = "critical"
-- status = "stable"
-- attack = ["T1078.001", "T1565"]
-- section = [7]
-- suppress = "1h"
-- key = ["cluster", "username", "name"]
-- summary = "{username} wrote ({verb}) node {name} of {cluster} with status {status_code}, from {client_ip}"
--
-- description = """
-- A kubelet writes its own Node object and no other; admission refuses it anything else. So an attempt at another node
-- is not a mistake of a kubelet: somebody holds the node's credential and tries how far it goes, to draw pods and their
-- secrets to it or to hide a node. Refused attempts count. No body is needed, but a create at level Metadata does not
-- tell the name and stays silent. Take the node out of service and rotate the cluster's certificates.
-- """
-- false_positives = [
--   "A machine that was renamed while its kubelet kept the old certificate",
-- ]
-- follow_up = ["identity-timeline", "address-timeline", "object-history"]
-- ///

SELECT
    cluster,
    username,
    name,
    verb,
    subresource,
    status_code,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND principal_class = 'node'
    AND resource = 'nodes'
    AND verb IN ('create', 'update', 'patch', 'delete')
    AND 'system:node:' || name <> username
