-- /// query
-- title = "Pods against the Pod Security Standards"
-- topic = "workload"
-- section = [5]
-- see_also = ["privileged-workloads", "report-pod-security"]
--
-- description = """
-- What Pod Security admission found: pods that were refused (enforce), and those
-- let in with a violation noted (audit). The violation names the fields. Refusals
-- of the same workload again and again are a Deployment that cannot start. Nothing
-- is noted for namespaces without labels: no row is no proof.
-- """
-- ///

SELECT
    cluster,
    namespace,
    resource,
    coalesce(name, '*') AS name,
    username,
    CASE WHEN status_code = 403 THEN 'refused' ELSE 'let in' END AS outcome,
    annotations ->> 'pod-security.kubernetes.io/enforce-policy' AS enforced,
    substr(
        coalesce(
            annotations ->> 'pod-security.kubernetes.io/audit-violations',
            regexp_match(status_message, 'violates PodSecurity (.*)$')[1]
        ),
        1,
        500
    ) AS violation,
    annotations ->> 'pod-security.kubernetes.io/exempt' AS exempt,
    count(DISTINCT audit_id) AS requests,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    annotations ->> 'pod-security.kubernetes.io/audit-violations' IS NOT NULL
    OR annotations ->> 'pod-security.kubernetes.io/exempt' IS NOT NULL
    OR status_message LIKE '%violates PodSecurity%'
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
ORDER BY outcome DESC, first_seen, cluster, namespace, name
