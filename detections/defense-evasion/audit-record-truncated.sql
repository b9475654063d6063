-- /// detection
-- title = "A sensitive request was cut out of the log"
-- severity = "high"
-- status = "stable"
-- attack = ["T1562.008", "T1027"]
-- section = [6]
-- categories = ["kube-audit", "kube-audit-admin"]
-- key = ["cluster", "username", "resource", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} sent a request to {cluster} that the log does not hold whole: {verb} {request_uri}, from {client_ip}"
--
-- description = """
-- AKS cuts a record at 16 KiB. Padding an object with a long annotation hides what follows from every rule that reads bodies.
-- Fires when the cut fell where it blinds: into the object that was written (the request's body, for a patch also the
-- response's) of pods, workloads, roles, bindings, webhooks, services, namespaces, network policies or certificate
-- requests, or before the response status, which takes a padded address or user agent. A cut in the response to a create, update
-- or delete loses nothing rules need and is silent, as are node status, leases, other kinds, AKS, nodes, and objects made
-- by the built-in controllers. Read the object from the cluster now, before it changes.
-- """
-- false_positives = [
--   "Very large objects of operators: keep them out of annotations, or add the identity to lists/workload_deployers.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    subresource,
    namespace,
    name,
    request_uri,
    substr(user_agent, 1, 200) AS user_agent,
    client_ip
FROM audit
WHERE
    truncated
    AND stage IN ('ResponseComplete', 'ResponseStarted')
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node')
    AND NOT listed('workload_deployers', username)
    AND NOT (
        coalesce(resource, '') IN ('pods', 'replicasets', 'jobs')
        AND listed('workload_controllers', username)
    )
    AND (
        status_code IS NULL
        OR (
            status_code BETWEEN 200 AND 299
            AND verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')
            AND resource IN (
                'pods', 'deployments', 'daemonsets', 'statefulsets', 'replicasets',
                'jobs', 'cronjobs', 'replicationcontrollers', 'podtemplates',
                'roles', 'clusterroles', 'rolebindings', 'clusterrolebindings',
                'mutatingwebhookconfigurations', 'validatingwebhookconfigurations',
                'services', 'namespaces', 'networkpolicies', 'certificatesigningrequests'
            )
            AND coalesce(subresource, '') NOT IN ('status', 'scale', 'binding', 'eviction')
            AND received_time IS NULL
            AND (verb = 'patch' OR response_object IS NULL)
        )
    )
