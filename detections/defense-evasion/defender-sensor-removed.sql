-- /// detection
-- title = "The Defender sensor was removed or changed"
-- severity = "critical"
-- status = "stable"
-- attack = ["T1562.001"]
-- section = [7, 6]
-- suppress = "1h"
-- key = ["cluster", "username", "resource", "object_name"]
-- summary = "{username} did {verb} on {resource} {object_name}, part of the Defender sensor of {cluster}, from {client_ip}"
--
-- description = """
-- Defender for Containers sees processes on the nodes; who works on nodes removes it first. Fires for a delete, update
-- or patch of what the sensor consists of, by anybody but AKS, the control plane and the controllers and kubelets that
-- delete its pods in their work. Taking away the daemon set's nodes or image by a patch counts, a restart does not. A
-- delete of all daemon sets of kube-system counts; an update of its settings and secrets, which it makes itself, does
-- not. No body is needed; dry runs do not count. Turn the profile off and on again (az aks update --enable-defender),
-- and look at the nodes for the time in between.
-- """
-- false_positives = [
--   "A change of its settings while support works on it",
-- ]
-- follow_up = ["object-history", "identity-timeline", "evidence-removed"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    concat(namespace || '/', coalesce(name, '(all)')) AS object_name,
    substr(request_object, 1, 500) AS request,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('delete', 'deletecollection', 'update', 'patch')
    AND resource IN (
        'daemonsets', 'deployments', 'pods', 'serviceaccounts', 'configmaps', 'secrets',
        'clusterroles', 'clusterrolebindings', 'roles', 'rolebindings'
    )
    AND (
        name LIKE 'microsoft-defender%'
        OR (verb = 'deletecollection' AND resource = 'daemonsets' AND namespace = 'kube-system')
    )
    AND (verb IN ('delete', 'deletecollection') OR resource NOT IN ('configmaps', 'secrets'))
    AND coalesce(subresource, '') <> 'status'
    AND NOT coalesce(
        verb = 'patch'
        AND regexp_like(
            request_object,
            '^\{"spec":\{"template":\{"metadata":\{"annotations":\{"kubectl\.kubernetes\.io/restartedAt":"[^"]*"\}\}\}\}\}$'
        ),
        false
    )
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node')
    AND NOT listed('workload_controllers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
