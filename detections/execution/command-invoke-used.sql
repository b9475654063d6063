-- /// detection
-- title = "A command was run in the cluster through Azure"
-- severity = "high"
-- status = "stable"
-- attack = ["T1609", "T1651"]
-- section = [1, 5]
-- key = ["cluster", "name"]
-- suppress = "1d"
-- summary = "{username} made the run-command pod {namespace}/{name} on {cluster} (az aks command invoke), from {client_ip}"
--
-- description = """
-- az aks command invoke runs any command in a pod with the caller's rights, or cluster-admin's, past private networks
-- and address restrictions. The pod is made by AKS itself, so the identity here is not the caller's: the Azure activity
-- log (runCommand) has it. Any pod made in aks-command counts. No body is needed; images is empty without one. Clusters
-- that are run this way belong into lists/command_invoke_clusters.csv. Look at what was asked from that pod, and remove
-- the right to runCommand from who does not need it.
-- """
-- false_positives = [
--   "Administrators of private clusters, pipelines: add the cluster to lists/command_invoke_clusters.csv",
-- ]
-- follow_up = ["exec-sessions", "address-timeline", "object-history"]
-- ///

SELECT
    cluster,
    username,
    namespace,
    name,
    array_to_string(container_images(object), ', ') AS images,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb = 'create'
    AND resource = 'pods'
    AND subresource IS NULL
    AND namespace = 'aks-command'
    AND NOT listed('command_invoke_clusters', cluster)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
