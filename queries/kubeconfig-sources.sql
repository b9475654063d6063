-- /// query
-- title = "Where administrator credentials may have come from"
-- topic = "identity"
-- section = [1, 4]
-- see_also = ["local-admin-use", "secret-readers"]
--
-- description = """
-- Secrets that were read in the hours before an address first used the local
-- administrator, by the same address. When a break-glass account is used from an
-- unknown address, the kubeconfig was in one of these, or was fetched from Azure
-- (listClusterAdminCredential in the activity log, which is not in these logs).
-- Only what kube-audit holds is seen: without reads there is no row.
-- """
--
-- [params]
-- before = { type = "duration", description = "How long before the first use a read is still told", default = "24h" }
-- ///

WITH first_use AS (
    SELECT cluster, username, client_ip, min(time) AS used_at
    FROM audit
    WHERE principal_class = 'local-admin'
    GROUP BY cluster, username, client_ip
)

SELECT
    u.cluster,
    u.username AS admin,
    u.client_ip,
    u.used_at,
    a.username AS read_by,
    a.verb,
    a.namespace,
    a.name,
    min(a.time) AS read_at
FROM first_use AS u
INNER JOIN audit AS a ON u.cluster = a.cluster AND u.client_ip = a.client_ip
WHERE
    a.resource = 'secrets'
    AND a.verb IN ('get', 'list', 'watch')
    AND a.status_code BETWEEN 200 AND 299
    AND a.time <= u.used_at
    AND a.time >= u.used_at - $before
GROUP BY u.cluster, u.username, u.client_ip, u.used_at, a.username, a.verb, a.namespace, a.name
ORDER BY u.used_at, read_at, a.namespace, a.name
