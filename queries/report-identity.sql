-- /// query
-- title = "Audit report: identity and access"
-- topic = "report"
-- section = [1]
-- see_also = ["cluster-admins-by-bindings", "local-admin-use", "service-accounts-from-outside"]
--
-- description = """
-- Section 1 of the AKS security guide, as far as logs can tell it: local accounts,
-- anonymous access, broad rights, tokens and certificates.
-- One row for each cluster and control. "look" lists up to ten findings (in
-- alphabetical order; findings has their number), "not seen" means that the logs of
-- the range hold none, which is no proof where a category is not collected (see
-- report-monitoring) or records were cut; "missing" that something wanted did not
-- appear. What stood before the range and was neither used nor written is not seen:
-- this is what the logs can say, beside what Azure Policy says of the state.
-- """
-- ///

-- The clusters as items of one list: of a DISTINCT that is joined and grouped, DataFusion 55 believes
-- that it determines the other columns, and drops them from the ORDER BY.
WITH clusters AS (
    SELECT unnest(array_agg(DISTINCT cluster)) AS cluster
    FROM (
        SELECT cluster FROM audit
        UNION ALL
        SELECT cluster FROM control_plane
    ) AS seen
),

controls AS (
    SELECT *
    FROM (
        VALUES
            (1, 'The local administrator or system:masters was used', false),
            (2, 'Anonymous requests were allowed beyond version and health', false),
            (3, 'Somebody but AKS bound cluster-admin', false),
            (4, 'Rights were given to everyone (system:authenticated, system:unauthenticated, system:anonymous)', false),
            (5, 'A role was written that allows everything, or to escalate, bind or impersonate', false),
            (6, 'Somebody acted as somebody else', false),
            (7, 'Guests of the directory used the cluster', false),
            (8, 'A service account was used from outside', false),
            (9, 'Somebody asked by hand for a token of a service account', false),
            (10, 'A client certificate was asked for or approved by hand', false),
            (11, 'People sign in with Entra ID', true),
            (12, 'Azure RBAC decides what people may do', true)
    ) AS c (number, control, wanted)
),

findings AS (
    SELECT
        cluster,
        1 AS number,
        time AS time,
        concat_ws(' ', username, 'from', client_ip) AS evidence
    FROM audit
    WHERE
        principal_class = 'local-admin'
        OR (
            coalesce(principal_class, 'other') NOT IN ('aks', 'system')
            AND (array_has(groups, 'system:masters') OR array_has(impersonated_groups, 'system:masters'))
        )
    UNION ALL
    SELECT
        cluster,
        2 AS number,
        time AS time,
        concat_ws(' ', verb, coalesce(resource, split_part(request_uri, '?', 1)), namespace, 'from', client_ip) AS evidence
    FROM audit
    WHERE
        principal_class = 'anonymous'
        AND status_code BETWEEN 200 AND 299
        AND NOT (resource IS NULL AND regexp_like(request_uri, '^/(version|healthz|livez|readyz)([/?]|$)'))
    UNION ALL
    SELECT
        cluster,
        3 AS number,
        time AS time,
        concat_ws(' ', username, 'bound', array_to_string(subject_names(object), ', '), 'by', name) AS evidence
    FROM audit
    WHERE
        resource IN ('clusterrolebindings', 'rolebindings')
        AND verb IN ('create', 'update', 'patch')
        AND stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
        AND role_ref_name(object) = 'cluster-admin'
        AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    UNION ALL
    SELECT
        cluster,
        4 AS number,
        time AS time,
        concat_ws(' ', username, 'gave', role_ref_name(object), 'by', name) AS evidence
    FROM audit
    WHERE
        resource IN ('clusterrolebindings', 'rolebindings')
        AND verb IN ('create', 'update', 'patch')
        AND stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
        AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
        AND (
            array_has(subject_names(object), 'system:authenticated')
            OR array_has(subject_names(object), 'system:unauthenticated')
            OR array_has(subject_names(object), 'system:anonymous')
        )
    UNION ALL
    SELECT
        cluster,
        5 AS number,
        time AS time,
        concat_ws(' ', username, 'wrote', resource, concat_ws('/', namespace, name)) AS evidence
    FROM audit
    WHERE
        resource IN ('clusterroles', 'roles')
        AND verb IN ('create', 'update', 'patch')
        AND stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
        AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
        AND (
            role_grants(object, '*', '*')
            OR role_grants(object, 'escalate', 'clusterroles')
            OR role_grants(object, 'bind', 'clusterroles')
            OR role_grants(object, 'impersonate', 'users')
            OR role_grants(object, 'impersonate', 'groups')
        )
    UNION ALL
    SELECT
        cluster,
        6 AS number,
        time AS time,
        concat_ws(' ', username, 'as', impersonated_username, array_to_string(impersonated_groups, ',')) AS evidence
    FROM audit
    WHERE
        impersonated_username IS NOT NULL
    UNION ALL
    SELECT
        cluster,
        7 AS number,
        time AS time,
        concat_ws(' ', username, 'from', client_ip) AS evidence
    FROM audit
    WHERE
        principal_class = 'entra-user' AND username LIKE '%#EXT#%'
    UNION ALL
    SELECT
        a.cluster,
        8 AS number,
        a.time AS time,
        concat_ws(' ', a.username, 'from', a.client_ip, 'with', split_part(a.user_agent, ' ', 1)) AS evidence
    FROM audit AS a
    LEFT JOIN (
        SELECT DISTINCT cluster, client_ip FROM audit WHERE principal_class = 'node'
    ) AS n ON a.cluster = n.cluster AND a.client_ip = n.client_ip
    WHERE
        a.principal_class IN ('service-account', 'system-sa')
        AND is_public(a.client_ip)
        AND n.client_ip IS NULL
    UNION ALL
    SELECT
        cluster,
        9 AS number,
        time AS time,
        concat_ws(' ', username, 'for', concat_ws('/', namespace, name), object -> 'spec' ->> 'expirationSeconds', 'seconds') AS evidence
    FROM audit
    WHERE
        resource = 'serviceaccounts'
        AND subresource = 'token'
        AND verb IN ('create', 'update', 'patch')
        AND stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
        AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa')
    UNION ALL
    SELECT
        cluster,
        10 AS number,
        time AS time,
        concat_ws(' ', username, verb, concat_ws('/', resource, subresource), name) AS evidence
    FROM audit
    WHERE
        resource = 'certificatesigningrequests'
        AND coalesce(subresource, 'approval') = 'approval'
        AND verb IN ('create', 'update', 'patch')
        AND stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
        AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa')
    UNION ALL
    SELECT
        cluster,
        11 AS number,
        time AS time,
        username AS evidence
    FROM audit
    WHERE
        principal_class = 'entra-user'
    UNION ALL
    SELECT
        cluster,
        12 AS number,
        time AS time,
        decision_reason AS evidence
    FROM audit
    WHERE
        decision_reason LIKE 'Access allowed by Azure RBAC%'
)

SELECT
    k.cluster,
    c.number,
    c.control,
    CASE
        WHEN c.wanted AND count(f.number) = 0 THEN 'missing'
        WHEN c.wanted THEN 'present'
        WHEN count(f.number) = 0 THEN 'not seen'
        ELSE 'look'
    END AS verdict,
    count(f.number) AS findings,
    array_to_string(array_slice(array_sort(array_agg(DISTINCT f.evidence)), 1, 10), '; ') AS evidence,
    min(f.time) AS first_seen,
    max(f.time) AS last_seen
FROM clusters AS k
CROSS JOIN controls AS c
LEFT JOIN findings AS f ON k.cluster = f.cluster AND c.number = f.number
GROUP BY k.cluster, c.number, c.control, c.wanted
ORDER BY k.cluster, c.number
