-- /// detection
-- title = "A node tried to write roles or bindings"
-- severity = "critical"
-- status = "stable"
-- attack = ["T1098.006", "T1078"]
-- section = [1, 7]
-- key = ["cluster", "username"]
-- suppress = "1d"
-- summary = "{username} asked ({verb}, {status_code}) for {resource} {name} of {cluster}, from {client_ip}"
--
-- description = """
-- A kubelet never writes roles or bindings, and the API server refuses it; somebody has the node's certificate and
-- tries what it is good for. Refused requests count. No body is needed. Cordon and remove the node, look at everything
-- that identity and address did, and at how the node was reached (privileged pods, exec).
-- """
-- false_positives = [
--   "None known",
-- ]
-- follow_up = ["identity-timeline", "address-timeline", "privileged-workloads"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    namespace,
    name,
    status_code,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND principal_class = 'node'
    AND api_group = 'rbac.authorization.k8s.io'
    AND verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')
