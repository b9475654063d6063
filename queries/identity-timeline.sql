-- /// query
-- title = "What an identity did"
-- topic = "identity"
-- section = [1, 6]
-- see_also = ["secrets-read-by-identity", "denied-by-identity", "address-timeline"]
--
-- description = """
-- Every request of one identity in order of time, also those it made while
-- impersonating somebody else and those somebody made in its name. The first
-- thing to look at when an alert names an identity: begin an hour before the
-- alert and look for the first request from an unusual address or agent.
-- A long request (exec, watch) comes twice, when it starts and when it ends,
-- with one audit_id. Where only kube-audit-admin is collected there are no
-- reads: that nothing was read cannot be concluded then.
-- """
--
-- example = { identity = "system:serviceaccount:shop:web-frontend" }
--
-- [params]
-- identity = { type = "string", description = "User name as the API server knows it", required = true }
-- reads = { type = "bool", description = "Whether get, list and watch are shown; exec over WebSocket is shown always", default = true }
-- ///

SELECT
    time,
    cluster,
    username,
    impersonated_username,
    client_ip,
    user_agent,
    verb,
    resource,
    subresource,
    namespace,
    name,
    status_code,
    audit_id
FROM audit
WHERE
    (username = $identity OR impersonated_username = $identity)
    AND (
        $reads
        OR verb NOT IN ('get', 'list', 'watch')
        OR subresource IN ('exec', 'attach', 'portforward', 'proxy')
    )
ORDER BY time, audit_id, stage
