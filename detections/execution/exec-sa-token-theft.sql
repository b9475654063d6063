-- /// detection
-- title = "A workload's token was read through exec"
-- severity = "critical"
-- status = "stable"
-- attack = ["T1552.007", "T1528", "T1550.001"]
-- section = [5]
-- categories = ["kube-audit"]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1h"
-- summary = "{username} ran '{command}' in pod {namespace}/{name} of {cluster}, from {client_ip}"
--
-- description = """
-- The token of the pod's service account, or the one with which it signs in to Azure (workload identity), works from any
-- machine for as long as it lives. Nobody needs to look at it through exec, so nobody is exempt; ca.crt and namespace
-- beside it are harmless and do not count. WebSocket (a get with code 101, in kube-audit only) and SPDY (a create) both
-- count. The command is in the request's address, so no body is needed; what is typed into a shell is not logged. Delete
-- the pod to end tokens bound to it, then look for the service account from other addresses.
-- """
-- false_positives = [
--   "Support scripts that call the API from inside a pod: let them use an identity of their own",
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
    AND regexp_like(
        regexp_replace(
            exec_command(request_uri, object),
            '/kubernetes\.io/serviceaccount/(namespace|ca\.crt)', ' ', 'g'
        ),
        '(?i)/run/secrets/+(kubernetes\.io/*(serviceaccount|[*?\s]|$)|azure/tokens|\S*[*?])|azure-identity-token|azure_federated_token_file'
    )
