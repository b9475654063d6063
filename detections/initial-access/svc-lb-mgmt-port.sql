-- /// detection
-- title = "A management port was opened to the internet"
-- severity = "high"
-- status = "stable"
-- attack = ["T1133"]
-- section = [2]
-- key = ["cluster", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} made ({verb}) {namespace}/{name} of {cluster} a public load balancer with a management port, ports {ports}, open to {source_ranges}"
--
-- description = """
-- SSH, Telnet, remote desktop, VNC, the Docker socket or the kubelet behind a public address are found by scanners
-- within minutes, and end in a shell. The port of the service or of the pod counts, if either is 22, 23, 3389, 5900,
-- 2375, 2376, 10250 or 10255; a port named in the pod is not known. Creates, updates and patches count, dry runs do
-- not. A patch at level Request that leaves the ports out, and a write without a body (level Metadata, or cut before
-- the ports) stay silent; svc-public-loadbalancer knows the former. Take the service down or make it internal, and read
-- the pod's logs for sign-ins.
-- """
-- false_positives = [
--   "A bastion or an SFTP or Git service that is meant to be public: add namespace/name to lists/public_services.csv",
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
    AND regexp_like(
        object -> 'spec' ->> 'ports',
        '"(port|targetPort)"\s*:\s*"?(22|23|3389|5900|10250|10255|2375|2376)"?\s*[,}]'
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
