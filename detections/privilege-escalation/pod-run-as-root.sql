-- /// detection
-- title = "A container is told to run as root"
-- severity = "low"
-- status = "stable"
-- attack = ["T1611"]
-- section = [5]
-- key = ["cluster", "username", "namespace", "resource", "name"]
-- suppress = "1d"
-- summary = "{username} asked ({verb}) for root in {resource} {namespace}/{name} of {cluster} ({images}), from {client_ip}"
--
-- description = """
-- Root in the container is root on the node as soon as anything else is weak: a mounted folder, a capability, a fault of
-- the runtime. Only explicit wishes count (runAsUser 0 or runAsNonRoot false, of the pod or any container), not images
-- that are root by themselves. Every workload kind counts, on create, update and patch; what the built-in controllers make
-- (pods, replica sets, jobs) does not, since the object it was made from is in the log itself, and dry runs do not. System
-- namespaces and identities of lists/workload_deployers.csv, whose source is reviewed elsewhere, are left out. Without a
-- body (level Metadata, or cut) the rule stays silent.
-- """
-- false_positives = [
--   "Images that need root: add namespace/name to lists/node_agents.csv",
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
    AND regexp_like(pod_spec(object), '"runAsUser"\s*:\s*0\s*[,}]|"runAsNonRoot"\s*:\s*false')
    AND NOT listed('system_namespaces', namespace)
    AND NOT listed('workload_deployers', username)
    AND NOT listed('node_agents', concat(namespace, '/', name))
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
