-- /// query
-- title = "Who acted as whom"
-- topic = "identity"
-- section = [1]
-- see_also = ["identity-timeline", "local-admin-use"]
--
-- description = """
-- Every pair of an identity and the one it acted as, with the groups it took.
-- Impersonation shows the right only of whoever is in username: judge that one.
-- Groups such as system:masters, or an identity that does not exist, are how an
-- administrator's trail is made to show somebody else. Proxies (Azure Arc,
-- Rancher, Teleport) impersonate all day. Log Analytics exports do not carry
-- impersonation: there is no row then, whatever happened.
-- """
-- ///

SELECT
    cluster,
    username,
    principal_class,
    impersonated_username,
    array_to_string(impersonated_groups, ', ') AS impersonated_groups,
    count(DISTINCT audit_id) AS requests,
    count(DISTINCT audit_id) FILTER (WHERE status_code IN (401, 403)) AS denied,
    array_to_string(array_sort(array_agg(DISTINCT concat_ws(' ', verb, resource))), ', ') AS what,
    array_to_string(array_sort(array_agg(DISTINCT client_ip)), ', ') AS addresses,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE impersonated_username IS NOT NULL OR array_length(impersonated_groups) > 0
GROUP BY 1, 2, 3, 4, 5
ORDER BY first_seen, cluster, username, impersonated_username
