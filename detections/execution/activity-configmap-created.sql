-- /// detection
-- title = "A ConfigMap was created by an identity not expected"
-- severity = "informational"
-- status = "shadow"
-- section = [6]
-- key = ["cluster", "username", "namespace"]
-- suppress = "1d"
-- summary = "{username}, who is not in lists/allowed_users.csv, created configmaps in namespace {namespace} of {cluster}, the first of the day {object_name}, from {client_ip}"
--
-- description = """
-- The ordinary work of a cluster, done by an identity that is not expected there: for those who want a record of it
-- with the alerts. Shadow, since it is no sign of anything; make it stable to have it sent. People and pipelines of
-- lists/allowed_users.csv, AKS, the control plane and accounts of the system namespaces are left out. One alert for
-- each identity, namespace and day. No body is needed; dry runs and refused requests do not count.
-- """
-- false_positives = [
--   "GitOps, operators, new colleagues: add them to lists/allowed_users.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    namespace,
    name,
    coalesce(name, '*') AS object_name,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb = 'create'
    AND resource = 'configmaps'
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa')
    AND NOT listed('allowed_users', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
