-- /// detection
-- title = "A service account did something sensitive it never did before"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1078", "T1550.001"]
-- section = [1]
-- baseline = "90d"
-- learn = "7d"
-- key = ["cluster", "username", "verb", "what"]
-- summary = "{username} did {verb} {what} on {cluster} for the first time in 90 days ({namespace}/{name}), from {client_ip}"
--
-- description = """
-- A workload's requests hardly vary, so a first list of secrets, exec, token, binding or webhook by an account is its
-- operator's new release or somebody with its token. Watches also the accounts of kube-system, which many rules leave out.
-- Only sensitive operations that succeeded count: secrets read, workloads, roles, bindings, webhooks and policies written,
-- exec, attach, port-forward, debug containers, tokens, proxies, certificates, nodes and namespaces changed. Says nothing
-- for a cluster until seven days of its log were seen; where only kube-audit-admin is sent, reads are not seen. No body is
-- needed.
-- """
-- false_positives = [
--   "Certificates that are renewed less often than every 90 days",
--   "New operators and new releases of them; new add-ons after an upgrade of AKS",
-- ]
-- follow_up = ["identity-timeline", "address-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    concat(resource, coalesce('/' || subresource, '')) AS what,
    namespace,
    name,
    client_ip,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND (status_code BETWEEN 200 AND 299 OR status_code = 101)
    AND principal_class IN ('service-account', 'system-sa')
    AND (
        (resource = 'secrets' AND verb IN ('get', 'list', 'watch'))
        OR subresource IN ('exec', 'attach', 'portforward', 'ephemeralcontainers', 'token', 'proxy', 'approval')
        OR (
            verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')
            AND subresource IS NULL
            AND resource IN (
                'pods', 'deployments', 'daemonsets', 'statefulsets', 'replicasets', 'jobs', 'cronjobs',
                'roles', 'clusterroles', 'rolebindings', 'clusterrolebindings', 'certificatesigningrequests',
                'mutatingwebhookconfigurations', 'validatingwebhookconfigurations',
                'validatingadmissionpolicies', 'validatingadmissionpolicybindings',
                'networkpolicies', 'namespaces', 'nodes', 'secrets', 'serviceaccounts'
            )
        )
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
