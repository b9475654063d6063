-- /// detection
-- title = "An identity that is not on the list used the cluster"
-- severity = "medium"
-- status = "shadow"
-- attack = ["T1078"]
-- section = [1]
-- categories = ["kube-audit"]
-- key = ["cluster", "username"]
-- suppress = "1d"
-- summary = "{username} ({principal_class}), who is not in lists/allowed_users.csv, used {cluster} from {client_ip}: first {verb} {request_uri}"
--
-- description = """
-- Who may use a cluster is a short list; anybody else is a mistake in Entra groups or an intruder. Needs your own
-- lists/allowed_users.csv (users by name, applications and managed identities by object id), and is shadow until that is
-- filled: the list that is shipped holds examples. A guest's name ends in the tenant's domain too, so *@domain lets guests
-- in. Only requests that succeeded count. Service accounts, nodes, the control plane and the local admin
-- (local-admin-account-used) are left out. One alert for each identity and day. No body is needed.
-- """
-- false_positives = [
--   "New colleagues and pipelines: add them to lists/allowed_users.csv",
-- ]
-- follow_up = ["identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    principal_class,
    verb,
    request_uri,
    client_ip,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND (status_code BETWEEN 200 AND 299 OR status_code = 101)
    AND principal_class IN ('entra-user', 'entra-app', 'other')
    AND NOT listed('allowed_users', username)
