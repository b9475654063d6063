-- /// query
-- title = "Pods that a person or a token made, not a controller"
-- topic = "workload"
-- section = [5]
-- see_also = ["privileged-workloads", "exec-sessions"]
--
-- description = """
-- Pods that were created directly and not by a controller of Kubernetes: kubectl
-- run, kubectl debug node, an intruder's tool. Each with its image, account, node
-- and command. Operators and job runners (GitLab, Argo, Tekton) create pods too
-- and belong here. Pods of a Deployment or Job that somebody created are made by
-- its controller: see workload-rollouts and scheduled-work.
-- """
-- ///

SELECT
    time,
    cluster,
    username,
    client_ip,
    namespace,
    name,
    array_to_string(container_images(object), ', ') AS images,
    pod_service_account(object) AS service_account,
    object -> 'spec' ->> 'nodeName' AS node,
    array_length(privileged_containers(object)) > 0 AS privileged,
    array_to_string(host_namespaces(object), ', ') AS host_namespaces,
    array_to_string(host_paths(object), ', ') AS host_paths,
    object -> 'spec' -> 'containers' -> 0 ->> 'command' AS command,
    truncated OR body_skipped AS body_lost,
    audit_id
FROM audit
WHERE
    resource = 'pods'
    AND subresource IS NULL
    AND verb = 'create'
    AND stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
    AND NOT listed('workload_controllers', username)
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node')
ORDER BY time, audit_id
