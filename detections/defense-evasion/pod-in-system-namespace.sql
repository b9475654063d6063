-- /// detection
-- title = "A workload was put into a system namespace"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1036.005", "T1610"]
-- section = [5]
-- key = ["cluster", "username", "namespace", "resource", "name"]
-- suppress = "1d"
-- summary = "{username} made or changed ({verb}) {resource} {namespace}/{name} of {cluster}, from {client_ip}"
--
-- description = """
-- Among the add-ons of kube-system a foreign pod is easily overlooked, policies usually exempt the namespace, and its
-- service accounts are powerful. Creates, updates and patches by anybody but AKS, nodes and the system's own accounts count; dry
-- runs do not. No body is needed; images and service_account are empty at level Metadata.
-- """
-- false_positives = [
--   "Agents you install into kube-system: add the identity that deploys them to lists/workload_deployers.csv",
--   "kubectl rollout restart of an add-on by an administrator",
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
    array_to_string(container_images(object), ', ') AS images,
    pod_service_account(object) AS service_account,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource IN (
        'pods', 'deployments', 'daemonsets', 'statefulsets', 'replicasets',
        'jobs', 'cronjobs', 'replicationcontrollers', 'podtemplates'
    )
    AND subresource IS NULL
    AND listed('system_namespaces', namespace)
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa')
    AND NOT listed('workload_deployers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
