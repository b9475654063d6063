-- /// detection
-- title = "Keys or credentials were read through exec"
-- severity = "high"
-- status = "stable"
-- attack = ["T1552.001", "T1609"]
-- section = [5, 4]
-- categories = ["kube-audit"]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1h"
-- summary = "{username} ran '{command}' in pod {namespace}/{name} of {cluster}, from {client_ip}"
--
-- description = """
-- Password files, the node's and the kubelet's folders, configurations of kubectl, Azure and SSH, private keys,
-- environments of processes and mounted vault secrets are what someone in a pod looks for first. Service accounts' tokens
-- are exec-sa-token-theft. Names of files count, wherever they stand in the command; a file read inside a shell is not
-- seen. WebSocket (a get with code 101, in kube-audit only) and SPDY (a create) both count. The command is in the
-- request's address, so no body is needed; what is typed into a shell is not logged. Ask the person, and rotate what was
-- read.
-- """
-- false_positives = [
--   "Operators who check mounted secrets or certificates: add them to lists/exec_allowed.csv",
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
        '(?i)/etc/g?shadow\b|/etc/kubernetes/|/var/lib/kubelet|\.kube/config|/\.azure(/|\s|$)|/\.ssh(/|\s|$)|\bid_(rsa|ed25519|ecdsa)\b|/proc/[^ /]+/environ|/mnt/secrets-store|/\S*\.(key|pem|pfx)(["''\s;|]|$)'
    )
