-- /// detection
-- title = "What answers for a policy webhook was stopped or deleted"
-- severity = "critical"
-- status = "stable"
-- attack = ["T1562.001", "T1489"]
-- section = [8]
-- suppress = "1h"
-- key = ["cluster", "username", "namespace", "resource", "object_name"]
-- summary = "{username} did {verb} on {resource} {namespace}/{object_name} of {cluster}, which policy depends on, from {client_ip}"
--
-- description = """
-- Most policy webhooks fail open: with their pods gone or their service pointing nowhere, everything is admitted and
-- the configuration looks untouched. Fires for a delete of a deployment, service, account, certificate or the namespace
-- in lists/policy_backends.csv, for a write that leaves none of its replicas, and for a patch that points the service
-- elsewhere or ties the pods to other nodes (not one of a whole manifest, as a server-side apply sends). AKS, the
-- control plane and Kubernetes' own cleaning are left out, accounts of kube-system are not. Without a body (level
-- Metadata) a write to scale counts and other writes do not. Dry runs do not count. Scale it up again and check what
-- was admitted meanwhile (webhook-failed-open).
-- """
-- false_positives = [
--   "Taking a policy engine out, or a chart that replaces its service, by hand",
-- ]
-- follow_up = ["object-history", "identity-timeline", "webhook-changes"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    coalesce(namespace, name) AS namespace,
    concat(coalesce(name, '(all)'), '/' || subresource) AS object_name,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND (
        (
            verb IN ('delete', 'deletecollection')
            AND resource IN ('deployments', 'statefulsets', 'daemonsets', 'services', 'serviceaccounts', 'secrets', 'namespaces')
        )
        OR (
            verb IN ('update', 'patch')
            AND resource IN ('deployments', 'statefulsets')
            AND (
                (subresource = 'scale' AND coalesce(object -> 'spec' ->> 'replicas', '0') = '0')
                OR (subresource IS NULL AND (object -> 'spec' ->> 'replicas') = '0')
                OR (verb = 'patch' AND regexp_like(request_object, '/spec/replicas"[^{}]*"value"\s*:\s*0\b|"value"\s*:\s*0\b[^{}]*/spec/replicas"'))
            )
        )
        OR (
            verb = 'patch'
            AND resource IN ('deployments', 'statefulsets', 'services')
            AND subresource IS NULL
            AND (request_object ->> 'kind') IS NULL
            AND regexp_like(
                request_object,
                CASE resource
                    WHEN 'services' THEN '"(selector|externalName)"\s*:|/spec/(selector|ports|externalName)'
                    ELSE '"(nodeSelector|nodeAffinity)"\s*:\s*\{|/(nodeSelector|affinity)[/"]'
                END
            )
        )
    )
    AND listed('policy_backends', concat(coalesce(namespace, name), '/', name))
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('cleanup_controllers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
