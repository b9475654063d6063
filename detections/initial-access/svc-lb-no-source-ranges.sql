-- /// detection
-- title = "A public service is open to every address"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1133"]
-- section = [2]
-- key = ["cluster", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} left ({verb}) the public load balancer of service {namespace}/{name} of {cluster} open to every address, ports {ports}"
--
-- description = """
-- svc-public-loadbalancer says that a service is public; this one, that nothing restricts who connects: no
-- loadBalancerSourceRanges (or 0.0.0.0/0), no allowed ranges or service tags in its annotations. Fires too when a change
-- takes the restriction away. What is known to be public is in lists/public_services.csv. A missing field cannot be told
-- from an unchanged one where the log has only the request of a patch, nor in a cut record: there the rule stays silent,
-- as it does without a body (level Metadata). Dry runs do not count. Set the ranges, or put an ingress with a web
-- application firewall in front.
-- """
-- false_positives = [
--   "Ingress controllers and gateways that are meant to be public: add namespace/name to lists/public_services.csv",
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
        coalesce(object -> 'spec' ->> 'loadBalancerSourceRanges', '[]') IN ('[]', 'null')
        OR (object -> 'spec' ->> 'loadBalancerSourceRanges') LIKE '%/0"%'
    )
    AND (object -> 'metadata' -> 'annotations' ->> 'service.beta.kubernetes.io/azure-allowed-service-tags') IS NULL
    AND (object -> 'metadata' -> 'annotations' ->> 'service.beta.kubernetes.io/azure-allowed-ip-ranges') IS NULL
    AND (verb <> 'patch' OR response_object IS NOT NULL)
    AND NOT truncated
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
