-- /// detection
-- title = "A privileged container was requested"
-- severity = "high"
-- status = "stable"
-- attack = ["T1611", "T1610"]
-- section = [5]
-- key = ["cluster", "username", "namespace", "resource", "name"]
-- suppress = "1d"
-- summary = "{username} asked ({verb}) for privileged containers {containers} in {resource} {namespace}/{name} of {cluster}, from {client_ip}"
--
-- description = """
-- A privileged container is root on its node: it reads the kubelet's credentials and every pod's secrets there. Init
-- and ephemeral containers count. Every workload kind counts, on create, update and patch; what the built-in
-- controllers make (pods, replica sets, jobs) does not, since the object it was made from is in the log itself, and dry
-- runs do not. AKS's own add-ons are left out when AKS or a system account deploys them and all images come from
-- mcr.microsoft.com; a person doing the same is not. At level Metadata, or when the body was cut before the containers,
-- nothing is known and the rule stays silent (audit-record-truncated reports the cut); of a JSON patch without its
-- response the patch itself is read. What an admission webhook adds is not in the request: see webhook-config-changed.
-- Look at the image and the service account, then at the node it ran on.
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
    array_to_string(privileged_containers(object), ', ') AS containers,
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
    AND (
        array_length(privileged_containers(object)) > 0
        OR (
            verb = 'patch'
            AND response_object IS NULL
            AND request_object LIKE '[%'
            AND regexp_like(
                request_object,
                '"privileged"\s*:\s*true|/privileged"[^{}]*"value"\s*:\s*true|"value"\s*:\s*true[^{}]*/privileged"'
            )
            AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
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
