-- /// detection
-- title = "A service was opened to the internet"
-- severity = "high"
-- status = "stable"
-- attack = ["T1133", "T1190"]
-- section = [2]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} made ({verb}) service {namespace}/{name} of {cluster} a public load balancer, open to {source_ranges}, from {client_ip}"
--
-- description = """
-- On AKS a Service of type LoadBalancer gets a public address unless it asks for an internal one. source_ranges names who
-- may connect. Creates, updates and patches count, so the alert also comes when such a service is
-- changed, once a day for each person and service. Where the log has only the request of a patch (level Request), a missing annotation
-- cannot be told from an unchanged one, and the rule fires on a patch that sets the type. Without a body (level Metadata) it stays
-- silent. Dry runs do not count. What AKS and the accounts of its add-ons publish is left out.
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
    object -> 'spec' ->> 'ports' AS ports,
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
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
