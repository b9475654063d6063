-- /// detection
-- title = "A node started a pod from its own disk"
-- severity = "high"
-- status = "stable"
-- attack = ["T1610", "T1053.007"]
-- section = [7, 5]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} of {cluster} reported static pod {namespace}/{name} ({images}), from {client_ip}"
--
-- description = """
-- A file in the kubelet's manifest folder is a pod that no admission policy sees, that nobody can delete through the
-- API, and that comes back with each restart. All the log shows of it is its mirror: the node creates a pod, which
-- nodes may do for static pods only. AKS uses none. No body is needed; without one (level Metadata, or cut) images are
-- not known. A mirror that is refused (pod security, a namespace that does not exist) is silent while the pod runs.
-- Somebody has been root on that node: drain it, keep its disk, and replace it.
-- """
-- false_positives = [
--   "Node images of your own with static pods: add namespace/name to lists/static_pods.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    namespace,
    name,
    coalesce(array_to_string(container_images(object), ', '), 'images not logged') AS images,
    object -> 'metadata' -> 'annotations' ->> 'kubernetes.io/config.source' AS source,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb = 'create'
    AND resource = 'pods'
    AND subresource IS NULL
    AND principal_class = 'node'
    AND NOT listed('static_pods', concat(namespace, '/', name))
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
