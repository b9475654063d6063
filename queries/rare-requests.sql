-- /// query
-- title = "Requests that hardly anybody makes"
-- topic = "change"
-- section = [6]
-- see_also = ["identity-timeline", "first-and-last-seen"]
--
-- description = """
-- Kinds of request (verb and resource) by how few identities make them and how
-- seldom, rarest first: where to look when nothing is suspected in particular.
-- Rare is not bad: upgrades, certificates and first deployments are rare too. Over
-- a short range everything is; a week or more is worth most.
-- """
--
-- [params]
-- identities = { type = "int", description = "Kinds of request that more identities make are left out", default = 1 }
-- requests = { type = "int", description = "Kinds of request that are made more often are left out", default = 5 }
-- ///

SELECT
    cluster,
    trim(concat_ws(' ', verb, concat_ws('/', resource, subresource))) AS request,
    count(DISTINCT username) AS identities,
    array_to_string(array_sort(array_agg(DISTINCT username)), ', ') AS who,
    count(DISTINCT audit_id) AS requests,
    count(DISTINCT audit_id) FILTER (WHERE status_code >= 400) AS failed,
    array_to_string(array_sort(array_agg(DISTINCT client_ip)), ', ') AS addresses,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE resource IS NOT NULL
GROUP BY 1, 2
HAVING count(DISTINCT username) <= $identities AND count(DISTINCT audit_id) <= $requests
ORDER BY requests, cluster, request
