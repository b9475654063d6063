-- /// detection
-- title = "A container asked for dangerous capabilities"
-- severity = "high"
-- status = "stable"
-- attack = ["T1611", "T1068"]
-- section = [5]
-- key = ["cluster", "username", "namespace", "resource", "name"]
-- suppress = "1d"
-- summary = "{username} asked ({verb}) for the capabilities {capabilities} in {resource} {namespace}/{name} of {cluster}, from {client_ip}"
--
-- description = """
-- Each of these is close to root on the node: mounting, tracing, loading modules, raw devices, rewriting the network, reading
-- any file. NET_RAW, DAC_OVERRIDE and MKNOD, which the runtime gives to every container unasked, are not counted. Init and
-- ephemeral containers count. Every workload kind counts, on create, update and patch; what the built-in controllers make
-- (pods, replica sets, jobs) does not, since the object it was made from is in the log itself, and dry runs do not.
-- AKS's own add-ons are left out as in pod-privileged. Without a body (level Metadata, or cut) the rule stays silent.
-- """
-- false_positives = [
--   "CNI and mesh agents (NET_ADMIN): add namespace/name to lists/node_agents.csv",
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
    array_to_string(added_capabilities(object), ', ') AS capabilities,
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
    AND array_has_any(
        added_capabilities(object),
        ARRAY[
            'ALL', 'SYS_ADMIN', 'SYS_PTRACE', 'SYS_MODULE', 'SYS_RAWIO', 'SYS_BOOT', 'NET_ADMIN',
            'BPF', 'PERFMON', 'DAC_READ_SEARCH', 'SYSLOG', 'MAC_ADMIN', 'MAC_OVERRIDE'
        ]
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
