-- /// detection
-- title = "A command was run in a pod"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1609"]
-- section = [5]
-- categories = ["kube-audit"]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1h"
-- summary = "{username} ran '{command}' in pod {namespace}/{name} of {cluster}, from {client_ip}"
--
-- description = """
-- Who can exec into a pod has its secrets, its service account's token and its place in the network. kubectl 1.31 and later
-- use WebSocket, which the log shows as a get with code 101 and which kube-audit-admin does not carry at all; the older way
-- is a create. The command is in the address of the request, so no body is needed. Only its first line is known: what is
-- typed into a shell is not logged. One alert per person, pod and hour.
-- """
-- false_positives = [
--   "People debugging, jobs that use exec (backups): add identities that may to lists/exec_allowed.csv",
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
