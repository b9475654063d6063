-- /// detection
-- title = "An administration page was opened to the internet"
-- severity = "high"
-- status = "stable"
-- attack = ["T1133"]
-- section = [2]
-- key = ["cluster", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} made ({verb}) {namespace}/{name} of {cluster}, by its name an administration page, a public load balancer, open to {source_ranges}"
--
-- description = """
-- Dashboards, notebooks, pipelines and GitOps servers run commands for whoever signs in, some without asking. Told by the
-- name of the service or by its selector, so a service with a dull name is not seen; svc-public-loadbalancer fires for
-- every public service. Creates, updates and patches count; services of lists/public_services.csv do not. Where the log
-- has only the request of a patch, a missing internal annotation cannot be told from an unchanged one and the rule fires.
-- Without a body (level Metadata) it stays silent. Make it internal, and look at who connected.
-- """
-- false_positives = [
--   "A login page that is meant to be public: add namespace/name to lists/public_services.csv",
--   "istio-ingressgateway is not among the names, since on its own it is an ordinary gateway",
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
    AND regexp_like(
        lower(concat(name, ' ', object -> 'spec' ->> 'selector')),
        '(kubernetes|k8s)-dashboard|^dashboard |"dashboard"|headlamp|argocd-server|argo-server|weave-scope|octant|kubeapps|kubeview|portainer|rancher'
        || '|jenkins|jupyter|kubeflow|airflow|tekton|grafana|prometheus|alertmanager|kibana|longhorn-frontend|hubble-ui|kiali|minio-console'
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
