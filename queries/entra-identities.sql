-- /// query
-- title = "Entra users and applications, guests marked"
-- topic = "identity"
-- section = [1]
-- see_also = ["first-and-last-seen", "identity-timeline"]
--
-- description = """
-- Which people and applications of the directory used which cluster, and how.
-- guest is true for accounts of another organisation (#EXT# in the name). Compare
-- with who should have access; an identity that only appears once, at night or
-- from a new address is worth a question. object_id is what Entra's sign-in logs
-- call the user. Applications are named by their object id only.
-- """
-- ///

SELECT
    cluster,
    username,
    principal_class,
    username LIKE '%#EXT#%' AS guest,
    max(user_extra -> 'oid' ->> 0) AS object_id,
    count(DISTINCT audit_id) AS requests,
    count(DISTINCT audit_id) FILTER (
        WHERE verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')
            AND status_code BETWEEN 200 AND 299
            AND coalesce(resource, '') NOT LIKE '%reviews'
            AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
    ) AS changes,
    count(DISTINCT audit_id) FILTER (WHERE status_code IN (401, 403)) AS denied,
    count(DISTINCT date_trunc('day', time)) AS days,
    array_to_string(array_sort(array_agg(DISTINCT client_ip)), ', ') AS addresses,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE principal_class IN ('entra-user', 'entra-app')
GROUP BY cluster, username, principal_class
ORDER BY guest DESC, first_seen DESC, cluster, username
