-- /// detection
-- title = "Someone attached to a running container"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1609"]
-- section = [5]
-- categories = ["kube-audit"]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1h"
-- summary = "{username} attached to container {container} of pod {namespace}/{name} of {cluster}, from {client_ip}"
--
-- description = """
-- Attaching reads and types into the process a container was started with: an open console of it is a shell without an
-- exec. The usual way is kubectl run -it, which creates the pod a second before. WebSocket (a get with code 101, in
-- kube-audit only) and SPDY (a create) both count; no body is needed. What was typed is not in the log. See who made the
-- pod.
-- """
-- false_positives = [
--   "kubectl run -it by people who may: add them to lists/exec_allowed.csv",
-- ]
-- follow_up = ["exec-sessions", "object-history"]
-- ///

SELECT
    cluster,
    username,
    namespace,
    name,
    verb,
    query_param(request_uri, 'container') AS container,
    query_param(request_uri, 'stdin') AS stdin,
    client_ip,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND (status_code BETWEEN 200 AND 299 OR status_code = 101)
    AND resource = 'pods'
    AND subresource = 'attach'
    AND verb IN ('create', 'get')
    AND coalesce(principal_class, 'other') <> 'aks'
    AND NOT listed('exec_allowed', username)
