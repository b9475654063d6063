-- /// detection
-- title = "Someone deployed where, or from where, they never did"
-- severity = "low"
-- status = "stable"
-- attack = ["T1610"]
-- section = [5, 3]
-- baseline = "30d"
-- learn = "7d"
-- key = ["cluster", "username", "namespace", "registry"]
-- summary = "{username} created {resource} {namespace}/{name} of {cluster} with images of {registry}: this identity, namespace and registry were not seen together for 30 days, from {client_ip}"
--
-- description = """
-- Who deploys into which namespace from which registry hardly varies. Creates of workloads count, by anybody but AKS,
-- nodes and accounts of the system namespaces; the registry is that of the first image and not known at level Metadata or
-- in a cut record, so that only identity and namespace are compared then. The hour of the day is not looked at. Low: every
-- new application does it once. Says nothing for a cluster until seven days of its log were seen. Dry runs do not count.
-- """
-- false_positives = [
--   "New applications, new colleagues, new registries",
-- ]
-- follow_up = ["new-images", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    namespace,
    coalesce(image_registry(container_images(object)[1]), '(not logged)') AS registry,
    resource,
    name,
    array_to_string(container_images(object), ', ') AS images,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb = 'create'
    AND resource IN (
        'pods', 'deployments', 'daemonsets', 'statefulsets', 'replicasets',
        'jobs', 'cronjobs', 'replicationcontrollers', 'podtemplates'
    )
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa')
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
