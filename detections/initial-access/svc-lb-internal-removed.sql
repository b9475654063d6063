-- /// detection
-- title = "An internal load balancer was made public"
-- severity = "high"
-- status = "stable"
-- attack = ["T1133", "T1562.007"]
-- section = [2]
-- window = "1d"
-- step = "1m"
-- key = ["cluster", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} made the internal load balancer {namespace}/{name} of {cluster} public ({verb}), open to {source_ranges}, from {client_ip}"
--
-- description = """
-- Taking this annotation off a service gives it a public address within a minute. Fires when a write leaves a load
-- balancer without it that had it in the write before, seen the same day, or when a patch itself takes it off or sets
-- it to false. An update of a service not written to that day is svc-public-loadbalancer's alone. Where the log has
-- only the request of a patch (level Request) the rule fires on such a patch without knowing the type. Without bodies
-- (level Metadata, or cut) it stays silent. Dry runs do not count. Put the annotation back; see who connected
-- meanwhile.
-- """
-- false_positives = [
--   "A service that is meant to become public: add namespace/name to lists/public_services.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    namespace,
    name,
    source_ranges,
    client_ip,
    time AS first_seen,
    time AS last_seen
FROM (
    SELECT
        *,
        lag(internal) OVER (PARTITION BY cluster, namespace, name ORDER BY time, audit_id) AS before
    FROM (
        SELECT
            cluster,
            username,
            verb,
            namespace,
            name,
            client_ip,
            time,
            audit_id,
            principal_class,
            coalesce(object -> 'spec' ->> 'loadBalancerSourceRanges', 'anybody') AS source_ranges,
            coalesce(object -> 'spec' ->> 'type', CASE WHEN response_object IS NULL THEN 'LoadBalancer' END) AS type,
            lower(coalesce(
                object -> 'metadata' -> 'annotations' ->> 'service.beta.kubernetes.io/azure-load-balancer-internal',
                'false'
            )) AS internal,
            verb = 'patch' AND regexp_like(
                request_object,
                '"service\.beta\.kubernetes\.io/azure-load-balancer-internal"\s*:\s*(null|"[Ff]alse")|"remove"[^{}]*~1azure-load-balancer-internal"|~1azure-load-balancer-internal"[^{}]*("remove"|"[Ff]alse")'
            ) AS taken_off
        FROM audit
        WHERE
            stage = 'ResponseComplete'
            AND status_code BETWEEN 200 AND 299
            AND verb IN ('create', 'update', 'patch')
            AND resource = 'services'
            AND subresource IS NULL
            AND object IS NOT NULL
            AND (
                NOT truncated
                OR (object -> 'metadata' -> 'annotations' ->> 'service.beta.kubernetes.io/azure-load-balancer-internal') IS NOT NULL
            )
            AND (
                verb <> 'patch'
                OR response_object IS NOT NULL
                OR request_object LIKE '%azure-load-balancer-internal%'
            )
            AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
    ) AS written
) AS change
WHERE
    coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa')
    AND NOT listed('public_services', concat(namespace, '/', name))
    AND type = 'LoadBalancer'
    AND internal <> 'true'
    AND (before = 'true' OR taken_off)
