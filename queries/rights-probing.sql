-- /// query
-- title = "Who asked what they may do"
-- topic = "identity"
-- section = [1]
-- see_also = ["denied-by-identity", "identity-timeline"]
--
-- description = """
-- Self reviews of access (kubectl auth can-i, and its --list) by identity. People
-- ask seldom and about one thing; a list of all rights by a service account is
-- somebody who found a token. Dashboards, and kubectl itself for some commands,
-- ask too. Asking is always allowed, so it never appears among the denied.
-- """
-- ///

SELECT
    cluster,
    username,
    principal_class,
    client_ip,
    resource AS asked_with,
    count(DISTINCT audit_id) AS requests,
    array_to_string(array_sort(array_agg(DISTINCT concat_ws(
            ' ',
            object -> 'spec' -> 'resourceAttributes' ->> 'verb',
            concat_ws(
                '/',
                object -> 'spec' -> 'resourceAttributes' ->> 'resource',
                nullif(object -> 'spec' -> 'resourceAttributes' ->> 'subresource', '')
            ),
            object -> 'spec' -> 'resourceAttributes' ->> 'namespace',
            object -> 'spec' ->> 'namespace'
        ))), ', ') AS asked,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE resource IN ('selfsubjectaccessreviews', 'selfsubjectrulesreviews')
GROUP BY cluster, username, principal_class, client_ip, resource
ORDER BY first_seen, cluster, username, asked_with
