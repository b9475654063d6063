-- /// detection
-- title = "A folder of the node was mounted"
-- severity = "low"
-- status = "stable"
-- attack = ["T1611"]
-- section = [5]
-- key = ["cluster", "username", "namespace", "resource", "name"]
-- suppress = "1d"
-- summary = "{username} mounted {paths} of the node in {resource} {namespace}/{name} of {cluster}, from {client_ip}"
--
-- description = """
-- Any hostPath ties a pod to its node and lets it leave something there for the next pod, or for the node. The grave paths
-- are pod-sensitive-hostpath's; this is the whole list. Every workload kind counts, on create, update and patch; what the
-- built-in controllers make (pods, replica sets, jobs) does not, since the object it was made from is in the log itself,
-- and dry runs do not. AKS's own add-ons are left out as in pod-privileged. Without a body (level Metadata, or cut) the
-- rule stays silent. Use a persistent volume or emptyDir instead.
-- """
-- false_positives = [
--   "Node agents (monitoring, security, CSI drivers): add namespace/name to lists/node_agents.csv",
-- ]
-- follow_up = ["privileged-workloads", "object-history"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    namespace,
    name,
    array_to_string(host_paths(object), ', ') AS paths,
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
    AND (resource <> 'pods' OR verb = 'create')
    AND NOT (resource IN ('pods', 'replicasets', 'jobs') AND listed('workload_controllers', username))
    AND array_length(host_paths(object)) > 0
    AND NOT listed('node_agents', concat(namespace, '/', name))
    AND NOT (
        coalesce(principal_class, 'other') IN ('aks', 'system', 'system-sa')
        AND listed('system_namespaces', namespace)
        AND regexp_like(
            concat(array_to_string(container_images(object), ' '), ' '),
            '^(mcr\.microsoft\.com/[^ ]+ )+$'
        )
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
