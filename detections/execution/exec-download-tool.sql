-- /// detection
-- title = "Something was downloaded in a pod through exec"
-- severity = "high"
-- status = "stable"
-- attack = ["T1105", "T1609"]
-- section = [5]
-- categories = ["kube-audit"]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1h"
-- summary = "{username} ran '{command}' in pod {namespace}/{name} of {cluster}, from {client_ip}"
--
-- description = """
-- Tools arrive by curl or wget. Counts when an address outside the cluster is saved to a file, piped into an interpreter,
-- named by a bare public address or names a script, program or archive; looking whether a page answers does not. One-word,
-- cluster and private addresses, GET requests to APIs, and curl -o /dev/null are silent. WebSocket (a get with code 101,
-- in kube-audit only) and SPDY (a create) both count. The command is in the request's address, so no body is needed; what
-- is typed into a shell is not logged. Find the file and its hash before the pod is gone.
-- """
-- false_positives = [
--   "Installing debugging tools in a pod: use kubectl debug with an image of your own",
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
        regexp_replace(
            exec_command(request_uri, object),
            'https?://(localhost|127\.[0-9.]+|10\.[0-9.]+|192\.168\.[0-9.]+|172\.(1[6-9]|2[0-9]|3[01])\.[0-9.]+|169\.254\.[0-9.]+|[a-z0-9-]+|[a-z0-9.-]+\.(svc|local|internal))([:/?\s"'']|$)|(-[a-z]*o|--output)\s*/dev/null|\bwget\s(-\S+\s)*(-[a-zA-Z]*O\s*-|--spider)',
            ' ', 'g'
        ),
        '(?is)\b(curl|fetch)\s.*(-[a-z]*o\b|--output|--remote-name).*https?://|\b(curl|fetch)\s.*https?://.*(\s-[a-z]*o\b|--output|--remote-name|[^0-9&]>\s*[^\s&])|\b(wget|aria2c|certutil|invoke-webrequest|iwr)\s.*https?://|https?://[^|]*\|\s*(sudo\s+)?\S*(sh|python[0-9.]*|perl)\b|https?://([0-9]+\.){3}[0-9]+|https?://\S+\.(sh|py|pl|ps1|elf|bin|so|exe|tar|tgz|gz|zip)(\b|$)'
    )
