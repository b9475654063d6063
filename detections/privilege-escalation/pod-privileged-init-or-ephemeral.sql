-- /// detection
-- title = "Only an init or debug container is privileged"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1611", "T1610"]
-- section = [5]
-- key = ["cluster", "username", "namespace", "resource", "name"]
-- suppress = "1d"
-- summary = "{username} asked ({verb}) for privileged containers {privileged} beside unprivileged ones in {resource} {namespace}/{name} of {cluster}, from {client_ip}"
--
-- description = """
-- The ordinary containers are clean and one that runs first, or was added for debugging, is privileged: reviews and many
-- scanners look at the ordinary ones only. pod-privileged fires as well and is graver; this one tells where to look. Every
-- workload kind counts, on create, update and patch; what the built-in controllers make (pods, replica sets, jobs) does
-- not, since the object it was made from is in the log itself, and dry runs do not. AKS's own add-ons are left out as
-- there. At level Metadata, or when the body was cut before the containers, the rule stays silent (audit-record-truncated
-- reports the cut). Look at the image and what it left on the node.
-- """
-- false_positives = [
--   "Init containers that set kernel parameters: add namespace/name to lists/node_agents.csv",
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
    array_to_string(privileged_containers(object), ', ') AS privileged,
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
    AND array_length(privileged_containers(object)) > 0
    AND coalesce(
        array_length(privileged_containers(concat('{"kind":"Pod","spec":{"containers":', pod_spec(object) ->> 'containers', '}}'))), 0
    ) = 0
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
