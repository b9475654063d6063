-- /// detection
-- title = "A pod runs as one of Kubernetes' own controllers"
-- severity = "critical"
-- status = "stable"
-- attack = ["T1078.001", "T1610"]
-- section = [5, 1]
-- key = ["cluster", "namespace", "service_account"]
-- suppress = "1d"
-- summary = "{username} gave ({verb}) {resource} {namespace}/{name} of {cluster} the account {service_account}, from {client_ip}"
--
-- description = """
-- The accounts of the built-in controllers in kube-system may make pods anywhere, read every secret or give themselves any
-- right, and belong to the managed control plane: no pod runs as one. Who starts one has the right to make pods in
-- kube-system and turns it into the whole cluster. Nobody is exempt; lists/controller_accounts.csv holds the accounts.
-- Every workload kind counts, on create, update and patch; dry runs do not. One alert for each account and day. At level
-- Metadata, or when the body was cut before the account, nothing is known and the rule stays silent
-- (pod-in-system-namespace needs no body). Delete it and look at what the account did since.
-- """
-- false_positives = [
--   "None is known",
-- ]
-- follow_up = ["object-history", "identity-timeline", "tokens-created"]
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
    AND namespace = 'kube-system'
    AND listed('controller_accounts', pod_service_account(object))
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
