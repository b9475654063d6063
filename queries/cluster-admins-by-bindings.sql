-- /// query
-- title = "Who can become cluster-admin, by the bindings seen"
-- topic = "privilege"
-- section = [1]
-- see_also = ["role-bindings-changed", "access-grants-used", "local-admin-use"]
--
-- description = """
-- Every subject of a binding to cluster-admin, or to a ClusterRole that was seen
-- to allow everything or to escalate, bind or impersonate; how the binding was
-- known, since when, by whom, and whether it was taken away again. A binding is
-- known when it was written in the range, or when the API server named it as the
-- reason of an allowed request: then subject and role are known although nobody
-- wrote it lately. Bindings that were neither written nor used are not seen, nor
-- is a deletecollection of bindings: compare with kubectl get
-- clusterrolebindings. A RoleBinding gives the role in its namespace only, which
-- in kube-system is as good as the cluster.
-- """
-- ///

WITH writes AS (
    SELECT
        time,
        cluster,
        resource,
        coalesce(namespace, '') AS namespace,
        name,
        username,
        verb,
        CASE
            WHEN verb <> 'delete' AND role_ref_name(object) IS NOT NULL THEN object
            WHEN verb <> 'delete' AND role_ref_name(response_object) IS NOT NULL THEN response_object
        END AS body
    FROM audit
    WHERE
        resource IN ('clusterrolebindings', 'rolebindings')
        AND verb IN ('create', 'update', 'patch', 'delete')
        AND stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
),

wide_roles AS (
    SELECT DISTINCT cluster, name AS role
    FROM audit
    WHERE
        resource = 'clusterroles'
        AND verb IN ('create', 'update', 'patch')
        AND status_code BETWEEN 200 AND 299
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
        AND (
            role_grants(object, '*', '*')
            OR role_grants(object, 'escalate', 'clusterroles')
            OR role_grants(object, 'bind', 'clusterroles')
            OR role_grants(object, 'impersonate', 'users')
            OR role_grants(object, 'impersonate', 'groups')
        )
),

written AS (
    SELECT
        cluster,
        resource,
        namespace,
        name,
        last_value(body) IGNORE NULLS OVER binding AS body,
        first_value(verb) OVER latest AS last_verb,
        first_value(time) OVER latest AS last_time,
        first_value(username) OVER latest AS last_by,
        min(time) OVER (PARTITION BY cluster, resource, namespace, name) AS since,
        row_number() OVER latest AS age
    FROM writes
    WINDOW
        binding AS (
            PARTITION BY cluster, resource, namespace, name
            ORDER BY time ASC
            ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        ),
        latest AS (PARTITION BY cluster, resource, namespace, name ORDER BY time DESC)
),

bound AS (
    SELECT
        cluster,
        resource,
        namespace,
        name,
        role_ref_name(body) AS role,
        unnest(subject_names(body)) AS subject,
        last_verb,
        last_time,
        last_by,
        since
    FROM written
    WHERE age = 1 AND body IS NOT NULL AND role_ref_kind(body) = 'ClusterRole'
),

used AS (
    SELECT
        cluster,
        regexp_match(decision_reason, 'allowed by ((?:Cluster)?RoleBinding) "([^"]*)" of ClusterRole "([^"]*)" to (.*)$') AS part,
        time
    FROM audit
    WHERE decision_reason LIKE '%of ClusterRole%'
)

SELECT
    b.cluster,
    b.subject,
    b.role,
    concat_ws(' ', b.resource, concat_ws('/', nullif(b.namespace, ''), b.name)) AS binding,
    CASE WHEN b.last_verb = 'delete' THEN 'written, removed since' ELSE 'written' END AS known_from,
    b.since AS first_seen,
    b.last_time AS last_seen,
    b.last_by
FROM bound AS b
LEFT JOIN wide_roles AS w ON b.cluster = w.cluster AND b.role = w.role
WHERE b.role = 'cluster-admin' OR w.role IS NOT NULL
UNION ALL
SELECT
    u.cluster,
    CASE
        WHEN u.part[4] LIKE 'ServiceAccount %' THEN regexp_replace(u.part[4], '^ServiceAccount "([^/]*)/([^"]*)"$', 'system:serviceaccount:\2:\1')
        ELSE regexp_replace(u.part[4], '^\w+ "(.*)"$', '\1')
    END AS subject,
    u.part[3] AS role,
    concat(lower(u.part[1]), 's ', u.part[2]) AS binding,
    'reason of an allowed request' AS known_from,
    min(u.time) AS first_seen,
    max(u.time) AS last_seen,
    CAST(NULL AS TEXT) AS last_by
FROM used AS u
LEFT JOIN wide_roles AS w ON u.cluster = w.cluster AND u.part[3] = w.role
WHERE u.part[3] = 'cluster-admin' OR w.role IS NOT NULL
GROUP BY u.cluster, u.part[1], u.part[2], u.part[3], u.part[4]
ORDER BY cluster, subject, role, binding, known_from
