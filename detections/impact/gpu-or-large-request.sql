-- /// detection
-- title = "A namespace asks for graphics processors for the first time"
-- severity = "low"
-- status = "stable"
-- attack = ["T1496"]
-- section = [5]
-- baseline = "30d"
-- learn = "7d"
-- key = ["cluster", "namespace"]
-- summary = "{username} asked ({verb}) for graphics processors in {resource} {namespace}/{name} of {cluster}, the first in this namespace in 30 days, from {client_ip}"
--
-- description = """
-- Graphics processors are the dearest machines of a cluster and what miners look for; which namespaces use them
-- changes rarely. Resources nvidia.com/gpu, nvidia.com/mig-…, amd.com/gpu and gpu.intel.com/… count, of init
-- containers too; how much processor time is much cannot be told from one event, so large requests for it do not.
-- Every workload kind counts, on create, update and patch; what the built-in controllers make from it does not, and
-- dry runs do not. At level Metadata, or when the body was cut before the resources, nothing is known and the rule
-- stays silent (audit-record-truncated reports the cut). Says nothing for a cluster until seven days with such
-- workloads were seen. Ask the namespace's team.
-- """
-- false_positives = [
--   "New machine-learning work",
-- ]
-- follow_up = ["new-images", "object-history", "identity-timeline"]
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
    AND subresource IS NULL
    AND (resource <> 'pods' OR verb = 'create')
    AND NOT (resource IN ('pods', 'replicasets', 'jobs') AND listed('workload_controllers', username))
    AND regexp_like(pod_spec(object), '"((nvidia|amd)\.com/(gpu|mig-)[^"]*|gpu\.intel\.com/[^"]*)"\s*:\s*"?[1-9]')
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
