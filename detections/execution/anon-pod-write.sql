-- /// detection
-- title = "An anonymous client tried to write pods"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1610", "T1190"]
-- section = [1, 5]
-- key = ["cluster", "client_ip"]
-- suppress = "1d"
-- summary = "An anonymous client at {client_ip} tried to {verb} {what} on {cluster}: {status_code}"
--
-- description = """
-- Worms that mine coins try to start a pod on every API server they find. Refused attempts count; one that succeeds is
-- anon-request-allowed as well, and critical. Pods and all kinds of workload, on any verb that writes, exec and attach
-- too. One alert for each address and day. No body is needed: images is empty at level Metadata. Restrict who reaches the
-- API server, and see what else the address did.
-- """
-- false_positives = [
--   "None known",
-- ]
-- follow_up = ["address-timeline", "new-images"]
-- ///

SELECT
    cluster,
    client_ip,
    verb,
    concat(resource, coalesce('/' || subresource, '')) AS what,
    namespace,
    name,
    status_code,
    array_to_string(container_images(object), ', ') AS images,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND (principal_class = 'anonymous' OR array_has(groups, 'system:unauthenticated'))
    AND resource IN (
        'pods', 'deployments', 'daemonsets', 'statefulsets', 'replicasets',
        'jobs', 'cronjobs', 'replicationcontrollers', 'podtemplates'
    )
    AND (
        verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')
        OR subresource IN ('exec', 'attach', 'portforward')
    )
