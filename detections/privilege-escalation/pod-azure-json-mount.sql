-- /// detection
-- title = "A pod mounted the cluster's Azure credentials"
-- severity = "critical"
-- status = "stable"
-- attack = ["T1552.001", "T1611"]
-- section = [4, 5, 7]
-- key = ["cluster", "username", "namespace", "resource", "name"]
-- suppress = "1d"
-- summary = "{username} mounted {paths} of the node in {resource} {namespace}/{name} of {cluster}, from {client_ip}"
--
-- description = """
-- /etc/kubernetes/azure.json, the node's certificates and the folder of the Azure agent hold what a node signs in to
-- Azure and to the API server with: who reads them acts as the cluster, not as a pod. Paths are compared after
-- normalising; the folders above them are pod-sensitive-hostpath's. Every workload kind counts, on create, update and
-- patch; what the built-in controllers make from it does not, and dry runs do not. At level Metadata, or when the body
-- was cut before the volumes, nothing is known and the rule stays silent (audit-record-truncated reports the cut). The
-- two certificates without a key, which monitoring agents use to trust the kubelet, do not count. AKS's own add-ons are
-- left out as in pod-privileged. Delete the pod, rotate the cluster's identity and certificates, and look at what the
-- identity did in Azure.
-- """
-- false_positives = [
--   "Drivers of your own that need the Azure configuration: add namespace/name to lists/node_agents.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline", "host-path-mounts"]
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
    AND any_under(
        array_except(host_paths(object), ARRAY['/etc/kubernetes/certs/ca.crt', '/etc/kubernetes/certs/kubeletserver.crt']),
        ARRAY['/etc/kubernetes/azure.json', '/etc/kubernetes/certs', '/var/lib/waagent', '/var/lib/kubelet/pki']
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
