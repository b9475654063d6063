-- /// query
-- title = "Which clusters send which categories"
-- topic = "logs"
-- section = [6]
-- see_also = ["log-completeness", "report-monitoring"]
--
-- description = """
-- Each cluster and log category with its first and last row: what there is to ask
-- about at all. Without kube-audit there are no reads (secrets, exec over
-- WebSocket, lists); without guard no failed sign-ins. Where kube-audit and
-- kube-audit-admin are both on, a write is counted under the one that came first.
-- """
-- ///

SELECT
    cluster,
    category,
    count(*) AS rows,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
GROUP BY cluster, category
UNION ALL
SELECT
    cluster,
    category,
    count(*) AS rows,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM control_plane
GROUP BY cluster, category
ORDER BY cluster, category
