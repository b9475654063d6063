-- /// detection
-- title = "A DaemonSet was created"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1610", "T1543.005"]
-- section = [5]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} created DaemonSet {namespace}/{name} ({images}) in {cluster}, from {client_ip}"
--
-- description = """
-- One object that runs on every node, and on every node to come. Few people have a reason to make one. No body is needed:
-- images is empty at level Metadata. Dry runs do not count. See the image, what it mounts, and which rules on pods fired
-- with it.
-- """
-- false_positives = [
--   "Agents installed by pipelines or GitOps: add the identity to lists/workload_deployers.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    namespace,
    name,
    array_to_string(container_images(object), ', ') AS images,
    pod_service_account(object) AS service_account,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb = 'create'
    AND resource = 'daemonsets'
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('workload_deployers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
