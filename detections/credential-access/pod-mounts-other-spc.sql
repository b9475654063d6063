-- /// detection
-- title = "A workload mounts secrets of Key Vault it did not before"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1552"]
-- section = [4, 5]
-- baseline = "30d"
-- learn = "7d"
-- key = ["cluster", "namespace", "service_account", "secret_provider_class"]
-- summary = "{username} made ({verb}) {resource} {namespace}/{name} of {cluster} mount {secret_provider_class} as {service_account}, not seen there in 30 days"
--
-- description = """
-- Whoever may make pods in a namespace gets the secrets of every SecretProviderClass there by mounting it. Fires when
-- a namespace's account mounts one it did not in 30 days (the first of several that a pod mounts). AKS and
-- lists/workload_deployers.csv do not count. Every workload kind counts, on create, update and patch; what the
-- built-in controllers make from it does not, and dry runs do not. At level Metadata, or when the body was cut before
-- the volumes, nothing is known and the rule stays silent (audit-record-truncated reports the cut). Says nothing for a
-- cluster until seven days with such workloads were seen. Ask whether the workload is known, and rotate what it
-- mounted if not.
-- """
-- false_positives = [
--   "A new application set up by hand",
-- ]
-- follow_up = ["secrets-used-by-workloads", "object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    namespace,
    pod_service_account(object) AS service_account,
    regexp_match(pod_spec(object), '"secretProviderClass"\s*:\s*"([^"]+)"')[1] AS secret_provider_class,
    username,
    verb,
    resource,
    name,
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
    AND regexp_like(pod_spec(object), '"secretProviderClass"\s*:\s*"[^"]+"')
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('workload_deployers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
