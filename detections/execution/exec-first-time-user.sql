-- /// detection
-- title = "Somebody ran a command in a namespace's pods for the first time"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1609"]
-- section = [5]
-- categories = ["kube-audit"]
-- baseline = "30d"
-- learn = "7d"
-- key = ["cluster", "username", "namespace"]
-- summary = "{username} ran '{command}' in pod {namespace}/{name} of {cluster}, the first time in 30 days in this namespace, from {client_ip}"
--
-- description = """
-- The people who open shells in a namespace are few and stay the same; a stolen account shows up as a new one.
-- WebSocket (a get with code 101, in kube-audit only), SPDY and attaching count. Service accounts are left to
-- pod-exec. Says nothing for a cluster until seven days with such commands were seen. No body is needed. Ask the
-- person, and look at what else the identity did that day.
-- """
-- false_positives = [
--   "People on call for the first time: add those who may everywhere to lists/exec_allowed.csv",
-- ]
-- follow_up = ["exec-sessions", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    namespace,
    name,
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
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'service-account', 'system-sa')
    AND NOT listed('exec_allowed', username)
