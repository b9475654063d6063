-- /// query
-- title = "Kubelet and node image versions"
-- topic = "platform"
-- section = [7, 9]
-- see_also = ["report-updates", "report-nodes"]
--
-- description = """
-- Which kubelet version each node ran, from the user agent of its requests, and
-- which node image, from its labels where a write of the node object was logged
-- with its body. Nodes of one pool with different versions are in the middle of an
-- upgrade or were left behind. A node that was not seen for long is gone. The node
-- image is null where no such write lies in the range: ask az aks nodepool show.
-- """
-- ///

WITH labels AS (
    SELECT
        cluster,
        name AS node,
        last_value(
            coalesce(response_object, request_object) -> 'metadata' -> 'labels' ->> 'kubernetes.azure.com/node-image-version'
            ORDER BY time
        ) AS image
    FROM audit
    WHERE
        resource = 'nodes'
        AND coalesce(response_object, request_object) -> 'metadata' -> 'labels' ->> 'kubernetes.azure.com/node-image-version' IS NOT NULL
    GROUP BY cluster, name
),

kubelets AS (
    SELECT
        cluster,
        substr(username, 13) AS node,
        regexp_match(user_agent, 'kubelet/v([0-9.]+)')[1] AS kubelet,
        min(time) AS first_seen,
        max(time) AS last_seen,
        count(DISTINCT audit_id) AS requests
    FROM audit
    WHERE principal_class = 'node' AND user_agent LIKE 'kubelet/%'
    GROUP BY 1, 2, 3
)

SELECT
    k.cluster,
    regexp_replace(k.node, '[0-9a-z]{6}$', '') AS pool,
    k.node,
    k.kubelet,
    l.image AS node_image,
    k.first_seen,
    k.last_seen,
    k.requests
FROM kubelets AS k
LEFT JOIN labels AS l ON k.cluster = l.cluster AND k.node = l.node
ORDER BY k.cluster, pool, k.node, k.first_seen
