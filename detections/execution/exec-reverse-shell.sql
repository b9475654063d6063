-- /// detection
-- title = "A reverse shell was started in a pod"
-- severity = "critical"
-- status = "stable"
-- attack = ["T1059.004", "T1609"]
-- section = [5]
-- categories = ["kube-audit"]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1h"
-- summary = "{username} ran '{command}' in pod {namespace}/{name} of {cluster}, from {client_ip}"
--
-- description = """
-- A command that ties a shell to a network connection has one purpose. /dev/tcp together with a redirection, nc with a
-- program, mkfifo with nc, socat with a program, and the one-liners of Python, Perl, PHP and Ruby count; a port that is
-- only tried, and addresses of the pod itself, do not. Nobody is exempt. WebSocket (a get with code 101, in kube-audit
-- only) and SPDY (a create) both count. The command is in the request's address, so no body is needed; what is typed into
-- a shell is not logged. Cut the identity's access, keep the pod for evidence and look at what the address it called has
-- reached.
-- """
-- false_positives = [
--   "An exercise that was announced",
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
            '2>\s*&1|/dev/(tcp|udp)/(127\.[0-9.]+|localhost)/', ' ', 'g'
        ),
        '(?is)>&\s*/dev/(tcp|udp)/|/dev/(tcp|udp)/.*([<>]&|<>)|<>\s*/dev/(tcp|udp)/|\b(nc|ncat|netcat)(\.[a-z]+)?\s(.*\s)?(-[a-z]*[ec]|--(sh-)?exec)\s+\S*(sh|cmd|powershell)\b|\bmkfifo\s.*\b(nc|ncat|netcat|telnet|openssl)\b|\bsocat\s.*(exec|system|pty)\b|\bsocket\b.*(\bdup2\b|\bsubprocess\b)|\bpty\.spawn\b|(io::socket|use\s+socket).*\bexec\b|\bfsockopen\b.*(exec|popen|proc_open|sh)\b|\btcpsocket\.(new|open)\b.*(exec|popen|sh)\b'
    )
