-- /// query
-- title = "Namespaces created, changed and deleted"
-- topic = "change"
-- section = [5, 6]
-- see_also = ["object-history", "changes-by-namespace"]
--
-- description = """
-- Each write of a namespace with its labels for Pod Security and the owner's. A
-- namespace that is made, filled and deleted within hours is a preview or a hiding
-- place; a label pod-security.kubernetes.io/enforce that disappears lets
-- privileged pods in. The namespace controller finishes a deletion that somebody
-- else began: look for who did. Dry runs are left out.
-- """
-- ///

SELECT
    time,
    cluster,
    name AS namespace,
    verb,
    concat_ws('/', resource, subresource) AS resource,
    username,
    client_ip,
    CASE WHEN verb = 'patch' THEN response_object ELSE object END -> 'metadata' -> 'labels' ->> 'pod-security.kubernetes.io/enforce' AS enforced,
    substr(request_object -> 'metadata' ->> 'labels', 1, 300) AS labels_asked,
    audit_id
FROM audit
WHERE
    resource = 'namespaces'
    AND coalesce(subresource, '') <> 'status'
    AND verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')
    AND stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
ORDER BY time, audit_id
