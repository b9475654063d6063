-- /// detection
-- title = "A sensitive object was too large for the log"
-- severity = "high"
-- status = "stable"
-- attack = ["T1562.008", "T1027"]
-- section = [6]
-- key = ["cluster", "username", "resource", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} wrote ({verb}) {resource} {namespace}/{name} of {cluster} too large for the log to hold, from {client_ip}"
--
-- description = """
-- The API server leaves out a body that is too large and writes skipped-too-big-size-object: a padded annotation hides
-- a pod, a role or a webhook from every rule that reads bodies. Fires when what was written is missing for that
-- reason: the request's body, for a patch also the response's. A response to a create or update that is left out loses
-- nothing. Custom resources, config maps and secrets, which are often large, AKS, nodes, the built-in controllers,
-- lists/workload_deployers.csv and dry runs do not count. A body that is absent at level Metadata is not skipped and
-- stays silent. Read the object from the cluster now, before it changes.
-- """
-- false_positives = [
--   "Very large objects of operators: add the identity to lists/workload_deployers.csv",
-- ]
-- follow_up = ["cut-records", "object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    subresource,
    namespace,
    name,
    client_ip,
    user_agent
FROM audit
WHERE
    body_skipped
    AND stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource IN (
        'pods', 'deployments', 'daemonsets', 'statefulsets', 'replicasets',
        'jobs', 'cronjobs', 'replicationcontrollers', 'podtemplates',
        'roles', 'clusterroles', 'rolebindings', 'clusterrolebindings',
        'mutatingwebhookconfigurations', 'validatingwebhookconfigurations',
        'services', 'namespaces', 'networkpolicies', 'certificatesigningrequests'
    )
    AND coalesce(subresource, 'ephemeralcontainers') = 'ephemeralcontainers'
    AND (verb = 'patch' OR request_object IS NULL)
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node')
    AND NOT listed('workload_controllers', username)
    AND NOT listed('workload_deployers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
