-- /// detection
-- title = "A pod's node identity was asked for through exec"
-- severity = "high"
-- status = "stable"
-- attack = ["T1552.005", "T1609"]
-- section = [5, 7]
-- categories = ["kube-audit"]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1h"
-- summary = "{username} ran '{command}' in pod {namespace}/{name} of {cluster}, from {client_ip}"
--
-- description = """
-- Azure's metadata service hands out tokens of the node's managed identities to whoever asks from the node or a pod on it;
-- WireServer knows the machine's settings and keys. Both are reached by fixed addresses. DNS questions to 168.63.129.16
-- are not meant. The address written as a number counts, one put together by a script does not. WebSocket (a get with code
-- 101, in kube-audit only) and SPDY (a create) both count. The command is in the request's address, so no body is needed;
-- what is typed into a shell is not logged. See what the kubelet's identity did in Azure since (its sign-in and activity
-- logs).
-- """
-- false_positives = [
--   "Support of Azure identity problems: add the people to lists/exec_allowed.csv",
-- ]
-- follow_up = ["exec-sessions", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    namespace,
    name,
    verb,
    exec_command(request_uri, object) AS command,
    query_param(request_uri, 'container') AS container,
    client_ip,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND (status_code BETWEEN 200 AND 299 OR status_code = 101)
    AND resource = 'pods'
    AND subresource = 'exec'
    AND verb IN ('create', 'get')
    AND coalesce(principal_class, 'other') <> 'aks'
    AND NOT listed('exec_allowed', username)
    AND regexp_like(
        exec_command(request_uri, object),
        '(?i)169\.254\.169\.254|168\.63\.129\.16[:/]|metadata/(identity/oauth2|instance)\b|0xa9fea9fe|\b2852039166\b|0xa83f8110|\b2822734096\b'
    )
