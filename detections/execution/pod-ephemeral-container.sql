-- /// detection
-- title = "A debug container was added to a running pod"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1609", "T1611"]
-- section = [5]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1h"
-- summary = "{username} added a debug container to pod {namespace}/{name} of {cluster}, from {client_ip}"
--
-- description = """
-- kubectl debug puts a container with any image into a running pod, next to its processes, files and service account; it
-- leaves no trace in the workload's definition. An unusual tool outside of incidents. No body is needed; images is empty at
-- level Metadata. Unlike exec it is a write, so kube-audit-admin has it.
-- """
-- false_positives = [
--   "kubectl debug by people who may: add them to lists/exec_allowed.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    namespace,
    name,
    array_to_string(container_images(object), ', ') AS images,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource = 'pods'
    AND subresource = 'ephemeralcontainers'
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('exec_allowed', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
