-- /// query
-- title = "Which identities an address used"
-- topic = "identity"
-- section = [1, 2]
-- see_also = ["address-timeline", "first-and-last-seen"]
--
-- description = """
-- One line for each identity that came from an address or range: the short
-- version of address-timeline. More than one person, or a person and a service
-- account, from one address that is no office and no cluster's outbound address
-- means that credentials were collected. A request made in somebody else's name
-- counts for the identity that signed in.
-- """
--
-- example = { address = "185.220.101.0/24" }
--
-- [params]
-- address = { type = "cidr", description = "An address or a range of them", required = true }
-- ///

SELECT
    cluster,
    client_ip,
    username,
    principal_class,
    count(DISTINCT audit_id) AS requests,
    count(DISTINCT audit_id) FILTER (WHERE status_code IN (401, 403)) AS denied,
    count(DISTINCT audit_id) FILTER (
        WHERE verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')
            AND status_code BETWEEN 200 AND 299
            AND coalesce(resource, '') NOT LIKE '%reviews'
            AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
    ) AS changes,
    count(DISTINCT audit_id) FILTER (WHERE resource = 'secrets' AND status_code BETWEEN 200 AND 299) AS secrets,
    array_to_string(array_sort(array_agg(DISTINCT split_part(user_agent, ' ', 1))), ', ') AS agents,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE cidr_match(client_ip, $address)
GROUP BY cluster, client_ip, username, principal_class
ORDER BY first_seen, cluster, client_ip, username
