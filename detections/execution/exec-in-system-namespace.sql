-- /// detection
-- title = "A command was run in a pod of the platform"
-- severity = "high"
-- status = "stable"
-- attack = ["T1609"]
-- section = [5]
-- categories = ["kube-audit"]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1h"
-- summary = "{username} ran '{command}' in pod {namespace}/{name} of {cluster}, from {client_ip}"
--
-- description = """
-- Pods of kube-system and of the add-ons run as accounts that may change nodes, webhooks or every secret; a shell in
-- one has those rights, and nobody works there day by day. WebSocket (a get with code 101, in kube-audit only) and
-- SPDY (a create) both count, and so does attaching. The command is in the request's address, so no body is needed;
-- what is typed into a shell is not logged. AKS and lists/exec_allowed.csv are left out. Ask for the ticket; else look
-- at what the pod's account did afterwards.
-- """
-- false_positives = [
--   "Support engineers and people debugging add-ons: add an identity that may to lists/exec_allowed.csv",
-- ]
-- follow_up = ["exec-sessions", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    namespace,
    name,
    verb,
    subresource,
    coalesce(exec_command(request_uri, object), 'attached') AS command,
    client_ip,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND (status_code BETWEEN 200 AND 299 OR status_code = 101)
    AND resource = 'pods'
    AND subresource IN ('exec', 'attach')
    AND verb IN ('create', 'get')
    AND listed('system_namespaces', namespace)
    AND coalesce(principal_class, 'other') <> 'aks'
    AND NOT listed('exec_allowed', username)
