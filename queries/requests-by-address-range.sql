-- /// query
-- title = "Requests by address range, public and private"
-- topic = "identity"
-- section = [2]
-- see_also = ["address-timeline", "first-and-last-seen"]
--
-- description = """
-- Where requests come from, by network and by kind of identity, told apart as
-- public and private addresses. Public ranges are /24, private ones /16, IPv6 /64. On a cluster whose
-- API server is private no public range should appear but those of Azure itself
-- (168.63.129.16 probes the API server). Nothing here says in which country an
-- address lies: look the ranges up that you do not know.
-- """
-- ///

SELECT
    cluster,
    CASE
        WHEN client_ip LIKE '%:%' THEN concat(regexp_replace(client_ip, '^((?:[0-9a-fA-F]*:){1,4}).*$', '\1'), ':/64')
        WHEN is_public(client_ip) THEN concat(regexp_replace(client_ip, '\.[0-9]+$', ''), '.0/24')
        ELSE concat(regexp_replace(client_ip, '\.[0-9]+\.[0-9]+$', ''), '.0.0/16')
    END AS address_range,
    CASE WHEN is_public(client_ip) THEN 'public' ELSE 'private' END AS kind,
    principal_class,
    count(DISTINCT audit_id) AS requests,
    count(DISTINCT audit_id) FILTER (WHERE status_code IN (401, 403)) AS denied,
    count(DISTINCT username) AS identities,
    count(DISTINCT client_ip) AS addresses,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE client_ip IS NOT NULL
GROUP BY 1, 2, 3, 4
ORDER BY kind DESC, requests, cluster, address_range, principal_class
