-- /// query
-- title = "Ingresses and routes that were changed"
-- topic = "network"
-- section = [2]
-- see_also = ["service-exposure", "object-history"]
--
-- description = """
-- Writes of Ingress, Gateway and HTTPRoute objects with their hosts and whether
-- TLS is set. A new host or a path on an existing one can put an intruder's pod
-- behind the company's name; a removed TLS section sends passwords in the clear.
-- Snippets in annotations of ingress-nginx run code in the controller and are
-- marked. The deletion of an ingress takes a site off the air.
-- """
-- ///

SELECT
    time,
    cluster,
    namespace,
    resource,
    name,
    verb,
    username,
    client_ip,
    coalesce(
        object -> 'spec' -> 'rules' -> 0 ->> 'host',
        object -> 'spec' ->> 'hostnames',
        object -> 'spec' -> 'listeners' -> 0 ->> 'hostname'
    ) AS host,
    object -> 'spec' -> 'tls' IS NOT NULL OR object ->> 'spec' LIKE '%"protocol":"HTTPS"%' AS tls,
    coalesce(object -> 'metadata' ->> 'annotations' LIKE '%-snippet"%', false) AS snippet,
    substr(object -> 'spec' ->> 'rules', 1, 500) AS rules,
    audit_id
FROM audit
WHERE
    resource IN ('ingresses', 'gateways', 'httproutes', 'tlsroutes', 'grpcroutes')
    AND coalesce(subresource, '') <> 'status'
    AND verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')
    AND stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
ORDER BY time, audit_id
