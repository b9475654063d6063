-- /// query
-- title = "What Azure RBAC decided"
-- topic = "privilege"
-- section = [1]
-- see_also = ["access-grants-used", "guard-failures"]
--
-- description = """
-- Verdicts of Azure RBAC by identity: allowed, with role assignment and role
-- where the log names them, denied, no opinion, or a check that failed. A role
-- with broad rights (Azure Kubernetes Service RBAC Cluster Admin) or an
-- assignment nobody knows is what to look for; failed checks mean that access
-- depended on a service that did not answer. Role assignments themselves are made
-- in Azure: who made them is in the activity log, not here.
-- """
-- ///

SELECT
    cluster,
    username,
    principal_class,
    CASE
        WHEN decision_reason LIKE 'Access allowed%' THEN 'allowed'
        WHEN concat_ws(' ', decision_reason, status_message) LIKE '%check failure%' THEN 'check failed'
        WHEN concat_ws(' ', decision_reason, status_message) LIKE '%does not have opinion%' THEN 'no opinion'
        ELSE 'denied'
    END AS verdict,
    regexp_match(decision_reason, 'Role Assignment (\S+)')[1] AS assignment,
    regexp_match(decision_reason, ' of Role (.+) to user')[1] AS role,
    count(DISTINCT audit_id) AS requests,
    array_to_string(array_sort(array_agg(DISTINCT trim(concat_ws(' ', verb, concat_ws('/', resource, subresource))))), ', ') AS what,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    decision_reason LIKE '%Azure%'
    OR (status_code = 403 AND (status_message LIKE '%in Azure.%' OR status_message LIKE '%Azure RBAC%'))
GROUP BY 1, 2, 3, 4, 5, 6
ORDER BY verdict DESC, cluster, username, assignment, role
