-- /// detection
-- title = "Files were copied out of or into a pod"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1041", "T1105"]
-- section = [5]
-- categories = ["kube-audit"]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1h"
-- summary = "{username} ran '{command}' in pod {namespace}/{name} of {cluster}, from {client_ip}"
--
-- description = """
-- kubectl cp runs tar in the pod and streams it through the API server: c packs files out of the pod, x unpacks files into
-- it. It passes no network policy and no proxy. Also fires exec-shell-or-tool; this one says it was a copy. WebSocket (a
-- get with code 101, in kube-audit only) and SPDY (a create) both count. The command is in the request's address, so no
-- body is needed; what is typed into a shell is not logged. The paths are in the command; what they held is not in the
-- log.
-- """
-- false_positives = [
--   "Backup tools that copy through exec: add them to lists/exec_allowed.csv",
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
        '(^|[\s/;])tar\s+(-?[a-z]*[cx][a-z]*f|-[cx] -f)\s*-(\s|$)'
    )
