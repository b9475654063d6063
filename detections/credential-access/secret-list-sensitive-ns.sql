-- /// detection
-- title = "The secrets of a system namespace were listed"
-- severity = "high"
-- status = "stable"
-- attack = ["T1552.007"]
-- section = [4]
-- categories = ["kube-audit"]
-- key = ["cluster", "username", "namespace"]
-- suppress = "1h"
-- summary = "{username} listed ({verb}) the secrets of system namespace {namespace} of {cluster}, from {client_ip}"
--
-- description = """
-- A list returns the values. Those of kube-system and the other system namespaces open the cluster: tokens of controllers,
-- keys of storage and of add-ons. Narrower than secret-list, which fires with it. The default namespace is not one of
-- them, since kubectl without -n ends there. Helm's own secrets (helm list -n kube-system) and lists/secret_readers.csv
-- are left out; accounts of kube-system are exempt one by one only. No body is needed. If it was not an operator of yours,
-- rotate what is in there.
-- """
-- false_positives = [
--   "An administrator looking for something in kube-system",
--   "Backup tools: add them to lists/secret_readers.csv",
-- ]
-- follow_up = ["secrets-read-by-identity", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    namespace,
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
    AND listed('system_namespaces', namespace)
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node')
    AND NOT listed('secret_readers', username)
    AND coalesce(query_param(request_uri, 'labelSelector'), '') NOT LIKE '%owner=helm%'
