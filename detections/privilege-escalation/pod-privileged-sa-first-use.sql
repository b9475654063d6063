-- /// detection
-- title = "A workload runs as a powerful account for the first time"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1078"]
-- section = [1, 5]
-- baseline = "30d"
-- learn = "7d"
-- key = ["cluster", "namespace", "resource", "name", "service_account"]
-- summary = "{username} made ({verb}) {resource} {namespace}/{name} of {cluster} run as {service_account} for the first time in 30 days, from {client_ip}"
--
-- description = """
-- Whoever may make pods in a namespace may run them as any account there: a workload that did not run as a powerful
-- one before, and does now, is how the account's rights are taken. lists/privileged_accounts.csv holds the accounts as
-- namespace/name; fill it. AKS and lists/workload_deployers.csv do not count. Every workload kind counts, on create,
-- update and patch; what the built-in controllers make from it does not, and dry runs do not. At level Metadata, or
-- when the body was cut before the account, nothing is known and the rule stays silent (audit-record-truncated reports
-- the cut). Says nothing for a cluster until seven days with such workloads were seen. Look at the image and at what
-- the account did since.
-- """
-- false_positives = [
--   "Operators installed or changed by hand",
-- ]
-- follow_up = ["cluster-admins-by-bindings", "object-history", "identity-timeline"]
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
    AND listed('privileged_accounts', concat(namespace, '/', pod_service_account(object)))
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('workload_deployers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
