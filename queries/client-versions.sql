-- /// query
-- title = "Versions of clients and components"
-- topic = "platform"
-- section = [9]
-- see_also = ["node-versions", "deprecated-apis"]
--
-- description = """
-- Which programs of which version talk to each cluster: old kubectl versions and
-- operators that nobody upgraded. More than one minor version apart from the
-- server, kubectl is not supported. Versions are what clients say of themselves;
-- many operators report v0.0.0.
-- """
-- ///

SELECT
    cluster,
    split_part(user_agent, '/', 1) AS client,
    regexp_match(user_agent, '^[^/ ]+/(v?[0-9][^ ]*)')[1] AS version,
    count(DISTINCT username) AS identities,
    count(DISTINCT audit_id) AS requests,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE user_agent IS NOT NULL
GROUP BY 1, 2, 3
ORDER BY cluster, client, version
