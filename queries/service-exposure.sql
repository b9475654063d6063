-- /// query
-- title = "Services opened to the outside"
-- topic = "network"
-- section = [2]
-- see_also = ["network-policy-history", "ingress-changes"]
--
-- description = """
-- Services of type LoadBalancer or NodePort, or with external addresses, that were
-- written in the range, with their ports and whether the load balancer is internal.
-- address is what the cloud gave it, where that was logged. One that is neither
-- internal nor limited by source_ranges is open to the internet. Services that
-- existed before the range are seen only when they are written again.
-- """
-- ///

WITH addresses AS (
    SELECT
        cluster,
        namespace,
        name,
        max(object -> 'status' -> 'loadBalancer' -> 'ingress' -> 0 ->> 'ip') AS address
    FROM audit
    WHERE resource = 'services' AND verb IN ('create', 'update', 'patch', 'delete', 'deletecollection') AND status_code BETWEEN 200 AND 299
    GROUP BY cluster, namespace, name
)

SELECT
    a.time,
    a.cluster,
    a.namespace,
    a.name,
    a.object -> 'spec' ->> 'type' AS type,
    coalesce(a.object -> 'metadata' -> 'annotations' ->> 'service.beta.kubernetes.io/azure-load-balancer-internal', 'false') AS internal,
    a.object -> 'spec' ->> 'loadBalancerSourceRanges' AS source_ranges,
    a.object -> 'spec' ->> 'externalIPs' AS external_ips,
    a.object -> 'spec' ->> 'ports' AS ports,
    s.address,
    a.verb,
    a.username,
    a.client_ip,
    a.audit_id
FROM audit AS a
LEFT JOIN addresses AS s ON a.cluster = s.cluster AND a.namespace = s.namespace AND a.name = s.name
WHERE
    a.resource = 'services'
    AND a.subresource IS NULL
    AND a.verb IN ('create', 'update', 'patch')
    AND a.stage = 'ResponseComplete'
    AND a.status_code BETWEEN 200 AND 299
    AND coalesce(query_param(a.request_uri, 'dryRun'), '') <> 'All'
    AND (
        a.object -> 'spec' ->> 'type' IN ('LoadBalancer', 'NodePort')
        OR a.object -> 'spec' ->> 'externalIPs' IS NOT NULL
    )
ORDER BY a.time, a.audit_id
