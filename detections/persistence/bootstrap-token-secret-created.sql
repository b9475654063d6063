-- /// detection
-- title = "A node bootstrap token was created"
-- severity = "high"
-- status = "stable"
-- attack = ["T1098", "T1136"]
-- section = [1, 7]
-- key = ["cluster", "username", "name"]
-- suppress = "1d"
-- summary = "{username} wrote ({verb}) secret kube-system/{name} of {cluster}, from {client_ip}"
--
-- description = """
-- A secret of this name is a token with which machines join the cluster as nodes: whoever knows it can have a node's
-- certificate and with it the secrets of the pods placed there. AKS makes and rotates the one of each node pool; nobody
-- else has to. Creates, updates and patches count; other accounts of kube-system do too. No body is needed; dry runs do
-- not count. Delete the secret and look at the nodes and certificate requests since.
-- """
-- false_positives = [
--   "Machines of your own joined to the cluster (hybrid nodes)",
-- ]
-- follow_up = ["object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    name,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource = 'secrets'
    AND namespace = 'kube-system'
    AND starts_with(name, 'bootstrap-token-')
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
