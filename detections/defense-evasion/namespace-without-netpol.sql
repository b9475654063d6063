-- /// detection
-- title = "A namespace got no network policy"
-- severity = "informational"
-- status = "stable"
-- attack = ["T1562.007"]
-- section = [2]
-- window = "90m"
-- step = "1m"
-- key = ["cluster", "namespace"]
-- summary = "{username} created namespace {namespace} of {cluster} an hour ago, and no network policy came to it since"
--
-- description = """
-- Without a policy every pod of the cluster reaches the new namespace, and its pods reach everything. Fires once, an
-- hour after a namespace was created, if no Kubernetes or Cilium policy was written in it and it was not deleted.
-- Policies for the whole cluster are not seen as belonging to it. A record for those who want every namespace closed;
-- system namespaces are left out. No body is needed; dry runs do not count.
-- """
-- false_positives = [
--   "Short-lived namespaces of CI; clusters with policies for the whole cluster, or without a network policy engine",
-- ]
-- follow_up = ["changes-by-namespace", "network-policy-history"]
-- ///

SELECT
    cluster,
    coalesce(namespace, name) AS namespace,
    min(username) AS username,
    min(client_ip) AS client_ip,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND subresource IS NULL
    AND (
        (resource = 'namespaces' AND verb IN ('create', 'delete'))
        OR (resource IN ('networkpolicies', 'ciliumnetworkpolicies') AND verb IN ('create', 'update', 'patch'))
    )
    AND NOT listed('system_namespaces', coalesce(namespace, name))
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
GROUP BY cluster, coalesce(namespace, name)
HAVING
    min(time) FILTER (WHERE resource = 'namespaces' AND verb = 'create') <= window_end() - INTERVAL '60 minutes'
    AND min(time) FILTER (WHERE resource = 'namespaces' AND verb = 'create') > window_end() - INTERVAL '61 minutes'
    AND count(*) FILTER (WHERE resource <> 'namespaces' OR verb = 'delete') = 0
