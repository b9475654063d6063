-- /// detection
-- title = "A pod shares the node's interprocess communication"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1611"]
-- section = [5]
-- key = ["cluster", "username", "namespace", "resource", "name"]
-- suppress = "1d"
-- summary = "{username} asked ({verb}) for the node's ipc namespace in {resource} {namespace}/{name} of {cluster}, from {client_ip}"
--
-- description = """
-- Such a pod reads and writes the shared memory of the node's processes. Hardly anything needs it.
-- Every workload kind counts, on create, update and patch; what the built-in controllers make
-- (pods, replica sets, jobs) does not, since the object it was made from is in the log itself, and dry runs do not.
-- AKS's own add-ons are left out when AKS or a system account deploys them from mcr.microsoft.com. Without a body (level
-- Metadata, or cut before the specification) the rule stays silent.
-- """
-- false_positives = [
--   "Node agents (monitoring, security, CSI drivers): add namespace/name to lists/node_agents.csv",
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
    array_to_string(host_namespaces(object), ', ') AS host_namespaces,
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
    AND array_has(host_namespaces(object), 'ipc')
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
