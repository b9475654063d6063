-- /// detection
-- title = "The secrets of a namespace were listed"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1552.007", "T1613"]
-- section = [4]
-- categories = ["kube-audit"]
-- key = ["cluster", "username", "namespace"]
-- suppress = "1h"
-- summary = "{username} listed ({verb}) the secrets of {scope} of {cluster}, from {client_ip}"
--
-- description = """
-- A list or watch of secrets returns their values, not only their names: the right to list is the right to read. helm list
-- in one namespace asks for Helm's own secrets only and is left out; over all namespaces it counts here (namespace is then
-- empty). Every other list over all namespaces is secret-list-cluster-wide. No body is needed.
-- """
-- false_positives = [
--   "Ingress controllers, operators and dashboards that watch secrets: add them to lists/secret_readers.csv",
-- ]
-- follow_up = ["identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    namespace,
    CASE WHEN namespace IS NULL THEN 'all namespaces' ELSE concat('namespace ', namespace) END AS scope,
    verb,
    request_uri,
    client_ip,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND (status_code BETWEEN 200 AND 299 OR status_code = 101)
    AND resource = 'secrets'
    AND verb IN ('list', 'watch')
    AND name IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node')
    AND NOT listed('secret_readers', username)
    AND (namespace IS NULL) = (coalesce(query_param(request_uri, 'labelSelector'), '') LIKE '%owner=helm%')
