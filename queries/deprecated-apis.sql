-- /// query
-- title = "Deprecated APIs still in use"
-- topic = "platform"
-- section = [9]
-- see_also = ["client-versions", "report-updates"]
--
-- description = """
-- Requests for API versions that a later release of Kubernetes removes, by who
-- makes them: what breaks at the upgrade to that release. The API server marks
-- such requests itself (k8s.io/deprecated). A record that was cut has lost the
-- mark.
-- """
-- ///

SELECT
    cluster,
    annotations ->> 'k8s.io/removed-release' AS removed_in,
    concat_ws('/', api_group, api_version) AS api,
    resource,
    username,
    array_to_string(array_sort(array_agg(DISTINCT split_part(user_agent, ' ', 1))), ', ') AS agents,
    array_to_string(array_sort(array_agg(DISTINCT verb)), ', ') AS verbs,
    count(DISTINCT audit_id) AS requests,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE annotations ->> 'k8s.io/deprecated' = 'true'
GROUP BY 1, 2, 3, 4, 5
ORDER BY cluster, removed_in, api, resource, username
