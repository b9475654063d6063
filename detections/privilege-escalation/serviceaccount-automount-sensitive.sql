-- /// detection
-- title = "A workload got the token of a powerful account"
-- severity = "low"
-- status = "stable"
-- attack = ["T1528"]
-- section = [1, 4, 5]
-- key = ["cluster", "username", "namespace", "resource", "name"]
-- suppress = "1d"
-- summary = "{username} gave ({verb}) {resource} {namespace}/{name} of {cluster} the token of {service_account}, from {client_ip}"
--
-- description = """
-- A pod that runs as an account with far rights and mounts its token hands those rights to whoever gets into the pod.
-- Which accounts are powerful is not in one event: lists/privileged_accounts.csv holds them as namespace/name
-- (cluster-admins-by-bindings finds yours). AKS and lists/workload_deployers.csv do not count;
-- automountServiceAccountToken: false on the pod does not either, on the account it is not seen. Every workload kind
-- counts, on create, update and patch; what the built-in controllers make from it does not, and dry runs do not. At
-- level Metadata, or when the body was cut before the account, nothing is known and the rule stays silent
-- (audit-record-truncated reports the cut). Ask whether it needs the account.
-- """
-- false_positives = [
--   "Operators installed by hand",
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
    AND coalesce(pod_spec(object) ->> 'automountServiceAccountToken', 'true') = 'true'
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('workload_deployers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
