-- /// detection
-- title = "An attack tool or escape was run in a pod"
-- severity = "high"
-- status = "stable"
-- attack = ["T1609", "T1059.004", "T1611"]
-- section = [5]
-- categories = ["kube-audit"]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1h"
-- summary = "{username} ran '{command}' in pod {namespace}/{name} of {cluster}, from {client_ip}"
--
-- description = """
-- nsenter, chroot into a mounted node, unshare, escapes through release_agent or core_pattern, preloading, cron,
-- executables put into /tmp or /dev/shm, scanners, miners and known pod-attack tools have no place in a running pod.
-- whoami, id and uname are typed by anybody and do not count alone. Reverse shells, tokens, files and downloads are rules
-- of their own. WebSocket (a get with code 101, in kube-audit only) and SPDY (a create) both count. The command is in the
-- request's address, so no body is needed; what is typed into a shell is not logged. Look at the pod's node as well if it
-- could reach it.
-- """
-- false_positives = [
--   "kubectl debug sessions on nodes by administrators: add them to lists/exec_allowed.csv",
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
        '(?i)(^|[\s/;|&(])(nsenter|unshare|nmap|masscan|zmap|xmrig|minerd|kdigger|amicontained|peirates|deepce(\.sh)?|linpeas(\.sh)?|botb|crontab|insmod|debugfs|capsh)(\s|;|$)|\bchroot\s+/(host|mnt|proc|node|rootfs)|release_agent|core_pattern|ld\.so\.preload|\bLD_PRELOAD=|chmod\s+(\S+\s+)*(\+x|[0-7]{0,1}[1357][0-7]{2})\s+/(tmp|var/tmp|dev/shm)|(^|\s)/dev/shm/\S|\bmount\s.*\s/(host|dev/[sv]d|dev/nvme)'
    )
