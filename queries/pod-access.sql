-- /// query
-- title = "Port-forwards, debug containers, proxies and logs of pods"
-- topic = "workload"
-- section = [2, 5]
-- see_also = ["exec-sessions", "identity-timeline"]
--
-- description = """
-- Every way into a running pod or node but exec: port-forwards, ephemeral (debug)
-- containers with their image, requests proxied to pods, services and nodes, and
-- logs read by somebody else than the platform. A port-forward to a database goes
-- past every network policy. What went through the connection is not logged, and
-- reading (logs, port-forwards over WebSocket) is in kube-audit only.
-- """
--
-- [params]
-- logs = { type = "bool", description = "Whether reading the logs of pods is shown", default = true }
-- ///

SELECT
    min(time) AS first_seen,
    max(time) AS last_seen,
    cluster,
    username,
    client_ip,
    concat_ws('/', resource, subresource) AS way,
    namespace,
    name,
    array_to_string(
        CASE subresource
            WHEN 'ephemeralcontainers' THEN container_images(coalesce(request_object, object))
            WHEN 'log' THEN make_array(query_param(request_uri, 'container'))
            WHEN 'proxy' THEN make_array(substr(split_part(request_uri, '/proxy', 2), 1, 200))
        END,
        ', '
    ) AS detail,
    min(status_code) AS status_code,
    count(DISTINCT audit_id) AS requests
FROM audit
WHERE
    (
        (resource = 'pods' AND subresource IN ('portforward', 'ephemeralcontainers'))
        OR (resource IN ('pods', 'services', 'nodes') AND subresource = 'proxy')
        OR ($logs AND resource = 'pods' AND subresource = 'log')
    )
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa')
GROUP BY 3, 4, 5, 6, 7, 8, 9
ORDER BY first_seen, cluster, username, way, namespace, name
