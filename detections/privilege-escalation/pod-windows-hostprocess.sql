-- /// detection
-- title = "A Windows container was started as a process of its node"
-- severity = "high"
-- status = "stable"
-- attack = ["T1611"]
-- section = [5, 7]
-- key = ["cluster", "username", "namespace", "resource", "name"]
-- suppress = "1d"
-- summary = "{username} asked ({verb}) for a HostProcess container in {resource} {namespace}/{name} of {cluster}, from {client_ip}"
--
-- description = """
-- A HostProcess container runs as a user of the Windows node itself, mostly SYSTEM: what privileged is on Linux. The
-- setting of the pod and of each container counts, init and ephemeral ones too. Every workload kind counts, on create,
-- update and patch; what the built-in controllers make from it does not, and dry runs do not. At level Metadata, or
-- when the body was cut before the setting, nothing is known and the rule stays silent (audit-record-truncated reports
-- the cut). AKS's own add-ons (kube-proxy, CSI drivers) are left out as in pod-privileged. Look at the image and who
-- needs it, then at the node.
-- """
-- false_positives = [
--   "Node agents for Windows: add namespace/name to lists/node_agents.csv",
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
    AND (subresource = 'ephemeralcontainers' OR (subresource IS NULL AND (resource <> 'pods' OR verb = 'create')))
    AND NOT (resource IN ('pods', 'replicasets', 'jobs') AND listed('workload_controllers', username))
    AND regexp_like(pod_spec(object), '"hostProcess"\s*:\s*true')
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
