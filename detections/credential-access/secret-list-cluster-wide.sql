-- /// detection
-- title = "All secrets of the cluster were listed"
-- severity = "critical"
-- status = "stable"
-- attack = ["T1552.007"]
-- section = [4]
-- categories = ["kube-audit"]
-- key = ["cluster", "username"]
-- suppress = "1h"
-- summary = "{username} listed ({verb}) the secrets of every namespace of {cluster}, from {client_ip}"
--
-- description = """
-- One request that returns every password, key and token the cluster keeps. The control plane's controllers do it and are
-- listed one by one; the other service accounts of kube-system are not exempt. A list of Helm's own secrets is secret-list's.
-- Paging makes several requests: one alert an hour. No body is needed. If it was not an operator of yours, every secret is
-- lost: find out who, cut the access, rotate.
-- """
-- false_positives = [
--   "Operators that watch all secrets (cert-manager, external-secrets, Argo): add them to lists/secret_readers.csv",
--   "An administrator who opens Secrets in the Azure portal or runs kubectl get secrets -A: better not",
-- ]
-- follow_up = ["identity-timeline", "address-timeline"]
-- ///

SELECT
    cluster,
    username,
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
    AND namespace IS NULL
    AND name IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('secret_readers', username)
    AND NOT (coalesce(query_param(request_uri, 'labelSelector'), '') LIKE '%owner=helm%')
