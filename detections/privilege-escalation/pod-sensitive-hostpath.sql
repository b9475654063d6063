-- /// detection
-- title = "A sensitive path of the node was mounted"
-- severity = "high"
-- status = "stable"
-- attack = ["T1611"]
-- section = [5]
-- key = ["cluster", "username", "namespace", "resource", "name"]
-- suppress = "1d"
-- summary = "{username} mounted {paths} of the node in {resource} {namespace}/{name} of {cluster}, from {client_ip}"
--
-- description = """
-- The node's root, its configuration, processes, homes, the kubelet's folder (with every pod's tokens), the runtime's socket,
-- and /etc/kubernetes/azure.json with the cluster's identity are each a way out of the pod. Paths are compared after
-- normalising, so //etc/../etc/kubernetes/ counts. Harmless single files such as /etc/localtime do not.
-- Every workload kind counts, on create, update and patch; what the built-in controllers make
-- (pods, replica sets, jobs) does not, since the object it was made from is in the log itself, and dry runs do not.
-- AKS's own add-ons are left out as in pod-privileged. Without a body (level Metadata, or cut) the rule stays silent.
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
    AND (
        array_has_any(host_paths(object), ARRAY['/', '/var', '/var/run', '/run', '/var/lib', '/dev', '/sys'])
        OR any_under(
            array_except(
                host_paths(object),
                ARRAY['/etc/localtime', '/etc/timezone', '/etc/machine-id', '/etc/os-release', '/etc/ssl/certs']
            ),
            ARRAY[
                '/proc', '/etc', '/root', '/home', '/boot',
                '/run/containerd', '/run/crio', '/run/docker.sock',
                '/var/run/containerd', '/var/run/crio', '/var/run/docker.sock',
                '/var/lib/kubelet', '/var/lib/containerd', '/var/lib/waagent'
            ]
        )
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
