-- /// detection
-- title = "A command was run through the kubelet"
-- severity = "critical"
-- status = "stable"
-- attack = ["T1609", "T1210"]
-- section = [7]
-- categories = ["kube-audit"]
-- key = ["cluster", "username", "name"]
-- suppress = "1h"
-- summary = "{username} used the kubelet of {name} of {cluster} to run, attach or forward ({verb} {request_uri}): {status_code}, from {client_ip}"
--
-- description = """
-- The kubelet's run, exec, attach, port-forward, log and checkpoint paths, reached through nodes/proxy, go into any
-- container of the node without a pods/exec in the log and without admission. Nobody does so for work, so nobody is
-- exempt; a path that is encoded to hide its name counts as one of them. Any verb counts (exec over WebSocket is a get,
-- which kube-audit-admin does not carry), and so does an answer of an error by the kubelet; only what the API server
-- refused (401, 403) does not. No body is needed. Cut the identity's access, remove nodes/proxy from its roles, and
-- treat every pod of the node as read.
-- """
-- false_positives = [
--   "None is known",
-- ]
-- follow_up = ["identity-timeline", "address-timeline", "exec-sessions"]
-- ///

SELECT
    cluster,
    username,
    name,
    verb,
    request_uri,
    status_code,
    client_ip,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND status_code NOT IN (401, 403)
    AND resource = 'nodes'
    AND subresource = 'proxy'
    AND regexp_like(request_uri, '(?i)/proxy/+(\.{1,2}/+)*((run|exec|attach|portforward|cri|containerlogs|checkpoint|debug)(/|\?|$)|[^/?]*%)')
