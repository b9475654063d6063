-- /// detection
-- title = "An identity read secrets with another program"
-- severity = "low"
-- status = "stable"
-- attack = ["T1552.007"]
-- section = [4]
-- categories = ["kube-audit"]
-- baseline = "14d"
-- learn = "7d"
-- key = ["cluster", "username", "agent"]
-- summary = "{username} read ({verb}) secrets of {cluster} with {user_agent} for the first time in 14 days: {namespace}/{name}, from {client_ip}"
--
-- description = """
-- The same identity with another program is how a stolen token looks from the log. Versions are not compared, nor are
-- addresses: those of people and of nodes change every day. Only reads that succeeded count. Nodes, the control plane,
-- accounts of the system namespaces and lists/secret_readers.csv are left out. Says nothing for a cluster until seven days
-- of its log were seen. No body is needed.
-- """
-- false_positives = [
--   "People who seldom read secrets; new workloads that read theirs through the API: add those to lists/secret_readers.csv",
-- ]
-- follow_up = ["secrets-read-by-identity", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    lower(split_part(split_part(coalesce(user_agent, ''), '/', 1), ' ', 1)) AS agent,
    verb,
    namespace,
    name,
    user_agent,
    client_ip
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND (status_code BETWEEN 200 AND 299 OR status_code = 101)
    AND resource = 'secrets'
    AND verb IN ('get', 'list', 'watch')
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa', 'anonymous')
    AND NOT listed('secret_readers', username)
