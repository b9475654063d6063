-- /// detection
-- title = "A database was opened to the internet"
-- severity = "high"
-- status = "stable"
-- attack = ["T1133"]
-- section = [2]
-- key = ["cluster", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} made ({verb}) the database {namespace}/{name} of {cluster} a public load balancer, ports {ports}, open to {source_ranges}"
--
-- description = """
-- Redis, MongoDB, Elasticsearch and their kind are found by scanners within the hour and often ask for no password. Told
-- by the port, of the service or of the pod behind it, or by a name or selector; svc-public-loadbalancer fires with it.
-- Creates, updates and patches count; services of lists/public_services.csv do not. Where the log has only the request of
-- a patch, a missing internal annotation cannot be told from an unchanged one and the rule fires. Without a body (level
-- Metadata) it stays silent. Make it internal, then take what was in there for read.
-- """
-- false_positives = [
--   "A database reached by a partner over fixed ranges: add namespace/name to lists/public_services.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    namespace,
    name,
    json_values(object, 'spec.ports.port') AS ports,
    object -> 'spec' ->> 'selector' AS selector,
    coalesce(object -> 'spec' ->> 'loadBalancerSourceRanges', 'anybody') AS source_ranges,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource = 'services'
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa')
    AND NOT listed('public_services', concat(namespace, '/', name))
    AND (object -> 'spec' ->> 'type') = 'LoadBalancer'
    AND lower(
        coalesce(
            object -> 'metadata' -> 'annotations' ->> 'service.beta.kubernetes.io/azure-load-balancer-internal',
            'false'
        )
    ) <> 'true'
    AND (
        regexp_like(
            object -> 'spec' ->> 'ports',
            '"(port|targetPort)"\s*:\s*"?(1433|1521|2379|2380|3306|5432|5984|6379|7000|7474|8086|9042|9092|9200|9300|11211|26379|27017)"?\s*[,}]'
        )
        OR regexp_like(
            lower(concat(name, ' ', object -> 'spec' ->> 'selector')),
            'redis|postgres|mysql|mariadb|mssql|mongo|elasticsearch|opensearch|cassandra|memcached|etcd|couchdb|influxdb|neo4j|clickhouse'
        )
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
