-- /// detection
-- title = "Bodies of a kind of object are no longer logged"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1562.008"]
-- section = [6]
-- window = "1d"
-- step = "10m"
-- key = ["cluster", "resource"]
-- suppress = "1d"
-- summary = "{cluster} logs writes of {resource} without their bodies (level Metadata) since {first_seen}; the last with one was at {last_with_body}"
--
-- description = """
-- Which bodies are logged is AKS's decision and changes without notice; from then on every rule that reads pods, roles
-- or webhooks is blind for that kind and stays silent. Fires when, within a day, at least three writes of a kind came
-- with bodies and all later ones, at least three, at level Metadata. A kind that is written less often is not seen to
-- change, nor one that never had bodies. The level is in the event itself, no body is needed. Writes by AKS, system
-- accounts and nodes do not count, their levels differ; nor do dry runs. See rules coverage for what reads the kind,
-- and open a support request if it was not announced.
-- """
-- false_positives = [
--   "A change of AKS's audit policy, which is what is reported",
-- ]
-- follow_up = ["log-completeness", "clusters-and-categories"]
-- ///

SELECT
    cluster,
    resource,
    count(*) FILTER (WHERE level = 'Metadata') AS without_body,
    max(time) FILTER (WHERE level <> 'Metadata') AS last_with_body,
    min(time) FILTER (WHERE level = 'Metadata') AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource IN (
        'pods', 'deployments', 'daemonsets', 'statefulsets', 'replicasets',
        'jobs', 'cronjobs', 'replicationcontrollers', 'podtemplates',
        'roles', 'clusterroles', 'rolebindings', 'clusterrolebindings',
        'mutatingwebhookconfigurations', 'validatingwebhookconfigurations',
        'services', 'namespaces', 'networkpolicies', 'certificatesigningrequests'
    )
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node')
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
GROUP BY cluster, resource
HAVING
    count(*) FILTER (WHERE level = 'Metadata') >= 3
    AND count(*) FILTER (WHERE level <> 'Metadata') >= 3
    AND min(time) FILTER (WHERE level = 'Metadata') > max(time) FILTER (WHERE level <> 'Metadata')
