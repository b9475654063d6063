-- /// detection
-- title = "The cluster's name resolution was changed"
-- severity = "high"
-- status = "stable"
-- attack = ["T1557", "T1565.001", "T1584.002"]
-- section = [2]
-- key = ["cluster", "username", "name"]
-- suppress = "1h"
-- summary = "{username} changed ({verb}) config map kube-system/{config} of {cluster}, from {client_ip}"
--
-- description = """
-- Who writes CoreDNS's configuration decides where every name leads: databases, registries, login pages. On AKS coredns
-- belongs to AKS, and coredns-custom is the place for changes of one's own, so the latter is exempt for identities of
-- lists/workload_deployers.csv, the former for AKS alone. No body is needed: data is empty at level Metadata. Dry runs do
-- not count. Read the rewrite, hosts and forward lines, and put the old version back.
-- """
-- false_positives = [
--   "An administrator adding a forwarder to coredns-custom",
-- ]
-- follow_up = ["object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    namespace,
    name,
    coalesce(name, '*') AS config,
    substr(object ->> 'data', 1, 1000) AS data,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')
    AND resource = 'configmaps'
    AND namespace = 'kube-system'
    AND (name IN ('coredns', 'coredns-custom', 'kube-dns') OR (verb = 'deletecollection' AND name IS NULL))
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT (name = 'coredns-custom' AND listed('workload_deployers', username))
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
