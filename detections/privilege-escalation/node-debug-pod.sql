-- /// detection
-- title = "A debug pod was put on a node"
-- severity = "high"
-- status = "stable"
-- attack = ["T1611", "T1609"]
-- section = [5, 7]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} made node debug pod {namespace}/{name} on node {node} of {cluster}, from {client_ip}"
--
-- description = """
-- `kubectl debug node/…` makes a pod node-debugger-… that sees the node's processes, network and whole file system:
-- root on the node for whoever may make pods. Its name counts, and so does any pod with all three. The name needs no
-- body; without one (level Metadata, or cut) a pod of another name stays silent. Pods of the built-in controllers, of
-- AKS and dry runs do not count. It is Microsoft's documented way onto a node: ask whether somebody repaired
-- something, see the commands that were run, and delete the pod, which stays after the session.
-- """
-- false_positives = [
--   "People repairing nodes",
--   "Node agents started by hand: add namespace/name to lists/node_agents.csv",
-- ]
-- follow_up = ["exec-sessions", "object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    namespace,
    name,
    coalesce(pod_spec(object) ->> 'nodeName', 'not logged') AS node,
    array_to_string(container_images(object), ', ') AS images,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb = 'create'
    AND resource = 'pods'
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('workload_controllers', username)
    AND NOT listed('node_agents', concat(namespace, '/', name))
    AND (
        starts_with(name, 'node-debugger-')
        OR (
            array_has(host_namespaces(object), 'pid')
            AND array_has(host_namespaces(object), 'network')
            AND array_has(host_paths(object), '/')
        )
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
