-- /// detection
-- title = "A person did something privileged for the first time"
-- severity = "low"
-- status = "stable"
-- attack = ["T1078"]
-- section = [1]
-- baseline = "30d"
-- learn = "7d"
-- key = ["cluster", "username", "verb", "what"]
-- summary = "{username} did {verb} {what} on {cluster} for the first time in 30 days ({object}), from {client_ip}"
--
-- description = """
-- What a person does with a cluster varies less than one thinks; a first binding, exec, token or list of secrets is a
-- new task, or somebody else at the keyboard. Privileged operations that succeeded count: secrets listed, roles,
-- bindings and webhooks written, exec, attach, debug containers, tokens, certificates approved, the kubelet proxy,
-- namespaces deleted. Low because roles change. Says nothing for a cluster until seven days of its log were seen; where
-- only kube-audit-admin is sent, reads are not seen. No body is needed; dry runs do not count.
-- """
-- false_positives = [
--   "New tasks, new colleagues",
-- ]
-- follow_up = ["identity-timeline", "address-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    concat(resource, coalesce('/' || subresource, '')) AS what,
    concat(coalesce(namespace || '/', ''), coalesce(name, '')) AS object,
    client_ip,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND (status_code BETWEEN 200 AND 299 OR status_code = 101)
    AND principal_class IN ('entra-user', 'local-admin', 'other')
    AND (
        (resource = 'secrets' AND verb IN ('list', 'watch'))
        OR subresource IN ('exec', 'attach', 'ephemeralcontainers', 'token', 'approval')
        OR (resource = 'nodes' AND subresource = 'proxy')
        OR (
            verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')
            AND resource IN (
                'roles', 'clusterroles', 'rolebindings', 'clusterrolebindings',
                'mutatingwebhookconfigurations', 'validatingwebhookconfigurations'
            )
        )
        OR (verb = 'delete' AND resource = 'namespaces')
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
