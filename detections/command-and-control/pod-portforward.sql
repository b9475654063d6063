-- /// detection
-- title = "A port of a pod was forwarded"
-- severity = "low"
-- status = "stable"
-- attack = ["T1572", "T1090"]
-- section = [5, 2]
-- categories = ["kube-audit"]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1h"
-- summary = "{username} forwarded a port of pod {namespace}/{name} of {cluster} to {client_ip}"
--
-- description = """
-- A forwarded port tunnels through the API server past every network policy and firewall. Which port is not in the log.
-- WebSocket shows as a get, SPDY as a create. No body is needed. Worth a look when the pod is a database or an admin
-- page, or when the person never did it before.
-- """
-- false_positives = ["Developers at work: add identities that may to lists/exec_allowed.csv"]
-- follow_up = ["identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    namespace,
    name,
    verb,
    client_ip,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND (status_code BETWEEN 200 AND 299 OR status_code = 101)
    AND resource = 'pods'
    AND subresource = 'portforward'
    AND verb IN ('create', 'get')
    AND coalesce(principal_class, 'other') <> 'aks'
    AND NOT listed('exec_allowed', username)
