-- /// query
-- title = "Use of the local administrator and of system:masters"
-- topic = "identity"
-- section = [1]
-- see_also = ["identity-timeline", "kubeconfig-sources"]
--
-- description = """
-- What break-glass accounts did: masterclient and other certificates that no
-- directory knows, and every identity that acted in the group system:masters,
-- its own or an impersonated one. system:masters passes by every role binding and
-- cannot be revoked but by rotating the cluster's certificates. On a cluster with
-- local accounts disabled there must be no row. The account is shared: who held
-- the kubeconfig is told by address and agent only. AKS's own identities, which
-- are in the group too, are left out.
-- """
-- ///

SELECT
    cluster,
    username,
    impersonated_username,
    client_ip,
    split_part(user_agent, ' ', 1) AS agent,
    verb,
    concat_ws('/', resource, subresource) AS resource,
    count(DISTINCT audit_id) AS requests,
    count(DISTINCT namespace) AS namespaces,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    principal_class = 'local-admin'
    OR (
        coalesce(principal_class, 'other') NOT IN ('aks', 'system')
        AND (array_has(groups, 'system:masters') OR array_has(impersonated_groups, 'system:masters'))
    )
GROUP BY 1, 2, 3, 4, 5, 6, 7
ORDER BY first_seen, cluster, username, verb, resource
