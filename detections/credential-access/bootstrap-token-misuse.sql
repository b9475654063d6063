-- /// detection
-- title = "A node bootstrap identity did more than join"
-- severity = "high"
-- status = "stable"
-- attack = ["T1078.001", "T1552"]
-- section = [1, 7]
-- categories = ["kube-audit"]
-- key = ["cluster", "username"]
-- suppress = "1d"
-- summary = "{username} asked ({verb}, {status_code}) for {request_uri} on {cluster} from {client_ip} with {user_agent}"
--
-- description = """
-- The token a new node joins with lies on every node, in a place pods that reach the metadata service have read before.
-- A node uses it for its certificate request and nothing else; anything more is somebody who found it. nodeclient,
-- which old clusters use for nodes' agents, counts only where it lists secrets, asks for tokens, writes workloads,
-- roles or webhooks, or goes into pods. Refused requests count. No body is needed. Delete the bootstrap token's secret
-- in kube-system, and look for nodes and certificates that joined since.
-- """
-- false_positives = [
--   "Provisioning scripts that read their node with the bootstrap token",
-- ]
-- follow_up = ["identity-timeline", "address-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    request_uri,
    resource,
    namespace,
    name,
    status_code,
    client_ip,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND (
        (
            (starts_with(username, 'system:bootstrap:') OR username IN ('kubelet-bootstrap', 'kubelet-nodepool-bootstrap'))
            AND resource NOT IN (
                'certificatesigningrequests', 'selfsubjectreviews', 'selfsubjectaccessreviews', 'selfsubjectrulesreviews'
            )
        )
        OR (
            username = 'nodeclient'
            AND (
                (resource = 'secrets' AND verb <> 'get')
                OR subresource IN ('token', 'exec', 'attach', 'portforward', 'ephemeralcontainers', 'approval')
                OR (
                    verb IN ('create', 'update', 'patch', 'delete')
                    AND resource IN (
                        'deployments', 'daemonsets', 'statefulsets', 'jobs', 'cronjobs', 'serviceaccounts',
                        'roles', 'clusterroles', 'rolebindings', 'clusterrolebindings',
                        'mutatingwebhookconfigurations', 'validatingwebhookconfigurations'
                    )
                )
            )
        )
    )
