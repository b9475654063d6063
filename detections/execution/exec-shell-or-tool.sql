-- /// detection
-- title = "A shell or transfer tool was run in a pod"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1609", "T1059.004"]
-- section = [5]
-- categories = ["kube-audit"]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1h"
-- summary = "{username} started '{command}' in pod {namespace}/{name} of {cluster}, from {client_ip}"
--
-- description = """
-- A shell is a session whose commands the log does not show; interpreters, curl, tar (kubectl cp), nc, kubectl and the like are
-- how tools and data move. The program's name is looked for at the start and after a space or slash, so /bin/bash and
-- env sh count and rsync does not. WebSocket (a get) and SPDY (a create) both count. The command is in the request's
-- address: no body is needed. See what the pod can reach, and what its service account did next.
-- """
-- false_positives = [
--   "CI runners that work by exec (GitLab): add them to lists/exec_allowed.csv",
-- ]
-- follow_up = ["identity-timeline", "object-history"]
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
        '(?i)(^|[\s/\\])((ba|da|a|z|k|c|tc|fi)?sh|busybox|toybox|pwsh|powershell|cmd\.exe|curl|wget|python[0-9.]*|perl|ruby|php|node|kubectl|nc|ncat|netcat|socat|tar|nsenter|chroot)(\.exe)?(\s|$)|^cmd(\s|$)'
    )
