-- /// query
-- title = "Tokens of service accounts, who asked for them and where they were used"
-- topic = "secrets"
-- section = [1, 4]
-- see_also = ["service-accounts-from-outside", "identity-timeline"]
--
-- description = """
-- Each token that was asked for by somebody else than a node or the platform, with
-- its lifetime, and the requests that were made with it from addresses other than
-- the cluster's own. matched says how token and use were put together: by the
-- credential id where the API server logs it (1.30 on), else by the account's
-- name: then all uses of the account after the token was made are shown, those of
-- its pods and of other tokens too. lifetime_seconds is what was asked for; AKS may
-- give less. No use seen does not mean that there was none outside the range.
-- """
--
-- [params]
-- platform = { type = "bool", description = "Whether tokens that nodes and the platform asked for are shown", default = false }
-- ///

WITH node_addresses AS (
    SELECT DISTINCT cluster, client_ip
    FROM audit
    WHERE principal_class = 'node'
),

tokens AS (
    SELECT
        time,
        cluster,
        audit_id,
        username AS requested_by,
        client_ip AS requested_from,
        concat('system:serviceaccount:', namespace, ':', name) AS account,
        object -> 'spec' ->> 'expirationSeconds' AS lifetime_seconds,
        object -> 'spec' ->> 'audiences' AS audiences,
        object -> 'spec' -> 'boundObjectRef' ->> 'name' AS bound_to,
        annotations ->> 'authentication.kubernetes.io/issued-credential-id' AS credential
    FROM audit
    WHERE
        resource = 'serviceaccounts'
        AND subresource = 'token'
        AND verb = 'create'
        AND stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
        AND ($platform OR coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa'))
),

uses AS (
    SELECT
        a.time,
        a.cluster,
        a.audit_id,
        a.username,
        a.client_ip,
        a.user_extra -> 'authentication.kubernetes.io/credential-id' ->> 0 AS credential
    FROM audit AS a
    LEFT JOIN node_addresses AS n ON a.cluster = n.cluster AND a.client_ip = n.client_ip
    WHERE a.username LIKE 'system:serviceaccount:%' AND n.client_ip IS NULL
)

SELECT
    t.time,
    t.cluster,
    t.account,
    t.requested_by,
    t.requested_from,
    t.lifetime_seconds,
    t.audiences,
    t.bound_to,
    CASE
        WHEN count(u.time) = 0 THEN 'not used from elsewhere'
        WHEN t.credential IS NOT NULL AND count(u.credential) > 0 THEN 'credential id'
        ELSE 'account'
    END AS matched,
    count(DISTINCT u.audit_id) AS requests,
    array_to_string(array_sort(array_agg(DISTINCT u.client_ip)), ', ') AS used_from,
    min(u.time) AS first_used,
    max(u.time) AS last_used,
    t.audit_id
FROM tokens AS t
LEFT JOIN uses AS u
    ON
        t.cluster = u.cluster
        AND t.account = u.username
        AND u.time >= t.time
        AND (t.credential IS NULL OR u.credential IS NULL OR t.credential = u.credential)
GROUP BY t.time, t.cluster, t.account, t.requested_by, t.requested_from, t.lifetime_seconds, t.audiences,
    t.bound_to, t.credential, t.audit_id
ORDER BY t.time, t.audit_id
