-- /// detection
-- title = "A workload was put into the default namespace"
-- severity = "low"
-- status = "stable"
-- attack = ["T1610"]
-- section = [5]
-- key = ["cluster", "username", "namespace", "resource", "name"]
-- suppress = "1d"
-- summary = "{username} made or changed ({verb}) {resource} {namespace}/{name} of {cluster}, from {client_ip}"
--
-- description = """
-- The default namespace has no owner: usually no network policy, no quota and no pod security label, which makes it the
-- place where a quick kubectl run of a visitor lands, as does kube-public. No body is needed; images and service_account
-- are empty at level Metadata. What the built-in controllers make from an object does not count, nor do dry runs. Move it
-- to a namespace of its own.
-- """
-- false_positives = [
--   "Development clusters",
-- ]
-- follow_up = ["object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    namespace,
    name,
    array_to_string(container_images(object), ', ') AS images,
    pod_service_account(object) AS service_account,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource IN (
        'pods', 'deployments', 'daemonsets', 'statefulsets', 'replicasets',
        'jobs', 'cronjobs', 'replicationcontrollers', 'podtemplates'
    )
    AND subresource IS NULL
    AND (resource <> 'pods' OR verb = 'create')
    AND NOT (resource IN ('pods', 'replicasets', 'jobs') AND listed('workload_controllers', username))
    AND namespace IN ('default', 'kube-public')
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
