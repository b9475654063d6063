-- /// detection
-- title = "A pod with power over its node was made and soon deleted"
-- severity = "high"
-- status = "stable"
-- attack = ["T1610", "T1070"]
-- section = [5, 7]
-- window = "10m"
-- suppress = "1h"
-- key = ["cluster", "username", "namespace", "name"]
-- summary = "{username} made pod {namespace}/{name} of {cluster}, which reaches into its node ({powers}), and deleted it {seconds} seconds later, from {client_ip}"
--
-- description = """
-- A privileged pod that lives for a minute did one thing on its node and is gone before anybody looks. The same identity
-- made a pod that is privileged, mounts a path of the node or shares its namespaces, and deleted it within ten minutes.
-- Debug pods that kubectl debug makes are known by their name. Kubernetes' own controllers and lists/node_agents.csv are
-- left out; accounts of kube-system are not. At level Metadata or when the body was cut only the names of debug pods
-- tell. Dry runs do not count. Find the node the pod was bound to and treat it as taken.
-- """
-- false_positives = [
--   "kubectl debug node by those who run the nodes; CI runners whose pods are privileged: add namespace/name-* to lists/node_agents.csv",
-- ]
-- follow_up = ["identity-timeline", "object-history", "privileged-workloads"]
-- ///

SELECT
    cluster,
    username,
    namespace,
    name,
    coalesce(min(powers), 'debug pod') AS powers,
    CAST(date_part('epoch', max(time) FILTER (WHERE verb = 'delete') - min(time) FILTER (WHERE verb = 'create')) AS int) AS seconds,
    min(client_ip) AS client_ip,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM (
    SELECT
        cluster,
        username,
        namespace,
        name,
        verb,
        client_ip,
        time,
        CASE WHEN verb = 'create' THEN nullif(concat_ws(
            ', ',
            CASE WHEN array_length(privileged_containers(object)) > 0 THEN 'privileged' END,
            'paths ' || nullif(array_to_string(host_paths(object), ' '), ''),
            'namespaces ' || nullif(array_to_string(host_namespaces(object), ' '), '')
        ), '') END AS powers
    FROM audit
    WHERE
        stage = 'ResponseComplete'
        AND status_code BETWEEN 200 AND 299
        AND verb IN ('create', 'delete')
        AND resource = 'pods'
        AND subresource IS NULL
        AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node')
        AND NOT listed('workload_controllers', username)
        AND NOT listed('node_agents', concat(namespace, '/', name))
        AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
) AS written
GROUP BY cluster, username, namespace, name
HAVING
    min(time) FILTER (WHERE verb = 'create' AND (powers IS NOT NULL OR name LIKE 'node-debugger-%'))
        < max(time) FILTER (WHERE verb = 'delete')
