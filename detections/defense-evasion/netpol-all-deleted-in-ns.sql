-- /// detection
-- title = "A namespace lost all its network policies"
-- severity = "high"
-- status = "stable"
-- attack = ["T1562.007"]
-- section = [2]
-- window = "1h"
-- step = "1m"
-- key = ["cluster", "namespace"]
-- suppress = "6h"
-- summary = "{username} deleted all network policies of namespace {namespace} of {cluster} that were seen within the hour ({policies}), from {client_ip}"
--
-- description = """
-- With its last policy a namespace is open to every pod of the cluster and to every way out. What exists is known only
-- from the log: fires when, of the policies of a namespace seen within an hour (written, applied without change, read
-- or deleted), at least two were deleted and none is left, or when all were deleted at once (deletecollection). Deletes
-- by GitOps and controllers count as gone, but the deletes of somebody else are needed to fire. A namespace that is
-- deleted itself stays silent. Kubernetes and Cilium policies count. No body is needed; dry-run deletes do not count.
-- Restore the policies and look at new connections.
-- """
-- false_positives = [
--   "An application taken down by hand or by a pipeline without its namespace: add the pipeline to lists/workload_deployers.csv",
-- ]
-- follow_up = ["network-policy-history", "changes-by-namespace", "identity-timeline"]
-- ///

SELECT
    cluster,
    namespace,
    min(gone_by) AS username,
    string_agg(DISTINCT policy, ', ' ORDER BY policy) AS policies,
    min(client_ip) AS client_ip,
    min(gone) AS first_seen,
    max(gone) AS last_seen
FROM (
    SELECT
        cluster,
        coalesce(namespace, name) AS namespace,
        CASE WHEN resource = 'namespaces' THEN NULL WHEN verb = 'deletecollection' THEN '*' ELSE name END AS policy,
        max(time) FILTER (WHERE starts_with(verb, 'delete')) AS gone,
        max(time) FILTER (WHERE NOT starts_with(verb, 'delete')) AS there,
        max(CASE WHEN starts_with(verb, 'delete') AND NOT cleanup THEN username END) AS gone_by,
        max(CASE WHEN starts_with(verb, 'delete') AND NOT cleanup THEN client_ip END) AS client_ip
    FROM (
        SELECT
            cluster,
            namespace,
            name,
            resource,
            verb,
            time,
            username,
            client_ip,
            listed('cleanup_controllers', username) OR listed('workload_deployers', username)
                OR coalesce(principal_class, 'other') IN ('aks', 'system') AS cleanup
        FROM audit
        WHERE
            stage = 'ResponseComplete'
            AND status_code BETWEEN 200 AND 299
            AND (
                (
                    resource IN ('networkpolicies', 'ciliumnetworkpolicies')
                    AND verb NOT IN ('list', 'watch')
                    AND (name IS NOT NULL OR verb = 'deletecollection')
                )
                OR (resource = 'namespaces' AND verb = 'delete')
            )
            AND subresource IS NULL
            AND NOT (
                starts_with(verb, 'delete')
                AND coalesce(query_param(request_uri, 'dryRun'), '') = 'All'
            )
    ) AS row
    GROUP BY 1, 2, 3
) AS policy
GROUP BY cluster, namespace
HAVING
    count(*) FILTER (WHERE policy IS NULL) = 0
    AND (max(gone) FILTER (WHERE policy = '*') >= coalesce(max(there), max(gone))
        OR (
            count(*) FILTER (WHERE gone IS NOT NULL) >= 2
            AND count(*) FILTER (WHERE gone IS NULL OR there > gone) = 0
        ))
    AND count(gone_by) > 0
