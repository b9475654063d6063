-- /// detection
-- title = "A service was opened on the nodes"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1133", "T1190"]
-- section = [2]
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} opened ({verb}) service {namespace}/{name} of {cluster} on a port of every node, from {client_ip}"
--
-- description = """
-- A NodePort listens on every node and goes around ingress controllers and their checks. AKS nodes are private by
-- default, so this is reachable from the virtual network and what is peered with it, and from the internet only with
-- node public addresses. Creates, updates and patches count, those of lists/service_managers.csv (cert-manager) do not.
-- Without a body (level Metadata) the rule stays silent. Dry runs do not count.
-- """
-- false_positives = [
--   "Services behind an appliance or Application Gateway: add namespace/name to lists/public_services.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    namespace,
    name,
    object -> 'spec' ->> 'ports' AS ports,
    object -> 'spec' ->> 'selector' AS selector,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource = 'services'
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa')
    AND NOT listed('public_services', concat(namespace, '/', name))
    AND NOT listed('service_managers', username)
    AND (object -> 'spec' ->> 'type') = 'NodePort'
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
