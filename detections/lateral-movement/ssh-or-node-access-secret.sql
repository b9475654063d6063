-- /// detection
-- title = "A pod was made to get a shell on a node"
-- severity = "high"
-- status = "stable"
-- attack = ["T1611", "T1021.004"]
-- section = [7, 5]
-- suppress = "1d"
-- key = ["cluster", "username", "namespace", "resource", "name"]
-- summary = "{username} made ({verb}) {resource} {namespace}/{name} of {cluster}, which enters its node, from {client_ip}"
--
-- description = """
-- nsenter in a container's command, or a name that tools for node shells use (node-shell, nsenter, aks-ssh, ssh-helper),
-- means that somebody becomes root on a node through a pod: all pods and secrets there are theirs, and nothing on the
-- node is in this log. Every workload kind, init and debug containers count. Without a body (level Metadata) or when it
-- was cut only the name tells. AKS's own add-ons, what the built-in controllers make and dry runs are left out. Ask who
-- needed it; az aks and kubectl debug leave a better trace.
-- """
-- false_positives = [
--   "kubectl node-shell by those who run the nodes; reboot daemons that use nsenter: add namespace/name to lists/node_agents.csv",
-- ]
-- follow_up = ["privileged-workloads", "identity-timeline", "exec-sessions"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    namespace,
    coalesce(name, '(name not logged)') AS name,
    array_to_string(container_images(object), ', ') AS images,
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
    AND (subresource = 'ephemeralcontainers' OR (subresource IS NULL AND (resource <> 'pods' OR verb = 'create')))
    AND NOT (resource IN ('pods', 'replicasets', 'jobs') AND listed('workload_controllers', username))
    AND (
        regexp_like(name, 'aks-ssh|node-?shell|nsenter|ssh-helper')
        OR regexp_like(pod_spec(object), '"([^" ]*/)?nsenter["\s]|[\s;&|]([^" ]*/)?nsenter\s+(-|--)')
    )
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
