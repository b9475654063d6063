-- /// query
-- title = "Shells and commands in pods, with their length"
-- topic = "workload"
-- section = [5]
-- see_also = ["identity-timeline", "pod-access"]
--
-- description = """
-- Every exec and attach: who, into which pod and container, with which command,
-- from where, and how long it stayed open. The command is the one the session was
-- opened with: what was typed into a shell is in no log. A session without an end
-- still runs, or its end lies outside the range or was lost. Over WebSocket the
-- verb is get and only kube-audit holds it: with kube-audit-admin alone sessions
-- of recent kubectl versions are missing here.
-- """
-- ///

SELECT
    min(time) AS started,
    max(time) FILTER (WHERE stage = 'ResponseComplete') - min(time) FILTER (WHERE stage <> 'ResponseComplete') AS open_for,
    cluster,
    username,
    impersonated_username,
    client_ip,
    namespace,
    name AS pod,
    query_param(request_uri, 'container') AS container,
    subresource,
    max(exec_command(request_uri, object)) AS command,
    coalesce(query_param(request_uri, 'tty'), 'false') AS tty,
    min(status_code) AS status_code,
    audit_id
FROM audit
WHERE resource = 'pods' AND subresource IN ('exec', 'attach')
GROUP BY
    cluster, username, impersonated_username, client_ip, namespace, name, request_uri, subresource,
    audit_id
ORDER BY started, audit_id
